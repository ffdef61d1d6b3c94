"""Logs the results of a detector beside a recording: a line of JSON for each frame in the file.

A thread receives results and writes lines, so the recording never waits for a detector. Only the identities of frames
wait for results, and no pixels.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import Iox2VideoError, printable
from ..packets.container import occupy
from ..results import Results, ResultsSubscriber
from ..results._pairing import Pairing
from .errors import RecordFileError

# Longest time in seconds that a line waits for its results, and that the end of a recording waits for the last ones.
_LONGEST_WAIT: Final = 5.0
_WAIT_AT_END: Final = 1.0
_POLL_MS: Final = 50.0
MAX_REORDER: Final = 16
"""Largest number of pictures of H.264 and H.265 that are decoded before a picture that is shown earlier."""
# More objects than this do not fit into a subtitle.
_SHOWN: Final = 20
# Duration in seconds of a subtitle whose frame is the only one.
_USUAL_DURATION: Final = 1 / 30


class Written(NamedTuple):
    """A frame that is in the file.

    Attributes:
        file: The file.
        part: Number of this file, if the recording has several.
        time: Time in the file, in seconds.
        id: Publisher and sequence of the source's frame; None = unknown.
        captured_at: Capture time in nanoseconds of CLOCK_MONOTONIC; None = unknown.
        reorder: Largest number of later frames that may be shown before this one.
    """

    file: Path
    part: int
    time: float
    id: tuple[int, int] | None = None
    captured_at: int | None = None
    reorder: int = 0


WriteText: TypeAlias = Callable[[Written, float, str], None]
"""Writes a subtitle: its frame, its duration in seconds, and its text."""

WriteResults: TypeAlias = Callable[[Written, Results], None]
"""Writes results into the recording: the frame, and its results."""


@dataclass(frozen=True, slots=True)
class ResultsReport:
    """Progress or result of the log of one detector.

    Attributes:
        source: Short name of the source.
        detector: Name of the detector.
        file: The log. It does not exist if no frame was recorded.
        frames: Lines in the log: frames in the file.
        joined: Lines with results.
        late: Results that arrived after their line was written.
        dropped: Results that did not arrive, because the log was too busy or the publisher's memory was full.
        invalid: Results rejected because their content is invalid.
        complaint: The problem that occurred, as a sentence; empty if there was none.
    """

    source: str
    detector: str
    file: Path
    frames: int
    joined: int
    late: int
    dropped: int
    invalid: int
    complaint: str = ""


class ResultsLog:
    """Writes a line for each frame of one stream, with the results of one detector.

    Args:
        source: Name of the stream.
        detector: Name of the detector.
        path: The log.
        overwrite: Whether to replace an existing log.
        write_text: Writes subtitles; None = none are wanted.
        write_results: Called with each frame that has results.

    Attributes:
        failure: Why lines cannot be written; None if they can.

    Raises:
        InvalidServiceNameError: A name cannot be used.
        ServiceError: The service exists but cannot be opened.
        RecordFileError: The log already exists, or cannot be written.
    """

    def __init__(
        self,
        source: str,
        detector: str,
        path: Path,
        *,
        overwrite: bool = False,
        write_text: WriteText | None = None,
        write_results: WriteResults = lambda written, results: None,
    ) -> None:
        self._subscriber = ResultsSubscriber(source, detector)
        try:
            self._is_ours = occupy(path, overwrite)
        except BaseException:
            self._subscriber.close()
            raise
        self._path = path
        self._file: _LineFile | None = None
        self._subtitles = None if write_text is None else _Subtitles(write_text)
        self._write_results = write_results
        self._pairing: Pairing[Written, Results] = Pairing(1, _LONGEST_WAIT)
        self._written: queue.SimpleQueue[Written] = queue.SimpleQueue()
        self._ordered: list[tuple[int, float, int, Written, Results | None]] = []
        self._order = itertools.count()
        self._frames = self._joined = self._invalid = 0
        self._deadline: float | None = None
        self._complaint = ""
        self.failure: RecordFileError | None = None
        self._thread = threading.Thread(target=self._run, name="iox2-results-log", daemon=True)

    def start(self) -> None:
        """Begin to receive results."""
        self._thread.start()

    def note(self, written: Written) -> None:
        """Add a frame that was written. This never waits."""
        self._written.put(written)

    def finish(self) -> None:
        """Tell the log that no frame follows, and wait at most a second for results. Idempotent."""
        if self._deadline is None:
            self._deadline = time.monotonic() + _WAIT_AT_END

    def close(self) -> None:
        """Finish, write the last lines, and close the log. A new log without a line is removed. Idempotent."""
        self.finish()
        if self._thread.ident is not None:
            self._thread.join()
        self._subscriber.close()
        if not self._frames and self._is_ours:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def report(self) -> ResultsReport:
        """Return the progress; after `close`, the result."""
        stats = self._subscriber.stats
        return ResultsReport(
            self._subscriber.source,
            self._subscriber.detector,
            self._path,
            self._frames,
            self._joined,
            self._pairing.late,
            stats.dropped,
            stats.invalid + self._invalid,
            self._complaint,
        )

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._step():
                pass
        except RecordFileError as exc:
            # Writing a subtitle failed.
            self.failure = exc
        except OSError as exc:
            self.failure = RecordFileError(f"cannot write {self._path}: {exc.strerror or exc}")
        finally:
            if self._file is not None:
                self._file.close()

    def _step(self) -> bool:
        """Wait shortly for results, and write the lines that are complete; return whether these were the last ones."""
        deadline = self._deadline
        self._receive()
        now = time.monotonic()
        has_ended = deadline is not None and (not self._pairing or now >= deadline)
        while (taken := self._pairing.take(now, must_leave=has_ended)) is not None:
            written, (results,) = taken
            heapq.heappush(self._ordered, (written.part, written.time, next(self._order), written, results))
        while self._ordered and (has_ended or len(self._ordered) > self._ordered[0][3].reorder):
            self._write(*heapq.heappop(self._ordered)[3:])
        if has_ended and self._subtitles is not None:
            self._subtitles.end()
        return has_ended

    def _receive(self) -> None:
        try:
            results = self._subscriber.receive_blocking(_POLL_MS)
            # The frames of these results were written before, or are not in the file yet.
            self._take_written()
            while results is not None:
                self._pairing.add_found(0, results, (results.publisher, results.sequence))
                results = self._subscriber.receive()
        except Iox2VideoError as exc:
            # The recording is worth more than its log.
            self._complaint = str(exc)
            self._take_written()
            time.sleep(_POLL_MS / 1000)

    def _take_written(self) -> None:
        now = time.monotonic()
        with contextlib.suppress(queue.Empty):
            while True:
                written = self._written.get_nowait()
                self._pairing.add_frame(written, written.id, now)

    def _write(self, written: Written, results: Results | None) -> None:
        if self._file is None:
            self._file = _LineFile(self._path)
        found = None
        if results is not None:
            try:
                found = results.as_dict()
                line = _line(written, found)
            except (Iox2VideoError, ValueError, RecursionError):
                # The JSON text of the detector is not JSON, or contains NaN.
                self._invalid += 1
                found = None
        if found is None:
            line = _line(written, None)
        self._file.write(line)
        self._frames += 1
        self._joined += found is not None
        if results is not None and found is not None:
            self._write_results(written, results)
        if self._subtitles is not None:
            self._subtitles.add(written, _text(results) if results is not None and found is not None else "")


class _LineFile:
    """A file of lines. If writing fails, it contains only whole lines."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._size = 0

    def write(self, line: bytes) -> None:
        """Append a line with one system call, so that a kill leaves it out or leaves it whole.

        Linux looks for a fatal signal between pages, so a line longer than a page may be cut off.

        Raises:
            OSError: The disk is full, for example.
        """
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)

    def close(self) -> None:
        os.close(self._descriptor)


