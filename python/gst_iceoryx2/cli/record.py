"""`iox2-video record`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2.cli._outcome import Failed, Misused, examples
from gst_iceoryx2.cli._params import Above0, ServiceName
from gst_iceoryx2.cli._run import clock, run
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.cli._words import amount
from gst_iceoryx2.discovery.names import short_name

if TYPE_CHECKING:
    from gst_iceoryx2.record import Recording, TrackReport

# Kept here, because the recorder's own list comes with PyAV, which takes a third of a second to import.
CODECS = ("x264", "prores", "ffv1")
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@click.command(
    name="record",
    epilog=examples(
        "iox2-video record cam0 cam0.mkv",
        "iox2-video record cam0 clip.mp4 --duration 10 --overwrite",
        "iox2-video record left right both.mkv --preset ultrafast",
        "iox2-video record cam0 exact.mkv --codec ffv1 --frames 300",
    ),
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=ServiceName(is_source=True))
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("--codec", type=click.Choice(CODECS), default="x264", show_default=True, help="ffv1 is lossless.")
@click.option(
    "--preset", type=click.Choice(PRESETS), default="veryfast", show_default=True, help="How hard x264 works."
)
@click.option("--duration", metavar="SECONDS", type=Above0(), help="End after so long.")
@click.option("--frames", metavar="N", type=click.IntRange(1), help="End after so many frames of each stream.")
@click.option("--max-fps", metavar="FPS", type=Above0(), help="Leave out frames above that.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Above0(),
    default=5.0,
    show_default=True,
    help="How long to wait for the first frame, and for the next one before the publisher counts as gone.",
)
def command(names: tuple[str, ...], file: str, **settings: Any) -> None:
    """Record streams to a video file.

    FILE is named .mkv, .mp4 or .mov and gets a video track for each stream. A recording ends with the stream, after
    --duration or --frames, or with Ctrl-C (exit code 130), and leaves a file that plays in each of these cases, and
    also if the publisher goes or the disk is full (exit code 1).
    """
    from gst_iceoryx2.record import Target, TargetError

    try:
        Target.of(file, settings["codec"])
    except TargetError as exc:
        raise Misused(str(exc)) from exc
    from gst_iceoryx2.record import Recorder

    recorder = Recorder(names, file, **settings)
    if recorder.missing:
        names_missing = ", ".join(map(short_name, recorder.missing))
        say(f"waiting for {names_missing}, at most {settings['timeout']:g} s")
    recording = run(recorder, _progress, _summary)
    if recording.complaints:
        raise Failed("; ".join(recording.complaints) + f". {file} has what came before")


def _progress(recording: Recording) -> str:
    tracks = recording.tracks
    frames = " + ".join(str(track.frames) for track in tracks)
    seconds = max(track.seconds for track in tracks)
    return f"{clock(seconds)}  {frames} frames  {amount(recording.size)}  {_lost(tracks)}"


def _summary(recording: Recording) -> list[str]:
    lines = []
    for track in recording.tracks:
        if track.frames:
            size, name = f"{track.width}x{track.height}", short_name(track.service)
            done = f"{track.frames} frames, {track.seconds:.1f} s, {_lost((track,))}"
            lines.append(f"{name}: {size} {track.format}, {done}")
            if track.resized:
                lines.append(f"{name}: frames of another size were scaled to {size}")
    if lines and recording.size:
        lines.append(f"{recording.file}: {amount(recording.size)}")
    return lines


def _lost(tracks: tuple[TrackReport, ...]) -> str:
    known = [track.dropped for track in tracks if track.dropped is not None]
    words = [f"{sum(known)} dropped" if len(known) == len(tracks) else "drops unknown"]
    words += [f"{sum(track.invalid for track in tracks)} refused"] if any(track.invalid for track in tracks) else []
    words += [f"{sum(track.skipped for track in tracks)} left out"] if any(track.skipped for track in tracks) else []
    return ", ".join(words)
