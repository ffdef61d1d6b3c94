"""The state of a stream at one time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .names import short_name


@dataclass(frozen=True, slots=True)
class Stream:
    """The state of a stream; None = unknown.

    Attributes:
        name: Full name of the service, or `sh4lt:` and a path.
        kind: Transport of the stream.
        format: GStreamer's name of the pixel format.
        width: Pixels.
        height: Rows.
        fps: Measured frames a second; None if fewer than two frames came.
        framerate: Frame rate in the caps, as "30000/1001".
        publishers: Number of publishers.
        subscribers: Number of subscribers, without this probe.
        max_publishers: Limit of publishers.
        max_subscribers: Limit of subscribers.
        age: Seconds since the newest frame was captured.
        caps: Caps of the newest frame, as GStreamer writes them.
        has_ended: Whether the stream has ended and not started again.
        problem: What is wrong, or why something is unknown; one line.
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

    @property
    def short_name(self) -> str:
        """The shortest name that commands and `full_name` accept."""
        return short_name(self.name)
