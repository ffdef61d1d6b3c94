"""The newest packets of a stream, bounded in seconds and bytes. They always begin at a keyframe."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

# Memory that a packet needs besides its data, in bytes, so that very small packets are bounded, too.
_OVERHEAD: Final = 400


class Kept(NamedTuple):
    """A packet in a ring.

    Attributes:
        at: Its time in nanoseconds of CLOCK_MONOTONIC. It is never before the previous packet's time.
        is_keyframe: Whether it can be decoded without earlier packets.
        header: Its header, 112 bytes.
        data: Its data.
    """

    at: int
    is_keyframe: bool
    header: bytes
    data: bytes

    @property
    def cost(self) -> int:
        """Bytes of memory that it counts for."""
        return len(self.data) + _OVERHEAD


class Ring:
    """The newest packets of a stream.

    Packets have positions, which are counted from the first packet that was ever added, so that a reader can continue
    where it was. The oldest group of pictures is removed, from its keyframe to the next one, when all of it is older
    than the newest packet by more than `seconds`, or when there are too many bytes.

    Args:
        seconds: Seconds to keep.
        max_bytes: Bytes to keep at most, including some for each packet's header.

    Attributes:
        first: Position of the first packet.
        bytes: Bytes that the packets count for.
        left_out: Number of packets that were not kept, because they follow a keyframe that does not fit.
        is_full: Whether the bytes, not the seconds, decided what was removed last.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self.first = 0
        self.bytes = 0
        self.left_out = 0
        self.is_full = False
        self._packets: deque[Kept] = deque()
        # Positions of the keyframes.
        self._keyframes: deque[int] = deque()
        self.limit(seconds, max_bytes)

    def limit(self, seconds: float, max_bytes: int) -> None:
        """Change the limits."""
        self.seconds = seconds
        self.max_bytes = max_bytes
        self._evict()

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def end(self) -> int:
        """Position of the next packet to be added."""
        return self.first + len(self._packets)

    def at(self, position: int) -> Kept:
        """Return the packet at a position from `first` to before `end`."""
        return self._packets[position - self.first]

    def span(self) -> tuple[int, int] | None:
        """Return the times of the first and last packet in nanoseconds; None if the ring is empty."""
        return (self._packets[0].at, self._packets[-1].at) if self._packets else None

    def add(self, packet: Kept) -> bool:
        """Add a packet; return whether it was kept. Without a keyframe before it, it is left out."""
        if not packet.is_keyframe and not self._packets:
            self.left_out += 1
            return False
        if self._packets:
            packet = packet._replace(at=max(packet.at, self._packets[-1].at))
        if packet.is_keyframe:
            self._keyframes.append(self.end)
        self._packets.append(packet)
        self.bytes += packet.cost
        self._evict()
        return bool(self._packets)

    def position_at(self, moment: int) -> int:
        """Return the position of the last keyframe at or before a time in nanoseconds, or else of the first packet."""
        found = self.first
        for position in self._keyframes:
            if self.at(position).at > moment:
                break
            found = position
        return found

    def _evict(self) -> None:
        while self._packets and self._is_over():
            following = self._keyframes[1] if len(self._keyframes) > 1 else self.end
            self._keyframes.popleft()
            while self.first < following:
                self.bytes -= self._packets.popleft().cost
                self.first += 1

    def _is_over(self) -> bool:
        """Return whether the oldest group of pictures must go, and note why."""
        has_too_many = self.bytes > self.max_bytes
        is_too_old = len(self._keyframes) > 1 and self._seconds_after(self._keyframes[1] - 1) > self.seconds
        if has_too_many or is_too_old:
            self.is_full = has_too_many
        return has_too_many or is_too_old

    def _seconds_after(self, position: int) -> float:
        """Return the seconds from a packet to the newest one."""
        return (self._packets[-1].at - self.at(position).at) / 1e9