class _Subtitles:
    """Shows each text until the next frame."""

    def __init__(self, write: WriteText) -> None:
        self._write = write
        self._last: tuple[Written, str] | None = None
        self._duration = _USUAL_DURATION

    def add(self, written: Written, text: str) -> None:
        """Add the text of the next frame, and write the one of the last frame."""
        if self._last is not None and written.part == self._last[0].part:
            self._duration = written.time - self._last[0].time
        self.end()
        self._last = written, text

    def end(self) -> None:
        """Write the text of the last frame."""
        last, self._last = self._last, None
        if last is not None and last[1]:
            self._write(last[0], self._duration, last[1])


def _line(written: Written, found: dict[str, Any] | None) -> bytes:
    publisher, sequence = (None, None) if written.id is None else written.id
    fields = {
        "file": written.file.name,
        "time": round(written.time, 6),
        "publisher": None if publisher is None else f"{publisher:016x}",
        "sequence": sequence,
        "captured_at": written.captured_at,
        "results": found,
    }
    return json.dumps(fields, allow_nan=False).encode() + b"\n"


def _text(results: Results) -> str:
    """Return labels and scores of the objects and of the whole picture, one a line."""
    found = [(label, score) for label, score, *_ in results.boxes[:_SHOWN]]
    found += [(label, score) for label, score, box in results.classifications if box is None]
    return "\n".join(f"{'object' if label is None else printable(label)} {score:.2f}" for label, score in found)
