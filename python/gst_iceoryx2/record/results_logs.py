"""The logs of all detectors beside one recording."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from ..packets import Packet
from ..packets.container import Container
from ..results import Results
from .errors import RecordFileError
from .results_log import MAX_REORDER, ResultsLog, ResultsReport, Written

WriteText: TypeAlias = Callable[[int, Written, float, str], None]
"""Writes a subtitle: index of its track of subtitles, its frame, its duration in seconds, and its text."""


WriteResults: TypeAlias = Callable[[int, Written, Results], None]
"""Writes results into the recording: index of the log, the frame, and its results."""


class ResultsLogs:
    """A log for each stream and each detector.

    Args:
        path: The recording's file.
        streams: Names of the streams.
        detectors: Names of the detectors.

    Attributes:
        subtitles: Titles of the tracks of subtitles in the file; empty if its container cannot hold them.
    """

    def __init__(self, path: Path, streams: Sequence[str], detectors: Sequence[str]) -> None:
        self._path = path
        self._streams = streams
        self._detectors = tuple(dict.fromkeys(detectors))
        self._logs: list[list[ResultsLog]] = [[] for _ in streams]
        names = [self._name(stream, detector) for stream in streams for detector in self._detectors]
        self.subtitles = names if Container(path).has_subtitles else []

    def open(self, write_text: WriteText, write_results: WriteResults, *, overwrite: bool) -> None:
        """Create the files.

        Args:
            write_text: Writes subtitles, if the container can hold them.
            write_results: Called with the results of each frame.
            overwrite: Whether to replace existing files.

        Raises:
            Iox2VideoError: See `ResultsLog`.
        """
        for logs, stream in zip(self._logs, self._streams, strict=True):
            for detector in self._detectors:
                index = len(self._all)
                name = self._name(stream, detector).replace(os.sep, "-")
                path = self._path.with_name(f"{self._path.stem}.{name}.jsonl")

                def write(written: Written, duration: float, text: str, index: int = index) -> None:
                    write_text(index, written, duration, text)

                def note(written: Written, results: Results, index: int = index) -> None:
                    write_results(index, written, results)

                texts = write if self.subtitles else None
                log = ResultsLog(stream, detector, path, overwrite=overwrite, write_text=texts, write_results=note)
                logs.append(log)

    @property
    def sources(self) -> list[tuple[str, str]]:
        """Stream and detector of each log."""
        return [(stream, detector) for stream in self._streams for detector in self._detectors]

    def of(self, index: int) -> Sequence[ResultsLog]:
        """Return the logs of one stream."""
        return self._logs[index]

    @property
    def all(self) -> Sequence[Sequence[ResultsLog]]:
        """The logs of each stream."""
        return self._logs

    def note_packet(self, index: int, packet: Packet, written: Written, *, may_reorder: bool) -> None:
        """Add a packet of one stream."""
        publisher, sequence = packet.publisher, packet.sequence
        id_ = None if publisher is None or sequence is None else (publisher, sequence)
        reorder = MAX_REORDER if may_reorder else 0
        for log in self._logs[index]:
            log.note(written._replace(id=id_, captured_at=packet.captured_at, reorder=reorder))

    def start(self) -> None:
        """Begin to receive results."""
        for log in self._all:
            log.start()

    def close(self) -> None:
        """Write the last lines, and close the logs. Idempotent."""
        # All of them wait for their last results at once.
        for log in self._all:
            log.finish()
        for log in self._all:
            log.close()

    @property
    def failure(self) -> RecordFileError | None:
        """Why a log cannot be written; None if all can."""
        return next((log.failure for log in self._all if log.failure is not None), None)

    def report(self) -> tuple[ResultsReport, ...]:
        """Return the progress; after `close`, the result."""
        return tuple(log.report() for log in self._all)

    @property
    def _all(self) -> list[ResultsLog]:
        return [log for logs in self._logs for log in logs]

    def _name(self, stream: str, detector: str) -> str:
        return detector if len(self._streams) == 1 else f"{stream}.{detector}"
