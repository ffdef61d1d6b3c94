"""Converts received frames to renditions: scales, crops, changes the format, and draws black beside the picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from .._wire.caps import parse_caps, video_caps
from .._wire.formats import FORMATS, VideoFormat, get_format
from .._wire.rendition import RenditionShape
from .._wire.value import FieldValue
from ..errors import FormatError
from ..feed.canvas import Canvas, Palette
from ..video.colour import to_rgb
from ..video.frame import VideoFrame
from ..video.loan import LoanedFrame
from .colours import Colours, colours_for, colours_of
from .planes import Planes, can_begin

if TYPE_CHECKING:
    from .scaling import Scaling

_Rows: TypeAlias = npt.NDArray[np.uint8]

_RGB: Final = FORMATS["RGB"]
_BLACK: Final = (0, 0, 0)
_NO_PIXELS: Final = np.empty(0, np.uint8)
# Rows that can share a chroma sample.
_MOST_ROWS_OF_CHROMA: Final = 4
# FFmpeg's scaler is wrong for planes with fewer than four rows or columns, and some formats have one chroma sample for
# every four columns. It averages at most 256 samples.
_LEAST_SIDE: Final = 16
_MOST_SHRINKING: Final = 64


@dataclass(frozen=True, slots=True)
class SourceShape:
    """What a converter needs to know about the frames of its source.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        format: GStreamer's name for the format.
        colorimetry: Colorimetry in the caps; None = not stated.
    """

    width: int
    height: int
    format: str
    colorimetry: str | None = None

    @classmethod
    def of(cls, frame: VideoFrame) -> SourceShape:
        """Return the shape of a frame."""
        return cls(frame.width, frame.height, frame.format, _colorimetry_in(frame.caps))


class Converter:
    """Converts frames of one shape to renditions of one shape.

    Pictures are scaled by libswscale, which averages to shrink and interpolates linearly to enlarge. If neither format
    nor size changes, the picture or a part of it is copied, without PyAV. Interlaced pictures are converted as if they
    were progressive. The caller sets the timestamps, flags and metas of the rendition.

    FFmpeg does not have all formats of GStreamer. A source in another format is first converted to 8-bit RGB, and loses
    its alpha. The same is done for a picture with a side below 16 pixels, or that shrinks to less than a 64th.

    A converter keeps one picture of the source's size. Two threads must not use it at once.

    Args:
        shape: Shape of the renditions.
        source: Shape of the frames.

    Raises:
        FormatError: The rendition's format is unknown, or cannot be produced from the source's.
        MissingExtraError: The conversion needs PyAV, which is not installed or too old.
    """

    def __init__(self, shape: RenditionShape, source: SourceShape) -> None:
        self._shape = shape
        self._source = source
        self._from = there = get_format(source.format)
        self._to = here = get_format(shape.format)
        self._from_colours = colours_of(there, source.height, source.colorimetry)
        self._to_colours = colours_for(here, shape.height, there, self._from_colours)
        # Positions in a loan whose first rows have this stride.
        self._stride = 0
        self._positions: tuple[Planes, Planes]
        self._has_border = shape.rect != (0, 0, shape.width, shape.height)
        if not (there.planes and here.planes):
            raise self._impossible()
        if self._has_border and not _can_draw(here):
            raise FormatError(f"cannot draw black beside a picture in {here.name}; use another format, such as NV12")
        if not can_begin(here, shape.rect[0]):
            raise FormatError(f"the picture begins in column {shape.rect[0]}, but {here.name} needs an even column")
        self._scaling: Scaling | None = None
        self._is_by_rgb = self._is_tiny = False
        self._prepare()
        self._black = self._rows_of_black() if self._has_border else ()

    @property
    def caps(self) -> str | None:
        """Colorimetry and pixel aspect ratio of the renditions as caps, without a frame rate; None = the defaults."""
        shape, colorimetry = self._shape, self.colorimetry
        fields: dict[str, FieldValue] = {} if colorimetry is None else {"colorimetry": colorimetry}
        if shape.pixel_aspect != 1:
            fields["pixel_aspect_ratio"] = shape.pixel_aspect
        return video_caps(shape.format, shape.width, shape.height, **cast(Any, fields)) if fields else None

    @property
    def colorimetry(self) -> str | None:
        """Colorimetry of the renditions as in caps; None = the default of the format and height."""
        return self._to_colours.text

    def fill(self, frame: VideoFrame, target: LoanedFrame) -> None:
        """Write the whole rendition of a frame: the picture, and black beside it.

        Args:
            frame: A frame of the source's shape. It is not kept.
            target: A loan of the rendition's size and format.

        Raises:
            FormatError: The frame or the loan has another size or format.
            FrameReleasedError: The frame was released, or the loan was sent.
        """
        shape, source = self._shape, self._source
        for what, is_there, expected in (("frame", frame, source), ("loan", target, shape)):
            found = is_there.width, is_there.height, is_there.format
            if found != (expected.width, expected.height, expected.format):
                raise FormatError(
                    f"the {what} is {found[0]}x{found[1]} {found[2]}, but the converter was made for "
                    f"{expected.width}x{expected.height} {expected.format}"
                )
        planes, part = self._planes_of(target)
        if self._has_border:
            self._draw_border(planes)
        if self._scaling is not None:
            self._scaling.fill(self._part_in_rgb(frame) if self._is_by_rgb else self._part_of(frame), part)
            return
        for rows, source_rows in zip(part.rows(), self._part_of(frame).rows(), strict=True):
            np.copyto(rows, source_rows)

    def _planes_of(self, target: LoanedFrame) -> tuple[Planes, Planes]:
        """Return the planes of a loan, and the part that shows the picture."""
        stride, pixels = target.planes[0].strides[0], target.bytes()
        if self._stride != stride:
            # All loans of a publisher have the same positions.
            planes = Planes.of_loan(target, self._to)._replace(pixels=_NO_PIXELS)
            self._stride, self._positions = stride, (planes, planes.part(*self._shape.rect))
        planes, part = self._positions
        return planes._replace(pixels=pixels), part._replace(pixels=pixels)

    def _prepare(self) -> None:
        """Choose how to convert."""
        there, here, shape = self._from, self._to, self._shape
        part, size = shape.source_rect[2:], shape.rect[2:]
        is_aligned = can_begin(there, shape.source_rect[0])
        if there is here and part == size and is_aligned:
            return
        # Only conversions need PyAV.
        from .scaling import PIXEL_FORMATS, End, Scaling

        if here.name not in PIXEL_FORMATS:
            raise self._impossible()
        self._is_tiny = min(size) < _LEAST_SIDE or any(a > _MOST_SHRINKING * b for a, b in zip(part, size, strict=True))
        # FFmpeg takes gray for full range.
        is_limited_gray = there.is_gray and self._from_colours.limited and here.is_rgb
        self._is_by_rgb = there.name not in PIXEL_FORMATS or not is_aligned or self._is_tiny or is_limited_gray
        if self._is_by_rgb and here.is_gray:
            self._to_colours = colours_for(here, shape.height, _RGB, self._from_colours)
        rgb = End(_RGB, size if self._is_tiny else part, Colours(self._to_colours.matrix, False, None))
        source = rgb if self._is_by_rgb else End(there, part, self._from_colours)
        self._scaling = Scaling(source, End(here, size, self._to_colours))

    def _part_of(self, frame: VideoFrame) -> Planes:
        return Planes.of_frame(frame, self._from).part(*self._shape.source_rect)

    def _part_in_rgb(self, frame: VideoFrame) -> Planes:
        width, height = frame.width, frame.height
        picture = to_rgb(frame.planes, self._from, width, height, self._source.colorimetry)
        part = Planes.of_rgb(picture, _RGB).part(*self._shape.source_rect)
        if not self._is_tiny:
            return part
        _, _, wide, high = self._shape.rect
        return Planes.of_rgb(to_rgb(part.views(), _RGB, part.width, part.height, size=(wide, high)), _RGB)

    def _rows_of_black(self) -> tuple[_Rows, ...]:
        """Return one black row of each plane, as wide as the rendition."""
        format, width = self._to, self._shape.width
        layout = format.tight_layout(width, _MOST_ROWS_OF_CHROMA)
        planes = Planes(format, width, _MOST_ROWS_OF_CHROMA, bytearray(layout.size), layout.strides, layout.offsets)
        palette = Palette(format, self._shape.height, self._to_colours.text)
        Canvas(planes.views(), palette).fill(0, 0, width, _MOST_ROWS_OF_CHROMA, _BLACK)
        return tuple(rows[0] for rows in planes.rows())

    def _draw_border(self, planes: Planes) -> None:
        left, top, width, height = self._shape.rect
        right, bottom = left + width, top + height
        for rows, black, index in zip(planes.rows(), self._black, range(self._to.n_planes), strict=True):
            plane = self._to.planes[index]
            first, after = top >> plane.h_shift, -(-bottom >> plane.h_shift)
            rows[:first] = black
            rows[after:] = black
            begin, end = ((self._to.row_bytes(index, column) if column else 0) for column in (left, right))
            rows[first:after, :begin] = black[:begin]
            rows[first:after, end:] = black[end:]

    def _impossible(self) -> FormatError:
        return FormatError(
            f"cannot convert {self._from.name} to {self._to.name}; use another format, such as NV12 or RGB"
        )


def _can_draw(format: VideoFormat) -> bool:
    """Return whether every sample of the format has bytes of its own, so that black can be drawn."""
    return format.kind in ("planes", "packed") and not format.is_word and np.dtype(format.dtype).kind == "u"


@lru_cache(maxsize=64)
def _colorimetry_in(caps: str | None) -> str | None:
    text = parse_caps(caps).fields.get("colorimetry") if caps else None
    return text if isinstance(text, str) else None
