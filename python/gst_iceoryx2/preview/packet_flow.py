"""What one viewer has received of the packets of a stream, and may receive next."""

from __future__ import annotations

from collections import deque
from typing import Final

from .packet_channel import PacketChannel, PacketMessage

# Most packets and bytes that the page has not confirmed. What it receives when it joins is not counted.
_MAX_PACKETS: Final = 30
_MAX_BYTES: Final = 4 << 20


class PacketFlow:
    """Gives a viewer the packets since the newest keyframe, and then each packet, as long as the page confirms them.

    If the page does not confirm, packets are dropped until a keyframe after it has.

    Args:
        channel: The packets.
    """

    def __init__(self, channel: PacketChannel) -> None:
        self._channel = channel
        # The next packet, and whether it must be a keyframe.
        self._next = 0
        self._at_keyframe = True
        # Number and size of the packets sent since the viewer joined, without those that it received when it joined.
        self._unconfirmed: deque[tuple[int, int]] = deque()
        self._bytes = 0
        channel.join()

    @property
    def has_unconfirmed(self) -> bool:
        """Whether the page has not confirmed all packets."""
        return bool(self._unconfirmed)

    def take(self) -> list[PacketMessage]:
        """Return the packets to send now."""
        found = self._channel.since(self._next, at_keyframe=self._at_keyframe)
        if not found:
            return []
        if found[0].number != self._next or self._at_keyframe:
            # The group of pictures comes at once, however large it is.
            return [] if self._is_full else self._advance(found)
        for place, packet in enumerate(found):
            if self._is_full:
                self.restart(packet.number)
                return found[:place]
            self._unconfirmed.append((packet.number, len(packet.message)))
            self._bytes += len(packet.message)
            self._next = packet.number + 1
        return found

    def confirm(self, number: int) -> None:
        """Note that the page has decoded the packets up to a number."""
        while self._unconfirmed and self._unconfirmed[0][0] <= number:
            self._bytes -= self._unconfirmed.popleft()[1]

    def restart(self, number: int | None = None) -> None:
        """Continue at a keyframe that is not older than a packet, and ask for one; None = the next packet."""
        self._next = self._next if number is None else number
        self._at_keyframe = True
        self._channel.ask_for_keyframe()

    @property
    def _is_full(self) -> bool:
        return len(self._unconfirmed) >= _MAX_PACKETS or self._bytes >= _MAX_BYTES

    def _advance(self, found: list[PacketMessage]) -> list[PacketMessage]:
        self._next, self._at_keyframe = found[-1].number + 1, False
        return found
