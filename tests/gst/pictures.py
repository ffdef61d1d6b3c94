"""Pictures that tell when rows, planes, colours or frames are swapped, in any layout, and what remains of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gst_iceoryx2._wire.formats import get_format

PADDING = 0xEE
"""What lies between the rows: never part of a picture's digest."""


class Layout(NamedTuple):
    """Where the planes of a picture lie, in bytes."""

    strides: tuple[int, ...]
    offsets: tuple[int, ...]
    size: int


def padded_layout(format: str, width: int, height: int, pad: int = 0, gap: int = 0) -> Layout:
    """Rows `pad` bytes longer than needed (in whole samples), `gap` bytes before every plane but the first."""
    fmt = get_format(format)
    # Some elements compute with whole samples; a stride that cuts one in half is no layout that occurs.
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
    """The bytes of each plane as (rows, bytes of a row): no two rows, planes, columns or frame numbers are alike."""
    fmt = get_format(format)
    planes = []
    for plane in range(fmt.n_planes):
        row = np.arange(fmt.rows(plane, height), dtype=np.uint32)[:, None]
        column = np.arange(fmt.row_bytes(plane, width), dtype=np.uint32)[None, :]
        value = number * 29 + plane * 101 + row * 7 + column * 13 + (row * column >> 4) + (column >> 8) * 3
        planes.append((value & 0xFF).astype(np.uint8))
    return planes


def picture(format: str, width: int, height: int, layout: Layout, number: int = 0) -> bytes:
    """The picture in memory."""
    memory = np.full(layout.size, PADDING, np.uint8)
    for plane, rows in enumerate(rows_of(format, width, height, number)):
        place = np.ndarray(
            rows.shape, np.uint8, memory, offset=layout.offsets[plane], strides=(layout.strides[plane], 1)
        )
        place[:] = rows
    return memory.tobytes()


def digest_of(format: str, width: int, height: int, number: int = 0) -> str:
    """Digest of the picture's rows, whatever its layout."""
    return _digest(rows_of(format, width, height, number))


def digest(
    memory: bytes | memoryview | npt.NDArray[np.uint8],
    format: str,
    width: int,
    height: int,
    strides: Sequence[int],
    offsets: Sequence[int],
) -> str:
    """Digest of the rows that lie in this memory in that layout."""
    fmt = get_format(format)
    if not fmt.planes:
        # Tiles: no rows to tell apart, the whole memory counts.
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
