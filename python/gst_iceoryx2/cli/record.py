"""`iox2-video record`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2._wire.packet import packet_service
from gst_iceoryx2._wire.rendition import codec_of
from gst_iceoryx2._wire.results import results_service
from gst_iceoryx2.cli._outcome import Failed, Misused, examples
from gst_iceoryx2.cli._params import DETECTOR, Above0, Seconds, ServiceOrPackets
from gst_iceoryx2.cli._run import clock, run
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.cli._words import amount, counted, milliseconds
from gst_iceoryx2.discovery.names import short_name
from gst_iceoryx2.record import CODECS, DEFAULT_PRESET, PRESETS, Target, TargetError, check_sync, copies_packets

if TYPE_CHECKING:
    from gst_iceoryx2.record import Recording, SetsReport, TrackReport


@click.command(
    name="record",
    epilog=examples(
        "iox2-video record cam0 cam0.mkv",
        "iox2-video record cam0 clip.mp4 --duration 10 --overwrite",
        "iox2-video record left right both.mkv --preset ultrafast",
        "iox2-video record left right pairs.mkv --sync 5ms",
        "iox2-video record cam0 exact.mkv --codec ffv1 --frames 300",
        "iox2-video record cam0 day.mkv --copy",
        "iox2-video record cam0 day.mkv --results yolo",
        "iox2-video record cam0 cam1 drive.mcap",
    ),
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=ServiceOrPackets(is_source=True))
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@click.option(
    "--codec",
    type=click.Choice(list(CODECS)),
    show_default="x264",
    help="Codec; ffv1 is lossless, raw is for .mcap files.",
)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    show_default=DEFAULT_PRESET,
    help="Speed of x264; slower presets produce smaller files.",
)
@click.option("--copy", is_flag=True, help="Record packets as they are, encoded once for all readers.")
@click.option(
    "--results",
    metavar="DETECTOR",
    multiple=True,
    type=DETECTOR,
    help="Write the results for each frame to a file beside FILE. Can be repeated.",
)
@click.option(
    "--sync",
    metavar="TIME",
    type=Seconds(),
    help="Record only frames that belong together: one of each stream, captured at most this far apart, such as 5ms.",
)
@click.option("--duration", metavar="SECONDS", type=Above0(), help="Stop after this many seconds.")
@click.option("--frames", metavar="N", type=click.IntRange(1), help="Stop after N frames from each stream.")
@click.option("--max-fps", metavar="FPS", type=Above0(), help="Record at most this many frames per second.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
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

    FILE must end in .mkv, .mp4, .mov or .mcap. It will contain a video track for each stream. An .mcap file contains a
    channel of Foxglove's messages for each stream instead. Recording stops when the stream ends, after --duration or
    --frames, or on Ctrl-C (exit code 130). If a publisher exits or the disk is full, it stops with exit code 1. The
    file is playable in all these cases.

    A stream that is encoded already is recorded without encoding it again, unless --codec, --preset or --max-fps is
    given. With --copy, this command encodes the stream if no other process does, and other readers share its packets.

    With --sync, every track gets one frame of each set of frames that belong together. They have the same time; in an
    .mcap file, each has its own capture time. --sync needs frames, so it encodes streams that are encoded already.

    --results yolo writes day.yolo.jsonl beside day.mkv: a line of JSON for each frame in the file, with what the
    detector found in this frame. An .mkv file also gets a track of subtitles, and an .mcap file a channel.
    """
    is_asked = settings["copy"]
    try:
        if settings["sync"] is not None:
            check_sync(names, settings["sync"], copy=is_asked)
        choices = {name: settings[name] for name in ("codec", "preset", "max_fps")}
        is_frames = settings["sync"] is not None
        settings["copy"] = not is_frames and copies_packets(names, copy=is_asked or None, **choices)
        for name in names if settings["copy"] else ():
            Target.of_packets(file, packet_service(name)[1])
        if not settings["copy"]:
            Target.of(file, settings["codec"] or "x264")
    except TargetError as exc:
        raise Misused(str(exc)) from exc
    for detector in settings["results"]:
        results_service(names[0], detector)
    from gst_iceoryx2.record import Recorder

    recorder = Recorder(names, file, **settings)
    if recorder.is_copy and not is_asked:
        _say_copied(names)
    if recorder.missing:
        names_missing = ", ".join(map(short_name, recorder.missing))
        say(f"waiting for {names_missing} for at most {settings['timeout']:g} s")
    recording = run(recorder, _progress, _summary)
    if recording.complaints:
        raise Failed("; ".join(recording.complaints) + f". {file} contains everything recorded until then")


