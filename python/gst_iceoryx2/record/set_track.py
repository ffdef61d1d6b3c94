"""One stream of a recording of frames that belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..discovery import short_name
from ..video.frame import VideoFrame
from ..video.frame_sets import FrameSets, FrameSetStats
from .encoded_track import EncodedTrack, FrameEncoder
from .following import End
from .results_log import ResultsLog
from .track import TrackReport


class SetTrack:
    """One stream: its track in the file, and what became of its frames.

    Args:
        service: Full name of the service.
        logs: Logs of the results of detectors.
        skipped: Returns the number of sets that were skipped.

    Attributes:
        service: Full name of the service.
        awaited: Full name of the stream that must exist.
        encoded: Its track in the file.
    """

    def __init__(self, service: str, logs: Sequence[ResultsLog], skipped: Callable[[], int]) -> None:
        self.service = self.awaited = service
        self.encoded: Final = EncodedTrack(logs)
        self._skipped = skipped
        self._first: tuple[VideoFrame, int] | None = None
        self._sets: FrameSets | None = None
        self._before = FrameSetStats(0, 0, 0, 0, 0, 0, 0)
        self._last: FrameSetStats | None = None
        self._dropped_before = 0
        self._end: End = "running"

    @property
    def name(self) -> str:
        """Short name of the service."""
        return short_name(self.service)

    @property
    def first_moment(self) -> int | None:
        """Timestamp of the first frame, in nanoseconds; None before the first frame."""
        return self.encoded.first_moment

    def expect(self, first: VideoFrame, moment: int, sets: FrameSets) -> None:
        """Set the first frame and its timestamp, and count from here on."""
        self._first = first, moment
        self._sets = sets
        self._before = sets.stats[self.service]
        self._dropped_before = sets.subscribers[self.service].stats.dropped or 0

    def prepare(self, encoder_of: Callable[[VideoFrame], FrameEncoder], path: Path) -> None:
        """Create the encoder.

        Args:
            encoder_of: Returns an encoder for a stream, given its first frame.
            path: The file.

        Raises:
            NotLosslessError: The codec is lossless and cannot represent the pixels.
            UnsupportedViewError: The format is tiled or uses a palette.
        """
        first, self._first = self._first, None
        assert first is not None
        self.encoded.prepare(encoder_of(first[0]), path, *first)

    def end(self, end: End) -> None:
        """Keep the counters. If another stream has ended or is silent, waiting frames have no partner any more."""
        last = self._stats()
        is_alone = end in ("end of stream", "silent")
        self._last = last._replace(absent=last.absent + last.waiting) if is_alone else last
        self._end = end

    def report(self) -> TrackReport:
        """Return the progress; after `end`, the result."""
        encoded, before, now = self.encoded, self._before, self._last or self._stats()
        stats = None if self._sets is None else self._sets.subscribers[self.service].stats
        dropped = 0 if stats is None else stats.dropped
        return TrackReport(
            self.service,
            *encoded.what,
            encoded.frames,
            None if dropped is None else dropped - self._dropped_before,
            self._skipped(),
            0 if stats is None else stats.invalid,
            encoded.seconds,
            encoded.resized,
            self._end,
            "",
            unmatched=now.unmatched - before.unmatched,
            absent=now.absent - before.absent,
            unordered=now.unordered - before.unordered,
        )

    def close(self) -> None:
        """Release all frames."""
        self._first = None
        self.encoded.close()

    def _stats(self) -> FrameSetStats:
        return self._before if self._sets is None else self._sets.stats[self.service]
