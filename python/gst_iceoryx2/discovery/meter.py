"""Measures streams continuously, each with its own subscriber."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import pstdev
from typing import Final

from .._iox2 import binding, types
from .._iox2.description import service_identity
from .._iox2.domain import Domain, current_domain
from .._wire.header import VideoFrameHeader
from .._wire.stamp import monotonic_ns
from ..errors import Iox2VideoError
from ..video._observer import VideoFrameObserver
from ..video.frame import VideoFrame
from .names import names
from .stream import Stream
from .watched import WatchedFrames, frames_in

__all__ = ["Meter", "Meters", "Reading"]

# Rates cover one second, statistics cover five.
_SECOND: Final = 1_000_000_000
_SPREAD: Final = 5 * _SECOND
# Seconds for which a stream is still shown after it has gone.
_LINGER: Final = 5.0


@dataclass(frozen=True, slots=True)
class Reading(Stream):
    """Measurements of a stream; None means unknown. `fps` counts the frames that arrived in the last second.

    Attributes:
        jitter: Standard deviation of the time between arrivals over five seconds, in seconds.
        bytes_per_second: Pixel bytes that arrived in the last second.
        gaps: Number of frames that were sent but did not arrive, since the measurement began.
        latency_p50: Median time from capture to arrival over five seconds, in seconds.
        latency_p99: 99th percentile of the time from capture to arrival over five seconds, in seconds.
    """

    jitter: float | None = None
    bytes_per_second: float | None = None
    gaps: int | None = None
    latency_p50: float | None = None
    latency_p99: float | None = None


class Meter(WatchedFrames):
    """Measures one stream until the meter is closed. The stream may start later, end and restart."""

    # A stream on demand does not run because somebody measures it.
    _kind = VideoFrameObserver

    def __init__(self, name: str) -> None:
        super().__init__(name, skips=False)
        self._start()

    def _take(self, frame: VideoFrame, *, is_new: bool) -> None:
        self.has_ended = False

    def reading(self) -> Reading:
        """Return the current state of the stream, without participant counts."""
        now = monotonic_ns()
        arrivals, newest = self.arrivals(now - _SPREAD), self.newest
        latencies = sorted(one.latency for one in arrivals if one.latency is not None)
        between = [later.moment - one.moment for one, later in pairwise(arrivals)]
        recent = [one for one in arrivals if one.moment >= now - _SECOND]
        seconds = self.seconds(now, _SECOND)
        return Reading(
            self.name,
            format=newest and newest.format,
            width=newest and newest.width,
            height=newest and newest.height,
            fps=frames_in(recent) / seconds if newest else None,
            jitter=pstdev(between) / 1e9 if len(between) > 1 else None,
            bytes_per_second=sum(one.size for one in recent) / seconds if newest else None,
            gaps=self.counts().dropped if newest else None,
            latency_p50=_percentile(latencies, 50),
            latency_p99=_percentile(latencies, 99),
            has_ended=self.has_ended,
            problem=self.problem,
        )


def _percentile(ascending: Sequence[int], percent: int) -> float | None:
    """Return the smallest value that `percent` of the values do not exceed, in seconds."""
    if not ascending:
        return None
    return ascending[-(-len(ascending) * percent // 100) - 1] / 1e9


class Meters:
    """Measures several streams.

    Args:
        wanted: Full names of services. If empty, all streams in the domain, including those that start later.

    Raises:
        DomainError: The domain of this process cannot be used.
    """

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self._domain: Domain = current_domain()
        self._node: types.Node | None = None
        self._meters: dict[str, Meter] = {}
        self._last_seen: dict[str, float] = {}
        self._follows_all = True
        for name in wanted:
            self._follows_all = False
            self._meters.setdefault(name, Meter(name))
        if self._follows_all:
            self._follow()

    def _follow(self) -> None:
        """Add meters for new streams, and close the meters of streams that have gone."""
        now = time.monotonic()
        for name in names():
            self._last_seen[name] = now
            if name not in self._meters:
                self._meters[name] = Meter(name)
        for name, seen in list(self._last_seen.items()):
            if now - seen > _LINGER:
                del self._last_seen[name]
                self._meters.pop(name).close()

    def readings(self) -> list[Reading]:
        """Return the current state of each stream, in the order of `wanted` or sorted by name."""
        if self._follows_all:
            self._follow()
        order = sorted(self._meters) if self._follows_all else self._meters
        return [self._with_participants(self._meters[name]) for name in order]

    def _with_participants(self, meter: Meter) -> Reading:
        reading = meter.reading()
        if service_identity(self._domain.service_file(meter.name, "PublishSubscribe")) is None:
            return replace(reading, publishers=0, problem=reading.problem or "waiting for a publisher")
        try:
            if self._node is None:
                self._node = binding.create_node(self._domain)
            # Not kept open, because an open service would force its quality of service on the next publisher.
            service = binding.open_pub_sub(self._node, meter.name, VideoFrameHeader)
        except Iox2VideoError as exc:
            return replace(reading, problem=reading.problem or str(exc))
        if service is None:
            return reading
        now = service.dynamic_config
        return replace(
            reading,
            publishers=now.number_of_publishers,
            subscribers=max(0, now.number_of_subscribers - meter.is_connected),
            max_subscribers=service.static_config.max_subscribers,
        )

    def close(self) -> None:
        """Close all meters. Idempotent."""
        meters, self._meters = self._meters, {}
        for meter in meters.values():
            with contextlib.suppress(Iox2VideoError):
                meter.close()
        self._node = None

    def __enter__(self) -> Meters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