def _say_copied(names: tuple[str, ...]) -> None:
    for name in map(short_name, names):
        if codec_of(name) is None:
            packets = short_name(packet_service(name)[0])
            say(f"{name}: recording the packets of {packets}, which is encoded already; --codec x264 encodes again")


def _progress(recording: Recording) -> str:
    tracks = recording.tracks
    frames = " + ".join(str(track.frames) for track in tracks) + " frames"
    if recording.sets is not None:
        frames = counted(recording.sets.recorded, "set")
    seconds = max(track.seconds for track in tracks)
    return f"{clock(seconds)}  {frames}  {amount(recording.size)}  {_lost(tracks)}"


def _summary(recording: Recording) -> list[str]:
    sets = recording.sets
    lines = [] if sets is None or not sets.recorded else [_of_sets(sets)]
    for track in recording.tracks:
        if track.frames:
            size, name = f"{track.width}x{track.height}", short_name(track.service)
            done = f"{counted(track.frames, 'frame')}, {track.seconds:.1f} s, {_lost((track,))}"
            lines.append(f"{name}: {size} {track.format}, {done}")
            lines += [] if sets is None else _alone(track, sets)
            if track.resized:
                lines.append(f"{name}: frames with a different size were scaled to {size}")
            if track.restarts:
                often = "once, with" if track.restarts == 1 else f"{track.restarts} times, each time with"
                lines.append(f"{name}: the encoder started again {often} a keyframe")
    for log in recording.results if lines else ():
        joined = f"{log.joined} of {log.frames} frames have results, {log.late} came too late, {log.dropped} dropped"
        refused = f", {log.invalid} refused" if log.invalid else ""
        lines.append(f"{log.source} {log.detector}: {joined}{refused}")
    if len(recording.files) > 1:
        lines.append(f"the format of the packets changed, so there are {len(recording.files)} files")
    if lines and recording.size:
        files = [*recording.files, *(log.file for log in recording.results)]
        lines += [f"{file}: {amount(file.stat().st_size)}" for file in files if file.exists()]
    return lines


def _of_sets(sets: SetsReport) -> str:
    apart = f"at most {milliseconds(sets.skew)} apart (limit {milliseconds(sets.tolerance)})"
    return f"{counted(sets.recorded, 'set')}, {apart}"


def _alone(track: TrackReport, sets: SetsReport) -> list[str]:
    """Return a line about the frames that are in no set."""
    causes = {
        f"without a partner within {milliseconds(sets.tolerance)}": track.unmatched,
        "while another stream was silent or late, or had ended": track.absent,
        "captured before an earlier frame": track.unordered,
    }
    told = [f"{count} {cause}" for cause, count in causes.items() if count]
    if not told:
        return []
    total = sum(causes.values())
    return [f"{short_name(track.service)}: {counted(total, 'frame')} left out: {', '.join(told)}"]


def _lost(tracks: tuple[TrackReport, ...]) -> str:
    known = [track.dropped for track in tracks if track.dropped is not None]
    words = [f"{sum(known)} dropped" if len(known) == len(tracks) else "drops unknown"]
    words += [f"{sum(track.invalid for track in tracks)} refused"] if any(track.invalid for track in tracks) else []
    withheld = sum(track.withheld for track in tracks)
    words += [f"{withheld} withheld"] if withheld else []
    skipped = sum(track.skipped for track in tracks)
    words += [f"{skipped} skipped by --max-fps"] if skipped else []
    return ", ".join(words)
