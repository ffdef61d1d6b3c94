"""Follows one stream of a recording until it ends, or a limit is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from .._wire.stamp import monotonic_ns
from ..work import Stop

End: TypeAlias = Literal["running", "end of stream", "limit", "stopped", "silent", "changed"]

NS: Final = 1_000_000_000
_WAIT_MS: Final = 100.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a track.

    Attributes:
        duration: Length in seconds; None means no limit.
        frames: Number of frames; None means no limit.
        max_fps: Maximum number of frames per second; None records all frames.
        timeout: Seconds without a frame after which the track ends.
    """

    duration: float | None
    frames: int | None
    max_fps: float | None
    timeout: float


class _Item(Protocol):
    """A frame or a packet."""

    def is_eos(self) -> bool: ...

    def release(self) -> None: ...


T = TypeVar("T", bound=_Item)


def follow(
    receive: Callable[[float], T | None],
    moment_of: Callable[[T, int], int],
    take: Callable[[T, int], object],
    limits: Limits,
    began: int,
    *,
    count: Callable[[], int],
    stop: Stop,
    while_silent: Callable[[], object] = lambda: None,
) -> End:
    """Receive frames or packets until the stream ends, a limit is reached, or `stop` is set.

    Args:
        receive: Waits for the next one, for some milliseconds.
        moment_of: Returns the timestamp of one that arrived at a time; all times are in nanoseconds of CLOCK_MONOTONIC.
        take: Called with each one and its timestamp. It is released afterwards.
        limits: Limits of the track.
        began: Time at which the file starts.
        count: Returns the number of frames in the file.
        stop: Set by the caller to end the track.
        while_silent: Called whenever nothing has arrived for a moment.

    Returns:
        Why it ended.
    """
    heard = monotonic_ns()
    while not stop.is_set():
        if limits.frames is not None and count() >= limits.frames:
            return "limit"
        item = receive(_WAIT_MS)
        arrived = monotonic_ns()
        if item is None:
            while_silent()
            if arrived - heard >= limits.timeout * NS:
                return "silent"
            # The duration limit also applies while the stream is paused.
            if limits.duration is not None and arrived - heard >= limits.duration * NS:
                return "limit"
            continue
        heard = arrived
        if item.is_eos():
            return "end of stream"
        moment = moment_of(item, arrived)
        if limits.duration is not None and moment - began >= limits.duration * NS:
            return "limit"
        take(item, moment)
        item.release()
    return "stopped"
