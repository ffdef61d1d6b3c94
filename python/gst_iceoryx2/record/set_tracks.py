"""Records several streams, but only their frames that belong together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .._wire.stamp import monotonic_ns
from ..codec.encoder import rate_of
from ..codec.errors import NotLosslessError
from ..discovery import short_name
from ..discovery.thinning import Thinning
from ..errors import FormatError, FrameTimeoutError
from ..video.frame_sets import FrameSet, FrameSets, FrameSetStats
from ..work import Stop
from .following import End, Limits, follow
from .results_log import ResultsLog
from .set_track import SetTrack
from .timeline import Timeline

_log: Final = logging.getLogger("gst_iceoryx2")

# Seconds of capture time by which a stream may be behind. A larger tolerance needs a longer wait.
_WAIT: Final = 0.5
# A stream that sent nothing for this part of the timeout is a silent one.
_SILENT: Final = 0.5
# Pause before the streams are opened again, in seconds.
_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class SetsReport:
    """Progress or result of a recording of frames that belong together.

    Attributes:
        recorded: Sets in the file: one frame in each track.
        tolerance: Largest allowed skew of a set, in seconds.
        skew: Largest skew of the recorded sets: the time between the earliest and the latest capture, in seconds.
        complaint: The problem that occurred, as a sentence; empty if there was none.
    """

    recorded: int
    tolerance: float
    skew: float
    complaint: str


class SetTracks:
    """Receives sets of frames, and encodes each set with one timestamp in all tracks.

    The timestamp is the capture time of the first stream's frame.

    Args:
        services: Full names of the services.
        limits: Limits of the tracks.
        tolerance: Largest skew of a set in seconds.
        logs: Logs of the results of detectors, for each stream.

    Attributes:
        tracks: The track of each stream.
    """

    def __init__(
        self, services: Sequence[str], limits: Limits, tolerance: float, logs: Sequence[Sequence[ResultsLog]]
    ) -> None:
        self._services = tuple(services)
        self._limits = limits
        self._tolerance = tolerance
        self._sets = self._opened()
        self._timeline = Timeline(is_shared=False)
        self._thinning = Thinning(limits.max_fps)
        self._first: FrameSet | None = None
        self._skew = 0.0
        self._complaint = ""
        self._heard = _Heard(self._sets)
        self.tracks: Final = tuple(SetTrack(each, log, self._skipped) for each, log in zip(services, logs, strict=True))

    def _opened(self) -> FrameSets:
        return FrameSets(self._services, tolerance=self._tolerance, wait=max(_WAIT, 2 * self._tolerance))

    # -- the first set -----------------------------------------------------------------------------------------------

    def await_first(self, timeout: float, *, newest: bool = False) -> bool:
        """Wait for the first set and keep it. An end of a stream is ignored.

        Args:
            timeout: Maximum time to wait, in seconds.
            newest: Whether to skip older sets.

        Returns:
            Whether a set arrived.

        Raises:
            FormatError: The frames of a stream have no capture times.
        """
        self._first = self._sets.latest(timeout) if newest else self._sets.receive_blocking(timeout * 1000)
        if self._first is None and self._sets.has_ended:
            # A stream that has ended may begin again.
            self._sets.close()
            time.sleep(min(timeout, _PAUSE))
            self._sets = self._opened()
        return self._first is not None

    def unheard(self) -> list[SetTrack]:
        """Return the tracks whose streams have sent nothing so far."""
        stats = self._sets.stats
        return [track for track in self.tracks if not _arrived(stats[track.service])]

    def no_set(self, timeout: float) -> FrameTimeoutError:
        """Return the error that no set has arrived, although all streams have sent frames."""
        return FrameTimeoutError(f"no set of {self._names} arrived within {timeout:g} s: {self._too_far_apart()}")

    def prepare(self) -> None:
        """Determine the time of the first set, and give each track its frame."""
        first = self._first
        assert first is not None
        moment = self._moment(_Item(first), monotonic_ns())
        for track, frame in zip(self.tracks, first.values(), strict=True):
            track.expect(frame, moment, self._sets)
        rates = [rate for frame in first.values() if (rate := rate_of(frame)) is not None]
        if rates and self._tolerance > (half := 0.5 / float(max(rates))):
            _log.warning(
                "--sync %s is more than half of a frame interval (%s), so a set may contain neighbouring frames if "
                "frames are lost",
                _ms(self._tolerance),
                _ms(half),
            )

    # -- the recording -----------------------------------------------------------------------------------------------

    def run(self, began: int, write: Callable[[Any], None], stop: Stop) -> None:
        """Encode sets until a stream ends, a limit is reached, or `stop` is set. Then finish the encoders.

        Args:
            began: Time at which the file starts, in nanoseconds.
            write: Function that writes packets to the container.
            stop: Set by the caller to end the recording.
        """
        with ThreadPoolExecutor(len(self.tracks)) as pool:
            self._begin(began, pool, write)
            try:
                end = self._follow(began, pool, write, stop)
            except (FormatError, NotLosslessError) as exc:
                end, self._complaint = "changed", str(exc)
        for track in self.tracks:
            track.end(end)
            track.encoded.finish(write)

    def _begin(self, began: int, pool: ThreadPoolExecutor, write: Callable[[Any], None]) -> None:
        first, self._first = self._first, None
        moment = self.tracks[0].first_moment
        assert first is not None
        assert moment is not None
        for track in self.tracks:
            track.encoded.begin(began)
        self._take(_Item(first), moment, pool, write)

    def _follow(self, began: int, pool: ThreadPoolExecutor, write: Callable[[Any], None], stop: Stop) -> End:
        self._heard = _Heard(self._sets)
        end = follow(
            self._receive,
            self._moment,
            lambda item, moment: self._take(item, moment, pool, write),
            self._limits,
            began,
            count=lambda: self.tracks[0].encoded.frames,
            stop=stop,
            while_silent=self._heard.note,
        )
        if end == "silent":
            self._complaint = self._silence()
        return end

    def _receive(self, block_ms: float) -> _Item | None:
        found = self._sets.receive_blocking(block_ms)
        return _Item(found) if found is not None or self._sets.has_ended else None

    def _moment(self, item: _Item, arrived: int) -> int:
        assert item.frames is not None
        captured = item.frames[self._services[0]].captured_at
        assert captured is not None, "frames without a capture time are in no set"
        return self._timeline.place(captured, arrived)

    def _take(self, item: _Item, moment: int, pool: ThreadPoolExecutor, write: Callable[[Any], None]) -> None:
        frames = item.frames
        if frames is None or not self._thinning.takes(moment):
            return
        self._skew = max(self._skew, frames.skew)
        # If a frame cannot be converted, no track gets a frame of its set.
        converted = list(pool.map(lambda track, frame: track.encoded.convert(frame), self.tracks, frames.values()))
        list(pool.map(lambda track, one: track.encoded.put(one, moment, write), self.tracks, converted))

    # -- what is told ------------------------------------------------------------------------------------------------

    @property
    def _names(self) -> str:
        return " and ".join(map(short_name, self._services))

    def _silence(self) -> str:
        what = f"{self._names} gave no set for {self._limits.timeout:g} s"
        silent = self._heard.silent(self._limits.timeout * _SILENT)
        if not silent:
            return f"{what}: {self._too_far_apart()}"
        return f"{what}, because {' and '.join(map(short_name, silent))} sent no frame, but did not end"

    def _too_far_apart(self) -> str:
        miss = self._sets.nearest_miss
        what = f"no frames were captured within {_ms(self._tolerance)} of each other"
        if miss is None:
            return what
        return f"{what}; the nearest were {_ms(miss)} apart, so use a larger --sync, or trigger the cameras together"

    def report(self) -> SetsReport:
        """Return the progress; after `run`, the result."""
        return SetsReport(self.tracks[0].encoded.frames, self._tolerance, self._skew, self._complaint)

    def _skipped(self) -> int:
        return self._thinning.skipped

    def close(self) -> None:
        """Close the subscribers and release all frames."""
        self._first = None
        self._sets.close()


class _Item(NamedTuple):
    """A set, or the end of a stream."""

    frames: FrameSet | None

    def is_eos(self) -> bool:
        return self.frames is None

    def release(self) -> None:
        if self.frames is not None:
            self.frames.release()


class _Heard:
    """Notes when each stream sent its latest frame."""

    def __init__(self, sets: FrameSets) -> None:
        self._sets = sets
        self._counts = dict.fromkeys(sets.subscribers, -1)
        self._at = dict.fromkeys(sets.subscribers, time.monotonic())

    def note(self) -> None:
        """Note which streams have sent frames since the last call."""
        for name, stats in self._sets.stats.items():
            if (count := _arrived(stats)) != self._counts[name]:
                self._counts[name], self._at[name] = count, time.monotonic()

    def silent(self, seconds: float) -> list[str]:
        """Return the streams that have sent nothing for so long."""
        self.note()
        return [name for name, at in self._at.items() if time.monotonic() - at > seconds]


def _arrived(stats: FrameSetStats) -> int:
    return stats.matched + stats.unmatched + stats.absent + stats.unordered + stats.waiting


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
