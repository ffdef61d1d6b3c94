"""Converts capture times to times of day."""

from __future__ import annotations

import time
from typing import Final, Protocol

from .._wire.clock import INT64_MAX
from .._wire.stamp import monotonic_ns

# Attempts to read both clocks at the same time.
_READINGS: Final = 20


class _Captured(Protocol):
    """A frame, or something that belongs to one."""

    @property
    def captured_at(self) -> int | None: ...


class WallClock:
    """Converts times of CLOCK_MONOTONIC to times of day. The difference stays as it was at the start.

    Attributes:
        offset: Time of day minus CLOCK_MONOTONIC, in nanoseconds.
    """

    def __init__(self) -> None:
        self.offset: Final = min(_reading() for _ in range(_READINGS))[1]

    def at(self, moment: int) -> int:
        """Return the time of day of a time of CLOCK_MONOTONIC.

        Args:
            moment: Nanoseconds of CLOCK_MONOTONIC. Any process may have sent them.

        Returns:
            Nanoseconds since 1970, from 0 to 2^63 - 1, which file formats can store.
        """
        return max(0, min(moment + self.offset, INT64_MAX))

    def time_of(self, item: _Captured) -> int:
        """Return the capture time in nanoseconds since 1970; the time of this call if it is unknown."""
        captured_at = item.captured_at
        return self.at(monotonic_ns() if captured_at is None else captured_at)


def _reading() -> tuple[int, int]:
    """Return how long reading both clocks took, and the difference of the clocks."""
    before = monotonic_ns()
    wall = time.time_ns()
    after = monotonic_ns()
    return after - before, wall - (before + after) // 2
