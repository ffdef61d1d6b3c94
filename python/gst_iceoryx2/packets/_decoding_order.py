"""Decoding times of the packets in a file."""

from __future__ import annotations

import heapq
from typing import Final

# Depth of reordering that is assumed if B-frames are possible and the publisher states no decoding times.
_DEPTH: Final = 4


class DecodingOrder:
    """Gives the packets of a track increasing decoding times, as containers demand."""

    __slots__ = ("_last", "_may_reorder", "_waiting")

    def __init__(self, *, may_reorder: bool) -> None:
        self._may_reorder = may_reorder
        self._waiting: list[int] = []
        self._last: int | None = None

    def times(self, pts: int, earlier: int | None) -> tuple[int, int]:
        """Return the presentation and the decoding time of the next packet, in ticks.

        Args:
            pts: Presentation time.
            earlier: Time from decoding to presentation; None = unknown.
        """
        dts = pts if earlier is None else pts - earlier
        if earlier is None and self._may_reorder:
            if not self._waiting:
                self._waiting = [pts - depth for depth in range(_DEPTH, 0, -1)]
            # The smallest of the last times is not later than any time to come.
            dts = heapq.heappushpop(self._waiting, pts)
        if self._last is not None:
            dts = max(dts, self._last + 1)
        self._last = dts
        return max(pts, dts), dts
