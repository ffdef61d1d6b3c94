"""Translates between ROS 2's stamps, which are wall-clock times, and CLOCK_MONOTONIC."""

from __future__ import annotations

import time
from typing import Final

from ..._wire.stamp import monotonic_ns

# A sender's clock may be ahead by this much, in nanoseconds. Then the time of arrival counts.
_AHEAD_MAX: Final = 1_000_000_000


def wall_time(moment: int) -> int:
    """Return the wall-clock time of a moment of CLOCK_MONOTONIC; both in nanoseconds."""
    return moment + time.time_ns() - monotonic_ns()


def captured_at(stamp: int, arrived: int) -> int | None:
    """Return when a picture was taken, in nanoseconds of CLOCK_MONOTONIC.

    Args:
        stamp: Wall-clock time in the message, in nanoseconds.
        arrived: When the message arrived, in nanoseconds of CLOCK_MONOTONIC.

    Returns:
        The time, at most `arrived`; None if the stamp is from before this machine's boot, such as a simulation's, or
        from the future.
    """
    moment = stamp - (time.time_ns() - monotonic_ns())
    return min(moment, arrived) if 0 <= moment <= arrived + _AHEAD_MAX else None
