"""What a source of pictures must provide. Pictures are drawn straight into the published frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

from ..video.loan import LoanedFrame


@dataclass(frozen=True, slots=True)
class Shape:
    """Size, format and rate of all frames of a source.

    Attributes:
        width: Pixels.
        height: Rows.
        format: GStreamer's name of the format.
        framerate: Frames a second; None = variable or unknown.
        caps: More caps (colorimetry, pixel aspect ratio, interlacing); None = none.
    """

    width: int
    height: int
    format: str
    framerate: Fraction | None
    caps: str | None = None


class Picture(NamedTuple):
    """A picture to publish.

    Attributes:
        pts: Presentation time, nanoseconds from the start.
        fill: Writes all pixels into a frame of the source's shape.
        captured_at: Capture time, nanoseconds of CLOCK_MONOTONIC; None = time of publishing.
        duration: Nanoseconds; None = unknown.
        flags: GstBufferFlags that describe the picture.
    """

    pts: int
    fill: Callable[[LoanedFrame], None]
    captured_at: int | None = None
    duration: int | None = None
    flags: int = 0


class Source(Protocol):
    """A source of pictures.

    Attributes:
        is_live: Whether pictures come in real time, as from a camera. Otherwise the feed waits until they are due.
    """

    is_live: bool

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""

    def pictures(self) -> Iterator[Picture]:
        """The pictures in order."""

    def close(self) -> None:
        """Close files and devices."""
