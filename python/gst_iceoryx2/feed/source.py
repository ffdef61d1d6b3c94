"""What a feed publishes: pictures with their moments, made when there is a frame to fill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

from ..video.loan import LoanedFrame


@dataclass(frozen=True, slots=True)
class Shape:
    """What all frames of a source have in common.

    Attributes:
        width: Pixels.
        height: Rows.
        format: GStreamer's name of the format.
        framerate: Frames a second; None = variable or unknown.
        caps: Further caps (colorimetry, pixel aspect ratio, interlacing); None = none.
    """

    width: int
    height: int
    format: str
    framerate: Fraction | None
    caps: str | None = None


class Picture(NamedTuple):
    """A picture to be published.

    Attributes:
        pts: Nanoseconds from the beginning.
        fill: Writes the pixels, all of them, into a frame of the source's shape.
        captured_at: When it was captured, nanoseconds of CLOCK_MONOTONIC; None = when it is published.
        duration: Nanoseconds; None = unknown.
        flags: GstBufferFlags that describe the picture.
    """

    pts: int
    fill: Callable[[LoanedFrame], None]
    captured_at: int | None = None
    duration: int | None = None
    flags: int = 0


class Source(Protocol):
    """Where pictures come from.

    Attributes:
        is_live: Whether the pictures come at their own time, as from a camera, and not as fast as they are asked for.
    """

    is_live: bool

    @property
    def shape(self) -> Shape:
        """What its frames are."""

    def pictures(self) -> Iterator[Picture]:
        """The pictures, one after the other."""

    def close(self) -> None:
        """Let go of files and devices."""
