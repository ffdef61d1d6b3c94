"""The interface of a source of pictures. Pictures are written directly into the published frame."""

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
        width: Width in pixels.
        height: Height in rows.
        format: GStreamer's name for the format.
        framerate: Frames per second; None means variable or unknown.
        caps: Additional caps (colorimetry, pixel aspect ratio, interlacing); None if there are none.
    """

    width: int
    height: int
    format: str
    framerate: Fraction | None
    caps: str | None = None


class Picture(NamedTuple):
    """A picture to publish.

    Attributes:
        pts: Presentation time, in nanoseconds from the start.
        fill: Function that writes all pixels into a frame of the source's size and format.
        captured_at: Capture time, in nanoseconds of CLOCK_MONOTONIC; None means the time of publishing.
        duration: Duration in nanoseconds; None means unknown.
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
        is_live: Whether pictures arrive in real time, as from a camera. Otherwise the feed waits until they are due.
    """

    is_live: bool

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures in order."""

    def close(self) -> None:
        """Close files and devices."""
