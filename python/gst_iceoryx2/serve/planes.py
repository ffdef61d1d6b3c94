"""Parts of a picture in memory, as rows of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._wire.formats import Pixels, VideoFormat
from ..video.frame import VideoFrame
from ..video.loan import LoanedFrame


class Planes(NamedTuple):
    """A picture, or a rectangle of one, in any format whose rows are stored one by one.

    Attributes:
        format: Pixel format.
        width: Width in pixels.
        height: Height in pixels.
        pixels: The memory, borrowed.
        strides: For each plane, bytes from the start of one row to the next.
        offsets: For each plane, the offset of its first byte in `pixels`.
    """

    format: VideoFormat
    width: int
    height: int
    pixels: Pixels
    strides: Sequence[int]
    offsets: Sequence[int]

    @classmethod
    def of_frame(cls, frame: VideoFrame, format: VideoFormat) -> Planes:
        """Return the planes of a frame in this format; read-only."""
        header, count = frame.header, format.n_planes
        strides, offsets = header.stride[:count], header.plane_offsets[:count]
        return cls(format, frame.width, frame.height, frame.pixels, strides, offsets)

    @classmethod
    def of_loan(cls, loan: LoanedFrame, format: VideoFormat) -> Planes:
        """Return the planes of a loan in this format; writable."""
        strides, offsets, _ = format.tight_layout(loan.width, loan.height, loan.planes[0].strides[0])
        return cls(format, loan.width, loan.height, loan.bytes(), strides, offsets)

    @classmethod
    def of_rgb(cls, array: npt.NDArray[np.uint8], format: VideoFormat) -> Planes:
        """Return the planes of a C-contiguous array (H, W, 3)."""
        height, width, _ = array.shape
        return cls(format, width, height, array.data, (array.strides[0],), (0,))

    def part(self, left: int, top: int, width: int, height: int) -> Planes:
        """Return a rectangle of the picture.

        If pixels share chroma, and the first column or row does not begin such a group, the rectangle's chroma begins
        with the group.
        """
        offsets = [
            offset + (top >> plane.h_shift) * stride + (left >> plane.w_shift) // plane.group_pixels * plane.group_bytes
            for offset, stride, plane in zip(self.offsets, self.strides, self.format.planes, strict=True)
        ]
        return self._replace(width=width, height=height, offsets=offsets)

    def rows(self) -> list[npt.NDArray[np.uint8]]:
        """Return each plane as a uint8 array of shape (rows, bytes of a row). Rows end with a whole group of pixels."""
        return [
            np.ndarray(
                (self.format.rows(index, self.height), self.format.row_bytes(index, self.width)),
                np.uint8,
                self.pixels,
                offset,
                (stride, 1),
            )
            for index, (offset, stride) in enumerate(zip(self.offsets, self.strides, strict=True))
        ]

    def views(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the planes as `VideoFrame.planes` does."""
        return self.format.views(self.pixels, self.width, self.height, self.strides, self.offsets)


def can_begin(format: VideoFormat, column: int) -> bool:
    """Return whether a rectangle can begin in this column, because no bytes are shared with the column before it."""
    return all((column >> plane.w_shift) % plane.group_pixels == 0 for plane in format.planes)
