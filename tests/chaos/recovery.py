"""Measures how long readers of streams on demand get no frames after a fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.chaos.player import Part, Player

RECOVERS_WITHIN: Final = 25.0
"""After a fault of a supervisor or of its processes, readers must get frames again within this many seconds.

The supervisor waits for up to 10 seconds before it starts a process again that has failed repeatedly.
"""
# More frames than those that were sent before the fault, and were not read or not reported yet.
_FRAMES: Final = 15


class Recovery:
    """The time from the end of a fault until each reader has received frames.

    Attributes:
        is_open: Whether a fault has begun whose readers have not recovered yet.
        times: Seconds that they took, of each fault.
    """

    def __init__(self, within: float = RECOVERS_WITHIN) -> None:
        self.within: Final = within
        self.is_open = False
        self.times: list[float] = []
        self._since: float | None = None
        self._frames: dict[int, int] = {}

    def open(self) -> None:
        """Begin a fault: no other one begins until the readers have recovered."""
        self.is_open, self._since = True, None

    def begin(self, players: Iterable[Player], now: float) -> None:
        """End a fault; the readers begin to recover. A later call begins again."""
        self.is_open, self._since = True, now
        self._frames = {id(part): _frames(part) for part in _readers(players)}

    def look(self, players: Iterable[Player], now: float) -> str | None:
        """Note whether the readers have recovered; return a fault if they have not for too long."""
        if self._since is None:
            return None
        took = now - self._since
        missing = [
            part.spec["service"]
            for part in _readers(players)
            if _frames(part) < self._frames.get(id(part), 0) + _FRAMES
        ]
        if missing and took < self.within:
            return None
        self.is_open, self._since = False, None
        if not missing:
            self.times.append(took)
            return None
        return f"readers of {', '.join(missing)} got less than {_FRAMES} frames within {took:.1f} s after a fault"


def _readers(players: Iterable[Player]) -> list[Part]:
    return [
        part
        for player in players
        for part in player.parts
        if part.spec["kind"] in ("reader", "packet reader") and part.spec["habit"] == "steady"
    ]


def _frames(part: Part) -> int:
    return 0 if part.beat is None else part.beat.counters["frames"]
