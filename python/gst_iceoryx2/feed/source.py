"""The interface of a source of pictures. Pictures are written directly into the published frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol, TypeAlias

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


Lend: TypeAlias = Callable[[int | None], LoanedFrame]
"""Returns a frame of the source's size and format to fill, for sources that fill frames by themselves.

The argument is the number of bytes from the start of one row to the next in the first plane; None = without padding.
"""


class Picture(NamedTuple):
    """A picture to publish.

    Attributes:
        pts: Presentation time, in nanoseconds from the start.
        fill: Function that writes all pixels into a frame of the source's size and format; None if `frame` is given.
        captured_at: Capture time, in nanoseconds of CLOCK_MONOTONIC; None means the time of publishing.
        duration: Duration in nanoseconds; None means unknown.
        flags: GstBufferFlags that describe the picture.
        frame: The frame with the picture, if the source has filled one from `lend`.
        is_by_reference: Whether no program copied the picture: the device wrote into `frame`.
    """

    pts: int
    fill: Callable[[LoanedFrame], None] | None
    captured_at: int | None = None
    duration: int | None = None
    flags: int = 0
    frame: LoanedFrame | None = None
    is_by_reference: bool = False


class Source(Protocol):
    """A source of pictures.

    Attributes:
        is_live: Whether pictures arrive in real time, as from a camera. Otherwise the feed waits until they are due.
        damaged: Number of pictures that were damaged when they arrived.
        lost: Number of pictures that were lost before they arrived.
    """

    is_live: bool
    damaged: int
    lost: int

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""

    @property
    def about(self) -> str:
        """Where the pictures come from, in words."""

    def pictures(self, lend: Lend) -> Iterator[Picture | None]:
        """Yield the pictures in order; None if there is none at present.

        Args:
            lend: Returns a frame that the source may fill and yield in `Picture.frame`.
        """

    def close(self) -> None:
        """Close files and devices, and discard the frames from `lend` that were not yielded."""
