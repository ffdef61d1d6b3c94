"""Finds B-frames: packets whose pictures are shown before those of earlier packets."""

from __future__ import annotations

from .packet import Packet


class PictureOrder:
    """Compares each packet of a stream with the previous one."""

    def __init__(self) -> None:
        self._times: tuple[int | None, int | None, int | None] = (None, None, None)
        self._stream: int | None = None

    def goes_back(self, packet: Packet) -> bool:
        """Return whether the picture of the next packet is shown before the one of the previous packet.

        One clock alone is not evidence: capture times of a publisher may go back, and so may `pts` if its source starts
        again. At a keyframe, pictures may begin anew.

        Args:
            packet: The packet.
        """
        captured_at, pts, dts = packet.captured_at, packet.pts, packet.dts
        shown = captured_at if pts is None else pts
        before, self._times = self._times, (shown, captured_at, dts)
        is_another, self._stream = packet.stream != self._stream, packet.stream
        if is_another or packet.is_keyframe or not _is_less(shown, before[0]):
            return False
        return _is_less(captured_at, before[1]) or _is_less(before[2], dts)


def _is_less(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one < other
