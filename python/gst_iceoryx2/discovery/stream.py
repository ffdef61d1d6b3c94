"""One stream, as it was at the moment of a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .names import short_name


@dataclass(frozen=True, slots=True)
class Stream:
    """What is known of a stream; None stands for what is not.

    Attributes:
        name: Name of the service; of a Sh4lt path, `sh4lt:` and the path.
        kind: Where it runs.
        format: GStreamer's name of the pixel format.
        width: Pixels.
        height: Pixels.
        fps: Frames a second, measured; None where fewer than two frames came during the look.
        framerate: What the caps state, "30000/1001".
        publishers: How many take part now.
        subscribers: How many take part now, this look not counted.
        max_publishers: How many the service admits.
        max_subscribers: How many the service admits.
        age: Seconds since the newest frame was captured.
        caps: Caps of the newest frame, as GStreamer writes them.
        has_ended: Whether the newest thing was the end of the stream.
        problem: Why something is unknown, or what is wrong; one line.
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
        """The shortest name that commands and `full_name` understand."""
        return short_name(self.name)
