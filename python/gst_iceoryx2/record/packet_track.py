"""One stream of a recording that is encoded already: its subscriber and its track in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .._wire.stamp import monotonic_ns
from ..codec import PacketsOnDemand
from ..discovery import full_name, short_name
from ..packets import Packet, PacketSubscriber
from ..packets._stream_format import StreamFormat
from ..work import Stop
from .following import NS, End, Limits, follow
from .timeline import PacketTimeline
from .track import TrackReport


class PacketSink(Protocol):
    """A file of packets, such as `PacketFile`."""

    def write(self, packet: Packet, moment: int, track: int = 0) -> bool:
        """Write a packet of a track; return whether it was written."""

    def format(self, track: int = 0) -> StreamFormat | None:
        """Return the format of a track's newest keyframe; None before the first one."""

    def skipped_of(self, track: int) -> int:
        """Return the number of packets not written because no keyframe preceded them."""

    def invalid_of(self, track: int) -> int:
        """Return the number of keyframes not written because they cannot be understood."""


class PacketTrack:
    """Receives the packets of one stream and writes them to a file.

    Args:
        name: Name of the stream or of its packets.
        limits: Limits of the track.
        file: The file.
        index: Index of the track in the file.
        is_shared: Whether the file contains other streams.

    Attributes:
        service: Full name of the packets' service.
        awaited: Full name of the stream that must exist.
        first_moment: Timestamp of the first packet, in nanoseconds; None before the first packet.
    """

    def __init__(self, name: str, limits: Limits, file: PacketSink, index: int, *, is_shared: bool) -> None:
        self._source = PacketsOnDemand(name, "h264")
        self.service = self._source.service
        self.awaited = full_name(short_name(self.service).rpartition("@")[0])
        self._limits = limits
        self._file = file
        self._index = index
        self._timeline = PacketTimeline(is_shared=is_shared)
        self._first: Packet | None = None
        self._what = (0, 0, "", "")
        self._stream = self._frames = self._restarts = 0
        self._began = self._last = 0
        self._gaps = _Gaps()
        self._dropped_before = self._withheld_before = 0
        self._end: End = "running"
        self._complaint = ""
        self.first_moment: int | None = None
        try:
            self._subscriber = PacketSubscriber(self.service)
        except BaseException:
            self._source.close()
            raise

    @property
    def name(self) -> str:
        """Short name of the packets' service."""
        return short_name(self.service)

    def await_first(self, timeout: float, *, newest: bool = False) -> bool:
        """Wait for the first packet and keep it. An end of stream is ignored.

        Args:
            timeout: Maximum time to wait, in seconds.
            newest: Whether to start at the newest keyframe.

        Returns:
            Whether a packet arrived.

        Raises:
            Iox2VideoError: The encoder of this process failed.
        """
        if newest:
            # A new subscriber starts there.
            self._subscriber.close()
            self._subscriber = PacketSubscriber(self.service)
        self._first = None
        packet = self._subscriber.receive_blocking(timeout * 1000)
        if packet is None or packet.is_eos():
            self._source.check()
            return False
        self._first = packet
        return True

    def unheard(self) -> list[PacketTrack]:
        """Return this track, whose stream has sent nothing so far."""
        return [self]

    def prepare(self) -> None:
        """Determine when the first packet is shown."""
        first, stats = self._first, self._subscriber.stats
        assert first is not None
        self._dropped_before, self._withheld_before = stats.dropped, stats.withheld
        self._stream = first.stream
        self.first_moment = self._timeline.moment(first, monotonic_ns())

    def run(self, began: int, write: Callable[[Any], None], stop: Stop) -> None:
        """Write packets until the stream ends, a limit is reached, or `stop` is set.

        Args:
            began: Time at which the file starts, in nanoseconds.
            write: Function that calls a function while no other track writes.
            stop: Set by the caller to end the track.
        """
        first, self._first = self._first, None
        assert first is not None
        assert self.first_moment is not None
        self._began, self._last = began, self.first_moment
        self._write(first, self.first_moment, write)
        first.release()
        self._end = self._follow(write, stop)

    def _follow(self, write: Callable[[Any], None], stop: Stop) -> End:
        limits = self._limits
        end = follow(
            self._subscriber.receive_blocking,
            self._timeline.moment,
            lambda packet, moment: self._write(packet, moment, write),
            limits,
            self._began,
            count=lambda: self._frames,
            stop=stop,
            while_silent=self._source.check,
        )
        if end == "silent":
            self._complaint = f"{self.name} did not end its stream, but sent no packet for {limits.timeout:g} s"
        return end

    def _write(self, packet: Packet, moment: int, write: Callable[[Any], None]) -> None:
        if packet.stream != self._stream:
            self._stream = packet.stream
            self._restarts += 1
        write(lambda: self._put(packet, moment))

    def _put(self, packet: Packet, moment: int) -> None:
        if not self._file.write(packet, moment - self._began, self._index):
            return
        self._frames += 1
        self._gaps.note(packet)
        self._last = max(self._last, moment)
        found = self._file.format(self._index)
        if self._frames == 1 and found is not None:
            self._what = (found.width, found.height, found.codec, found.pixel_format)

    def report(self) -> TrackReport:
        """Return the progress; after `run`, the result."""
        stats, first = self._subscriber.stats, self.first_moment
        withheld = stats.withheld - self._withheld_before + self._file.skipped_of(self._index)
        return TrackReport(
            self.service,
            *self._what,
            self._frames,
            # An encoder that is too slow loses frames before they become packets.
            max(stats.dropped - self._dropped_before, self._gaps.total - withheld),
            0,
            stats.invalid + self._file.invalid_of(self._index),
            0.0 if first is None else (self._last - first) / NS,
            False,
            self._end,
            self._complaint,
            withheld,
            self._restarts,
        )

    def close(self) -> None:
        """Close the subscriber and release all packets."""
        self._first = None
        self._subscriber.close()
        self._source.close()


class _Gaps:
    """Counts the frames that are missing between those of the packets."""

    __slots__ = ("_before", "_count", "_highest", "_lowest", "_publisher")

    def __init__(self) -> None:
        self._publisher: int | None = None
        self._before = self._count = self._lowest = 0
        self._highest = -1

    def note(self, packet: Packet) -> None:
        """Count the frame of a packet. With B-frames, packets are in another order than their frames."""
        publisher, sequence = packet.publisher, packet.sequence
        if publisher is None or sequence is None:
            return
        if publisher != self._publisher:
            self._before = self.total
            self._publisher, self._lowest, self._highest, self._count = publisher, sequence, sequence, 0
        self._lowest, self._highest = min(self._lowest, sequence), max(self._highest, sequence)
        self._count += 1

    @property
    def total(self) -> int:
        """Number of frames that are missing."""
        return self._before + max(0, self._highest - self._lowest + 1 - self._count)
