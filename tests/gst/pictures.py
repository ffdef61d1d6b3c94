"""Pictures in any layout, and digests that reveal swapped rows, planes, colours or frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gst_iceoryx2._wire.formats import get_format

PADDING = 0xEE
"""Value of the bytes between rows, which are not part of a digest."""


class Layout(NamedTuple):
    """Where the planes of a picture lie, in bytes."""

    strides: tuple[int, ...]
    offsets: tuple[int, ...]
    size: int


def padded_layout(format: str, width: int, height: int, pad: int = 0, gap: int = 0) -> Layout:
    """Return a layout with rows `pad` bytes longer than needed, in whole samples, and `gap` bytes between planes."""
    fmt = get_format(format)
    # Some elements read whole samples, so a stride that cuts a sample in half does not occur.
    unit = max(4, np.dtype(fmt.dtype or "u1").itemsize)
    strides, offsets, end = [], [], 0
    for plane in range(fmt.n_planes):
        row = fmt.row_bytes(plane, width)
        stride = -(-(row + pad) // unit) * unit if pad else row
        offset = end + (gap if plane else 0)
        strides.append(stride)
        offsets.append(offset)
        end = offset + stride * fmt.rows(plane, height)
    return Layout(tuple(strides), tuple(offsets), end)


def rows_of(format: str, width: int, height: int, number: int = 0) -> list[npt.NDArray[np.uint8]]:
    """Return each plane as an array (rows, bytes of a row). Rows, planes, columns and frame numbers all differ."""
    fmt = get_format(format)
    planes = []
    for plane in range(fmt.n_planes):
        row = np.arange(fmt.rows(plane, height), dtype=np.uint32)[:, None]
        column = np.arange(fmt.row_bytes(plane, width), dtype=np.uint32)[None, :]
        value = number * 29 + plane * 101 + row * 7 + column * 13 + (row * column >> 4) + (column >> 8) * 3
        planes.append((value & 0xFF).astype(np.uint8))
    return planes


def picture(format: str, width: int, height: int, layout: Layout, number: int = 0) -> bytes:
    """Return the picture as bytes."""
    memory = np.full(layout.size, PADDING, np.uint8)
    for plane, rows in enumerate(rows_of(format, width, height, number)):
        place = np.ndarray(
            rows.shape, np.uint8, memory, offset=layout.offsets[plane], strides=(layout.strides[plane], 1)
        )
        place[:] = rows
    return memory.tobytes()


def digest_of(format: str, width: int, height: int, number: int = 0) -> str:
    """Return the digest of the picture's rows, which does not depend on its layout."""
    return _digest(rows_of(format, width, height, number))


def digest(
    memory: bytes | memoryview | npt.NDArray[np.uint8],
    format: str,
    width: int,
    height: int,
    strides: Sequence[int],
    offsets: Sequence[int],
) -> str:
    """Return the digest of the rows in this memory and layout."""
    fmt = get_format(format)
    if not fmt.planes:
        # Tiles have no rows, so the digest is that of the whole memory.
        return hashlib.sha1(memory).hexdigest()
    return _digest(
        [
            np.ndarray(
                (fmt.rows(plane, height), fmt.row_bytes(plane, width)),
                np.uint8,
                memory,
                offset=offsets[plane],
                strides=(strides[plane], 1),
            )
            for plane in range(fmt.n_planes)
        ]
    )


def _digest(planes: Sequence[npt.NDArray[np.uint8]]) -> str:
    total = hashlib.sha1()
    for plane in planes:
        total.update(np.ascontiguousarray(plane).data)
    return total.hexdigest()
