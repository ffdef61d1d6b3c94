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
from gst_iceoryx2.record import CODECS, DEFAULT_PRESET, PRESETS, Target, TargetError

if TYPE_CHECKING:
    from gst_iceoryx2.record import Recording, TrackReport


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
@click.option(
    "--codec", type=click.Choice(list(CODECS)), default="x264", show_default=True, help="Codec; ffv1 is lossless."
)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default=DEFAULT_PRESET,
    show_default=True,
    help="Speed of x264; slower presets produce smaller files.",
)
@click.option("--duration", metavar="SECONDS", type=Above0(), help="Stop after this many seconds.")
@click.option("--frames", metavar="N", type=click.IntRange(1), help="Stop after N frames from each stream.")
@click.option("--max-fps", metavar="FPS", type=Above0(), help="Record at most this many frames per second.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Above0(),
    default=5.0,
    show_default=True,
    help="Stop if no frame arrives for this long, at the start or later.",
)
def command(names: tuple[str, ...], file: str, **settings: Any) -> None:
    """Record streams to a video file.

    FILE must end in .mkv, .mp4 or .mov. It will contain a video track for each stream. Recording stops when the stream
    ends, after --duration or --frames, or on Ctrl-C (exit code 130). If a publisher exits or the disk is full, it stops
    with exit code 1. The file is playable in all these cases.
    """
    try:
        Target.of(file, settings["codec"])
    except TargetError as exc:
        raise Misused(str(exc)) from exc
    from gst_iceoryx2.record import Recorder

    recorder = Recorder(names, file, **settings)
    if recorder.missing:
        names_missing = ", ".join(map(short_name, recorder.missing))
        say(f"waiting for {names_missing} for at most {settings['timeout']:g} s")
    recording = run(recorder, _progress, _summary)
    if recording.complaints:
        raise Failed("; ".join(recording.complaints) + f". {file} contains everything recorded until then")


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
                lines.append(f"{name}: frames with a different size were scaled to {size}")
    if lines and recording.size:
        lines.append(f"{recording.file}: {amount(recording.size)}")
    return lines


def _lost(tracks: tuple[TrackReport, ...]) -> str:
    known = [track.dropped for track in tracks if track.dropped is not None]
    words = [f"{sum(known)} dropped" if len(known) == len(tracks) else "drops unknown"]
    words += [f"{sum(track.invalid for track in tracks)} refused"] if any(track.invalid for track in tracks) else []
    skipped = sum(track.skipped for track in tracks)
    words += [f"{skipped} skipped by --max-fps"] if skipped else []
    return ", ".join(words)
