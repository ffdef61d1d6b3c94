"""Scale a plane: average the area of the source that each sample covers, or interpolate linearly to enlarge.

Columns and rows are scaled independently, so a plane can be made narrower and higher at once. The plane's edges become
the edges of the result, and the outermost samples are repeated beyond them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import MissingExtraError

Array: TypeAlias = npt.NDArray[Any]

# FFmpeg's scaler averages at most 256 samples, is wrong for results of a single row or column, and does not accept
# planes of more than 2 GB.
_MAX_SHRINKING: Final = 64
_MIN_SIDE: Final = 4
_MAX_SAMPLES: Final = 1 << 28
_BLOCK_SAMPLES: Final = 1 << 16


class _Tap(NamedTuple):
    """For each position of the result: a position in the source, and the weight of its sample."""

    places: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float32]


def scaled(plane: Array, width: int, height: int) -> Array:
    """Return a plane scaled to another size.

    Shrinking averages the area of the source that a sample of the result covers. Enlarging interpolates linearly.
    PyAV is used if it is installed, because FFmpeg's scaler is about five times as fast. Its positions are off by up to
    1/131,072 of the result's width or height, and its rounding by one 8-bit level.

    Args:
        plane: uint8, uint16 or float array of shape (rows, columns), with any strides.
        width: Number of columns of the result.
        height: Number of rows of the result.

    Returns:
        An array of shape (height, width), with the samples' type in native byte order. The given array itself if it has
        this size already, otherwise a new array.
    """
    if plane.shape == (height, width):
        return plane
    quick = _scaler_of_pyav() if _suits_pyav(plane, width, height) else None
    return (quick or _scaled_by_numpy)(plane, width, height)


def _suits_pyav(plane: Array, width: int, height: int) -> bool:
    rows, columns = plane.shape
    return (
        plane.dtype.kind == "u"
        and rows <= height * _MAX_SHRINKING
        and columns <= width * _MAX_SHRINKING
        and min(width, height) >= _MIN_SIDE
        and max(plane.size, width * height) <= _MAX_SAMPLES
    )


@lru_cache(maxsize=1)
def _scaler_of_pyav() -> Callable[[Array, int, int], Array] | None:
    """Return the scaler of PyAV. Importing PyAV takes 50 ms, so only the first picture to be scaled imports it."""
    try:
        from .._extras.av import plane_scaler
    except MissingExtraError:
        return None
    return plane_scaler()


def _scaled_by_numpy(plane: Array, width: int, height: int) -> Array:
    dtype = plane.dtype.newbyteorder("=")
    result = np.empty((height, width), dtype)
    plane = np.ascontiguousarray(plane)
    down, across = _taps(plane.shape[0], height), _taps(plane.shape[1], width)
    step = max(_BLOCK_SAMPLES // plane.shape[1], 1)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        block = _mixed(plane, [(tap.places[rows], tap.weights[rows, None]) for tap in down], 0)
        block = _mixed(block, across, 1)
        if dtype.kind == "u":
            block += np.float32(0.5)
        result[rows] = block
    return result


def _mixed(samples: Array, taps: Any, axis: int) -> npt.NDArray[np.float32]:
    """Return the weighted sum of the samples at the places of all taps."""
    total: npt.NDArray[np.float32] | None = None
    for places, weights in taps:
        part = np.multiply(samples.take(places, axis), weights, dtype=np.float32)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


@lru_cache(maxsize=16)
def _taps(there: int, wanted: int) -> tuple[_Tap, ...]:
    """Return the taps that scale `there` samples to `wanted` samples."""
    numbers = np.arange(wanted)
    if there < wanted:
        places = ((numbers + 0.5) * (there / wanted) - 0.5).clip(0, there - 1)
        before = places.astype(np.intp)
        share = (places - before).astype(np.float32)
        return _Tap(before, 1 - share), _Tap(np.minimum(before + 1, there - 1), share)
    # In units of 1 / wanted of a source sample, so all numbers are whole.
    starts = numbers * there
    ends = starts + there
    taps = []
    first = starts // wanted
    for place in (first + offset for offset in range(int((-(-ends // wanted) - first).max()))):
        covered = np.minimum(ends, (place + 1) * wanted) - np.maximum(starts, place * wanted)
        taps.append(_Tap(np.minimum(place, there - 1), (covered.clip(0) / there).astype(np.float32)))
    return tuple(taps)
