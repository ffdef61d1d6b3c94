"""Shows streams in Rerun, or writes them to a Rerun file. Needs Rerun's SDK (`pip install 'iox2-video[rerun]'`)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .._wire.results import source_name
from ..discovery.encoded import encoded
from ..discovery.names import full_name, short_name
from ..work import Work
from .streams import RerunBoxes, RerunPackets, RerunPictures
from .viewer import RerunViewer

_log: Final = logging.getLogger("gst_iceoryx2")

_TICK: Final = 0.1


@dataclass(frozen=True, slots=True)
class RerunStreamReport:
    """Progress or result of one stream.

    Attributes:
        name: Short name of the stream.
        what: What is logged: "JPEG pictures", or "packets of cam0@h264".
        logged: Pictures or packets that were logged.
        dropped: Frames or packets that were sent but did not arrive; None = unknown.
        behind: Pictures or packets that were not logged, because the viewer was too slow.
        skipped: Pictures that were not logged because of `max_fps`.
        results: Results that were logged, by the name of the detector.
    """

    name: str
    what: str
    logged: int
    dropped: int | None
    behind: int
    skipped: int
    results: dict[str, int]


@dataclass(frozen=True, slots=True)
class RerunReport:
    """Progress or result of a `RerunView`.

    Attributes:
        file: The file; None if a viewer shows the streams.
        size: Size of the file in bytes.
        streams: Each stream.
    """

    file: Path | None
    size: int
    streams: tuple[RerunStreamReport, ...]


class RerunView(Work[RerunReport]):
    """Logs streams to Rerun: to a viewer until it is closed, or to a file until all streams have ended.

    If another process encodes a stream, its packets are logged as they are. Otherwise, frames are encoded as JPEG. Each
    picture has the capture time of its frame on the wall clock (timeline `capture_time`), and the frame's sequence
    number (timeline `frame`).

    Args:
        streams: Names of streams. They need not exist yet.
        target: A new file ending in .rrd, or a viewer.
        results: Names of detectors, whose boxes are logged on the frames in which they were found.
        max_fps: Maximum number of JPEG pictures per second for each stream.
        quality: JPEG quality, 1 to 100.

    Raises:
        RerunError: The file exists already, or cannot be written.
        InvalidServiceNameError: The name of a stream or detector cannot be used.
        MissingExtraError: Rerun's SDK is not installed.
        ValueError: The name of the file does not end in .rrd.

    Example:
        Write a stream and what a detector finds to a file, until the stream ends:

            from pathlib import Path

            from gst_iceoryx2.rerun import RerunView

            done = RerunView(["cam0"], Path("cam0.rrd"), results=["yolo"]).run()
            print(done.streams[0].logged, done.streams[0].what)
    """

    def __init__(
        self,
        streams: Sequence[str],
        target: Path | RerunViewer,
        *,
        results: Sequence[str] = (),
        max_fps: float = 60.0,
        quality: int = 80,
    ) -> None:
        # Imported here, so that the names of this package exist without Rerun's SDK.
        from .log import RerunLog

        super().__init__()
        self._names = tuple(dict.fromkeys(map(full_name, streams)))
        self._detectors = tuple(dict.fromkeys(results))
        for name in self._names if self._detectors else ():
            source_name(name)
        self._file = target if isinstance(target, Path) else None
        if self._file is not None and self._file.suffix != ".rrd":
            raise ValueError(f"a Rerun file must end in .rrd, but its name is {str(self._file)!r}")
        self._max_fps, self._quality = max_fps, quality
        self._out = RerunLog(target)
        self._streams: list[RerunPictures | RerunPackets] = []
        self._boxes: list[list[RerunBoxes]] = []
        self._told: set[tuple[str, str]] = set()

    def run(self, progress: Callable[[RerunReport], None] | None = None) -> RerunReport:
        """Log until all streams have ended (to a file), the viewer is closed, or `stop` is called.

        Args:
            progress: Called with the progress ten times per second, in the thread that called `run`.

        Returns:
            The result.

        Raises:
            RerunError: The file cannot be written any more, or the viewer has failed.
        """
        try:
            for name in self._names:
                self._add(name)
            while not self._stop.wait(_TICK) and self._out.is_open() and not self._is_over():
                self._tell_problems()
                self._replace_b_frames()
                self._report_to(progress)
        finally:
            for watched in [*self._streams, *(boxes for each in self._boxes for boxes in each)]:
                watched.close()
            self._out.close()
        return self.report()

    def _add(self, name: str) -> None:
        codec = self._codec_of(name)
        if codec is None:
            self._streams.append(self._pictures(name))
        else:
            self._streams.append(RerunPackets(name, codec, self._out))
        stream = self._streams[-1]
        self._boxes.append([RerunBoxes(stream, name, detector, self._out) for detector in self._detectors])

    def _pictures(self, name: str) -> RerunPictures:
        return RerunPictures(name, self._out, max_fps=self._max_fps, quality=self._quality)

    def _codec_of(self, name: str) -> str | None:
        """Return the codec in which another process encodes a stream, or would; None = it does not."""
        if self._detectors and source_name(name) != short_name(name):
            # A packet does not say which part of the source a rendition shows.
            return None
        return next((codec for codec in ("h264", "h265", "av1") if encoded(name, codec)), None)

    def _is_over(self) -> bool:
        return self._file is not None and all(stream.has_ended and stream.logged for stream in self._streams)

    def _tell_problems(self) -> None:
        for watched in [*self._streams, *(boxes for each in self._boxes for boxes in each)]:
            problem = watched.problem
            if problem is not None and (watched.name, problem) not in self._told:
                self._told.add((watched.name, problem))
                _log.warning("%s: %s", short_name(watched.name), problem)

    def _replace_b_frames(self) -> None:
        for at, stream in enumerate(self._streams):
            if isinstance(stream, RerunPackets) and stream.has_b_frames:
                _log.warning("%s: Rerun cannot show B-frames, so frames are logged as JPEG pictures", stream.what)
                stream.close()
                self._streams[at] = self._pictures(self._names[at])

    def report(self) -> RerunReport:
        """Return the progress; after `run`, the result."""
        size = 0
        if self._file is not None:
            with contextlib.suppress(OSError):
                size = self._file.stat().st_size
        return RerunReport(self._file, size, tuple(map(self._report_of, range(len(self._streams)))))

    def _report_of(self, at: int) -> RerunStreamReport:
        stream = self._streams[at]
        results = {boxes.detector: boxes.logged for boxes in self._boxes[at]} if at < len(self._boxes) else {}
        dropped = stream.counts().dropped
        return RerunStreamReport(
            short_name(self._names[at]), stream.what, stream.logged, dropped, stream.behind, stream.skipped, results
        )
