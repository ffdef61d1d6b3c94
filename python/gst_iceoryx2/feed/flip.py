"""Turns pictures by 180° or mirrors them, in any format whose pixels have separate samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .._wire.formats import VideoFormat
from .errors import SettingError

Flip: TypeAlias = Literal["180", "horizontal", "vertical"]
FLIPS: Final[tuple[Flip, ...]] = ("180", "horizontal", "vertical")


def check_flip(flip: str, format: VideoFormat, width: int) -> Flip:
    """Return the way to flip.

    Raises:
        SettingError: The way is unknown, or pictures of this format and width cannot be flipped.
    """
    known = next((one for one in FLIPS if one == flip), None)
    if known is None:
        raise SettingError(f"cannot flip by {flip!r}; use one of {', '.join(FLIPS)}")
    if format.kind not in ("planes", "packed"):
        raise SettingError(f"cannot flip {format.name}, because its pixels share bytes; ask for another format")
    if known != "vertical" and _pair(format) is not None and width % 2:
        raise SettingError(f"cannot flip {format.name} of odd width {width}, because its pixels come in pairs")
    return known


def flipped(planes: Sequence[npt.NDArray[Any]], format: VideoFormat, flip: Flip) -> list[npt.NDArray[Any]]:
    """Return the planes of a flipped picture, with the shapes that they have now.

    Args:
        planes: Array views of the planes, from `VideoFormat.views`.
        format: Their pixel format.
        flip: The way to flip.

    Returns:
        Views of the same memory where possible, otherwise copies.
    """
    rows = slice(None) if flip == "horizontal" else slice(None, None, -1)
    if flip == "vertical":
        return [plane[rows] for plane in planes]
    pair = _pair(format)
    if pair is None:
        return [plane[rows, ::-1] for plane in planes]
    (plane,) = planes
    height, width, _ = plane.shape
    pairs: npt.NDArray[Any] = np.ascontiguousarray(plane[rows]).reshape(height, width // 2, 4)
    return [pairs[:, ::-1, pair].reshape(height, width, 2)]


def _pair(format: VideoFormat) -> list[int] | None:
    """Return the order of the four samples of a mirrored pair of pixels; None if pixels do not share samples."""
    components = format.components
    if format.kind != "packed" or components.count("Y") != 2:
        return None
    first, second = (at for at, letter in enumerate(components) if letter == "Y")
    order = list(range(4))
    order[first], order[second] = second, first
    return order
