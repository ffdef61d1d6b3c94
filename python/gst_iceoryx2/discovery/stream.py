"""The state of a stream at one point in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .names import short_name
from .served import Served


@dataclass(frozen=True, slots=True)
class Stream:
    """The state of a stream; None means unknown.

    Attributes:
        name: Full name of the service, or `sh4lt:` followed by a path.
        kind: Transport of the stream.
        format: GStreamer's name for the pixel format.
        width: Width in pixels.
        height: Height in rows.
        fps: Measured frames per second; None if fewer than two frames arrived.
        framerate: Frame rate in the caps, as "30000/1001".
        publishers: Number of publishers.
        subscribers: Number of subscribers, not counting this probe.
        max_publishers: Maximum number of publishers.
        max_subscribers: Maximum number of subscribers.
        age: Seconds since the newest frame was captured.
        caps: Caps of the newest frame, as GStreamer writes them.
        has_ended: Whether the stream has ended and has not started again.
        problem: What is wrong, or why a value is unknown, in one line.
        served: What its supervisor (`iox2-video serve`) says about it; None if none serves it.
    """

    name: str
    kind: Literal["iceoryx2", "sh4lt"] = "iceoryx2"
    format: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    framerate: str | None = None
    publishers: int | None = None
    subscribers: int | None = None
    max_publishers: int | None = None
    max_subscribers: int | None = None
    age: float | None = None
    caps: str | None = None
    has_ended: bool = False
    problem: str | None = None
    served: Served | None = None

    @property
    def short_name(self) -> str:
        """The shortest name that commands and `full_name` accept."""
        return short_name(self.name)
