"""Records several streams to one file."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .._extras.av import av
from .._wire.numbers import real, whole
from .._wire.rendition import codec_of
from ..codec.settings import DEFAULT_PRESET
from ..discovery import encoded, full_name, names, require, short_name
from ..discovery.names import why_silent
from ..errors import FrameTimeoutError, Iox2VideoError, ServiceNotFoundError
from ..work import Work
from .errors import RecordFileError
from .following import Limits
from .output import Output, PacketOutput, VideoOutput
from .packet_track import PacketTrack
from .results_log import ResultsReport
from .results_logs import ResultsLogs
from .set_track import SetTrack
from .set_tracks import SetsReport, SetTracks
from .target import Target, check_sync, copies_packets
from .track import Track, TrackReport

_WAIT: Final = 0.1


@dataclass(frozen=True, slots=True)
class Recording:
    """Progress or result of a recording.

    Attributes:
        file: The file.
        size: Size of all files, in bytes.
        tracks: Progress or result of each stream, in track order.
        files: All files. There is more than one if packets were recorded and their format changed.
        results: Progress or result of each log of results.
        sets: Progress or result of the matching of frames; None without `sync`.
    """

    file: Path
    size: int
    tracks: tuple[TrackReport, ...]
    files: tuple[Path, ...] = ()
    results: tuple[ResultsReport, ...] = ()
    sets: SetsReport | None = None

    @property
    def complaints(self) -> tuple[str, ...]:
        """Problems that occurred, one sentence each. The file is playable nevertheless."""
        found = [track.complaint for track in self.tracks] + [log.complaint for log in self.results]
        found += [] if self.sets is None else [self.sets.complaint]
        return tuple(filter(None, found))


class Recorder(Work[Recording]):
    """Records streams to one file, with a track for each stream.

    Args:
        streams: Names of services, short or in full, or of packets: `cam0@h264`.
        file: The file. Its ending selects the container: .mkv, .mp4, .mov or .mcap.
        codec: "x264", "prores", "ffv1" (lossless) or "raw" (only .mcap); None = "x264" if the frames are encoded.
        preset: Preset for x264, from "ultrafast" to "veryslow"; None = "veryfast".
        copy: Whether to record packets as they are. If no process encodes the stream, this one does, and publishes the
            packets for other readers, too. None = if all streams are encoded already, and neither codec, preset nor
            `max_fps` is given.
        results: Names of detectors. For each, a log is written beside the file: `day.yolo.jsonl` beside `day.mkv`, and
            `day.cam0.yolo.jsonl` if there are several streams. It has a line of JSON for each frame in the file. If the
            container is .mkv, each log has a track of subtitles in it, too; in .mcap, a channel of annotations.
        sync: Record only frames that belong together: one of each stream, captured at most this many seconds apart
            (`FrameSets`). Each set has one timestamp in all tracks, the capture time of the first stream's frame. In
            .mcap files, each frame keeps its own capture time. None = record all frames of each stream.
        overwrite: Whether to replace existing files.
        duration: Seconds after which to stop; None means no limit.
        frames: Number of frames per stream after which to stop; None means no limit.
        max_fps: Maximum number of frames to record per second; None records all frames.
        timeout: Seconds to wait for the first frame of each stream, and for each later frame.

    Raises:
        TargetError: The codec or container is unknown, the container cannot hold the codec, packets cannot be recorded
            with these settings, or `sync` cannot be used for these streams.
        FormatError: No process publishes the packets, and their codec cannot be encoded.
        RecordFileError: A file already exists, or cannot be written.
        InvalidServiceNameError: The name of a stream or detector cannot be used.
        ServiceError: A service exists but cannot be opened.
        MissingExtraError: The package mcap is not installed. If PyAV is missing, importing this class raises the error.
        ValueError: A time is NaN.
        TypeError: An argument is not a number.
    """

    def __init__(
        self,
        streams: Sequence[str],
        file: str | os.PathLike[str],
        *,
        codec: str | None = None,
        preset: str | None = None,
        copy: bool | None = None,
        results: Sequence[str] = (),
        sync: float | None = None,
        overwrite: bool = False,
        duration: float | None = None,
        frames: int | None = None,
        max_fps: float | None = None,
        timeout: float = 5.0,
    ) -> None:
        super().__init__()
        if sync is not None:
            sync = real(sync, "sync", "seconds")
            check_sync(streams, sync, copy=copy)
            copy = False
        self.is_copy: Final = copies_packets(streams, copy=copy, codec=codec, preset=preset, max_fps=max_fps)
        if self.is_copy:
            for name in streams:
                self._target = Target.of_packets(file, codec_of(short_name(name)) or "h264")
        else:
            self._target = Target.of(file, codec or "x264", preset or DEFAULT_PRESET)
        duration = None if duration is None else real(duration, "duration", "seconds")
        frames = None if frames is None else whole(frames, "frames", 1)
        self._timeout = timeout = real(timeout, "timeout", "seconds")
        self._failure: BaseException | None = None
        self._sets: SetTracks | None = None
        self._missing: dict[str, ServiceNotFoundError] = {}
        titles = [_title(name) for name in streams]
        self._logs = ResultsLogs(self._target.path, titles, results)
        self._output = output = self._made_output(titles, overwrite=overwrite)
        self._tracks = output.tracks
        try:
            self._logs.open(output.write_text, output.write_results, overwrite=overwrite)
            limits = Limits(duration, frames, max_fps, timeout)
            for name in streams:
                self._note_missing(name)
            if sync is not None:
                self._sets = SetTracks(list(map(full_name, streams)), limits, sync, self._logs.all)
                self._tracks += self._sets.tracks
            for name in () if sync is not None else streams:
                output.add(name, limits, is_shared=len(streams) > 1)
        except BaseException:
            self._close()
            raise

    def _made_output(self, titles: Sequence[str], *, overwrite: bool) -> Output:
        if self._target.is_mcap:
            from .mcap_output import McapOutput

            return McapOutput(self._target, self._logs, titles, overwrite=overwrite, is_copy=self.is_copy)
        if self.is_copy:
            return PacketOutput(self._target, self._logs, titles, overwrite=overwrite)
        return VideoOutput(self._target, self._logs, overwrite=overwrite)

    def _note_missing(self, name: str) -> None:
        # Checked before a subscriber creates an event service, so that the error can suggest a similar name.
        if not (self.is_copy and encoded(name)):
            try:
                require(_title(name))
            except ServiceNotFoundError as exc:
                self._missing[full_name(_title(name))] = exc.with_traceback(None)

    @property
    def missing(self) -> tuple[str, ...]:
        """Full names of the services that did not exist when the recorder was created. They may start later."""
        return tuple(self._missing)

    def run(self, progress: Callable[[Recording], None] | None = None) -> Recording:
        """Record until all streams have ended, a limit is reached, or `stop` is called.

        On KeyboardInterrupt, the file is completed before the exception is raised again.

        Args:
            progress: Called with the progress ten times per second, in the thread that called `run`.

        Returns:
            The result. Check its `complaints`.

        Raises:
            FrameTimeoutError: A stream did not send a frame in time. The new file is removed.
            ServiceNotFoundError: A service still does not exist after the timeout. The new file is removed.
            RecordFileError: Writing failed, for example because the disk is full. Frames that were already written can
                be played; a file without frames is removed.
            NotLosslessError: The codec is lossless and cannot represent the pixels. The new file is removed.
        """
        try:
            self._await_streams()
            if self._stop.is_set():
                return self.report()
            self._logs.start()
            if self._sets is not None:
                self._sets.prepare()
            self._output.begin()
            self._encode(progress)
        finally:
            self._close()
        if isinstance(self._failure, RecordFileError):
            kept = "The frames written until then can be played"
            raise RecordFileError(f"{self._failure}. {kept if self._output.plays() else 'No frame was written'}")
        if self._failure is not None:
            raise self._failure
        return self.report()

    @property
    def _receivers(self) -> list[Track | PacketTrack] | list[SetTracks]:
        if self._sets is not None:
            return [self._sets]
        return [track for track in self._tracks if not isinstance(track, SetTrack)]

    def _await_streams(self) -> None:
        deadline = time.monotonic() + self._timeout
        waiting, several = list(self._receivers), len(self._receivers) > 1
        while waiting and not self._stop.is_set():
            # A process that did not run until the deadline looks for frames once.
            remaining = max(0.0, deadline - time.monotonic())
            # Wait for one stream after the other. Streams that started early skip to their newest frame below.
            if waiting[0].await_first(min(_WAIT, remaining)):
                waiting.pop(0)
            elif remaining == 0:
                self._nothing_came(waiting)
        for receiver in self._receivers if several else ():
            while not self._stop.is_set() and not receiver.await_first(_WAIT, newest=True):
                if time.monotonic() > deadline + self._timeout:
                    self._nothing_came([receiver])

    def _nothing_came(self, receivers: Sequence[Track | PacketTrack | SetTracks]) -> None:
        existing = names()
        waiting = [track for receiver in receivers for track in receiver.unheard()]
        if self._sets is not None and not waiting:
            raise self._sets.no_set(self._timeout)
        for track in waiting:
            if track.awaited in self._missing and track.awaited not in existing:
                raise self._missing[track.awaited]
        which = ", ".join(track.name for track in waiting)
        told = [why_silent(track.awaited) or why_silent(track.service) for track in waiting]
        reasons = [reason for reason in told if reason is not None]
        hint = "; ".join(reasons) or "check that its publisher is running and not paused"
        raise FrameTimeoutError(f"no frame from {which} arrived within {self._timeout:g} s; {hint}")

    def _encode(self, progress: Callable[[Recording], None] | None) -> None:
        began = min(track.first_moment for track in self._tracks if track.first_moment is not None)
        receivers = self._receivers
        with ThreadPoolExecutor(len(receivers)) as pool:
            running = [pool.submit(receiver.run, began, self._output.write, self._stop) for receiver in receivers]
            try:
                while wait(running, _WAIT, FIRST_EXCEPTION).not_done and not self._failed(running):
                    self._report_to(progress)
            finally:
                self._stop.set()
        self._failed(running)

    def _failed(self, running: Sequence[Future[None]]) -> bool:
        """Return whether a track has failed, and keep the first failure."""
        for one in running:
            exc = one.exception() if one.done() else None
            if exc is not None and self._failure is None:
                self._failure = self._output.explained(exc) if isinstance(exc, av.FFmpegError) else exc
                # The traceback would keep frames alive in shared memory.
                if isinstance(self._failure, Iox2VideoError):
                    self._failure.with_traceback(None)
        self._failure = self._failure or self._logs.failure
        return self._failure is not None

    def _close(self) -> None:
        for track in self._tracks:
            track.close()
        if self._sets is not None:
            self._sets.close()
        self._logs.close()
        self._failure = self._failure or self._logs.failure
        try:
            self._output.close(has_failed=self._failure is not None)
        except RecordFileError as exc:
            self._failure = self._failure or exc

    def report(self) -> Recording:
        """Return the progress; after `run`, the result."""
        files = self._output.files
        size = 0
        for path in files:
            with contextlib.suppress(OSError):
                size += path.stat().st_size
        tracks = tuple(track.report() for track in self._tracks)
        sets = None if self._sets is None else self._sets.report()
        return Recording(self._target.path, size, tracks, tuple(files), self._logs.report(), sets)


def _title(name: str) -> str:
    """Return the short name of a stream; the stream's name if this is the name of its packets."""
    short = short_name(name)
    return short.rpartition("@")[0] if codec_of(short) else short


def record(streams: str | Sequence[str], file: str | os.PathLike[str], **settings: Any) -> Recording:
    """Record streams to a file until they end.

    Args:
        streams: Name of a service, or a list of names, short or in full.
        file: The file. Its ending selects the container: .mkv, .mp4, .mov or .mcap.
        settings: Further keyword arguments of `Recorder`.

    Returns:
        The result. Check its `complaints`.

    Raises:
        Iox2VideoError: See `Recorder` and `Recorder.run`.
    """
    return Recorder([streams] if isinstance(streams, str) else streams, file, **settings).run()
