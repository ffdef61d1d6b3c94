"""What a result contains besides boxes: keypoints, classifications, masks and a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._wire.header import MAX_DIMENSION
from ..errors import FormatError


class Keypoint(NamedTuple):
    """A point of an object, or of the picture.

    Attributes:
        label: Name of the point, such as "left_eye"; None = none.
        x: Horizontal position in pixels.
        y: Vertical position in pixels. (0, 0) is the top left corner of the top left pixel.
        score: Confidence of the detector, usually from 0 to 1.
        box: Position of the box that it belongs to; None = none.
    """

    label: str | None
    x: float
    y: float
    score: float = 1.0
    box: int | None = None


class Classification(NamedTuple):
    """A class of an object, or of the whole picture.

    Attributes:
        label: Name of the class; None = none.
        score: Confidence of the detector, usually from 0 to 1.
        box: Position of the box that it belongs to; None = the whole picture.
    """

    label: str | None
    score: float
    box: int | None = None


class Tensor(NamedTuple):
    """A named array, for example an embedding.

    Attributes:
        name: Name of the tensor, at most 255 bytes of UTF-8.
        data: Array of 8 to 64-bit integers or 16 to 64-bit floats, with at most 8 dimensions. In received results, it
            is read-only.
    """

    name: str
    data: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The area of an object, as cells that are on or off in a rectangle. Create one with `Mask.of`.

    Attributes:
        label: Name of the class; None = none.
        x: Left edge of the rectangle in pixels.
        y: Top edge of the rectangle in pixels.
        width: Width of the rectangle in pixels.
        height: Height of the rectangle in pixels.
        columns: Number of cells in a row.
        rows: Number of rows.
        runs: uint32 (N,): lengths of alternating runs of cells that are off and on, row by row, beginning with off.
        box: Position of the box that it belongs to; None = none.

    Example:
        Make a mask of the left half of a 64x64 square at (100, 50):

            >>> import numpy as np
            >>> cells = np.zeros((4, 4), bool)
            >>> cells[:, :2] = True
            >>> mask = Mask.of(cells, 100, 50, 64, 64, label="person")
            >>> mask.runs.tolist()
            [0, 2, 2, 2, 2, 2, 2, 2, 2]
            >>> mask.pixels()[0].tolist()
            [True, True, False, False]
    """

    label: str | None
    x: float
    y: float
    width: float
    height: float
    columns: int
    rows: int
    runs: npt.NDArray[np.uint32]
    box: int | None = None

    @classmethod
    def of(
        cls,
        cells: npt.ArrayLike,
        x: float = 0,
        y: float = 0,
        width: float | None = None,
        height: float | None = None,
        *,
        label: str | None = None,
        box: int | None = None,
    ) -> Mask:
        """Create a mask from an array.

        Args:
            cells: (rows, columns): cells that are on are True, or other than 0.
            x: Left edge in pixels.
            y: Top edge in pixels.
            width: Width in pixels; None = one pixel per column.
            height: Height in pixels; None = one pixel per row.
            label: Name of the class; None = none.
            box: Position of the box that it belongs to; None = none.

        Raises:
            FormatError: `cells` does not have two dimensions from 1 to 32,768.
        """
        on = np.asarray(cells).astype(bool)
        if on.ndim != 2 or not all(1 <= side <= MAX_DIMENSION for side in on.shape):
            raise FormatError(f"a mask must have the shape (rows, columns), each 1 to {MAX_DIMENSION}, not {on.shape}")
        rows, columns = on.shape
        flat = on.ravel()
        ends = np.concatenate((np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]))
        # The first run is off.
        runs = np.diff(ends, prepend=0) if not flat[0] else np.diff(ends, prepend=[0, 0])
        wide, high = columns if width is None else width, rows if height is None else height
        return cls(label, x, y, wide, high, columns, rows, runs.astype(np.uint32), box)

    def pixels(self) -> npt.NDArray[np.bool_]:
        """Return the cells as a new bool array (rows, columns)."""
        is_on = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(is_on, self.runs).reshape(self.rows, self.columns)
