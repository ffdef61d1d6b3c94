"""Draws rectangles in frames of all formats whose components do not share samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .._wire.formats import VideoFormat
from ..video.colour import Colorimetry, colorimetry_of
from .errors import SettingError

Colour: TypeAlias = tuple[int, int, int]


class _Part(NamedTuple):
    """Place and form of the samples of one component.

    Attributes:
        plane: Index of the plane.
        channel: Index in the last axis of the plane.
        first: First pixel of a group that has a sample.
        step: Pixels of a group.
        w_shift: Horizontal subsampling, log2.
        h_shift: Vertical subsampling, log2.
        letter: Name of the component.
        bits: Bits of a sample.
        shift: Unused low bits of a sample.
    """

    plane: int
    channel: int
    first: int
    step: int
    w_shift: int
    h_shift: int
    letter: str
    bits: int
    shift: int


class Palette:
    """Converts colours to samples of one format.

    Args:
        format: The format.
        height: Rows of the pictures, which select the default matrix of YUV.

    Raises:
        SettingError: Components of the format share samples, or it has no rows.
    """

    def __init__(self, format: VideoFormat, height: int) -> None:
        self._rule: Colorimetry | None = None if format.is_rgb else colorimetry_of(None, format.is_gray, height)
        self.parts = _parts_of(format)
        self._known: dict[Colour, tuple[int, ...]] = {}

    def samples(self, colour: Colour) -> tuple[int, ...]:
        """The samples of a colour, one for each of `parts`."""
        known = self._known.get(colour)
        if known is None:
            values = self._values(colour)
            known = self._known[colour] = tuple(round(values[p.letter](p.bits)) << p.shift for p in self.parts)
        return known

    def _values(self, colour: Colour) -> dict[str, Any]:
        red, green, blue = (value / 255 for value in colour)
        full = {
            letter: (lambda bits, value=value: value * ((1 << bits) - 1))
            for letter, value in {"R": red, "G": green, "B": blue, "A": 1.0, "x": 1.0}.items()
        }
        rule = self._rule
        if rule is None:
            return full
        luma = rule.kr * red + (1 - rule.kr - rule.kb) * green + rule.kb * blue
        differences = {"U": (blue - luma) / (2 * (1 - rule.kb)), "V": (red - luma) / (2 * (1 - rule.kr))}

        def bright(bits: int) -> float:
            return (16 + 219 * luma) * 2.0 ** (bits - 8) if rule.limited else luma * ((1 << bits) - 1)

        def tint(letter: str) -> Any:
            swing = differences[letter]
            if rule.limited:
                return lambda bits: (128 + 224 * swing) * 2.0 ** (bits - 8)
            return lambda bits: (1 << (bits - 1)) + swing * ((1 << bits) - 1)

        return full | {"Y": bright, "U": tint("U"), "V": tint("V")}


class Canvas:
    """Draws into the planes of one picture.

    Args:
        planes: Writable arrays, one a plane, as of `LoanedFrame.planes`.
        palette: Palette of the picture's format.
    """

    def __init__(self, planes: Sequence[npt.NDArray[Any]], palette: Palette) -> None:
        self._palette = palette
        self._views = [
            (plane if plane.ndim == 2 else plane[..., part.channel])[:, part.first :: part.step]
            for part in palette.parts
            for plane in (planes[part.plane],)
        ]

    def fill(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """Fill the pixels from (left, top) to (right, bottom), exclusive."""
        samples = self._palette.samples(colour)
        for view, part, sample in zip(self._views, self._palette.parts, samples, strict=True):
            first, step = part.first, part.step
            columns = slice(
                max(0, -(-((left >> part.w_shift) - first) // step)),
                max(0, -(-(-(-right >> part.w_shift) - first) // step)),
            )
            view[top >> part.h_shift : -(-bottom >> part.h_shift), columns] = sample


def _parts_of(format: VideoFormat) -> tuple[_Part, ...]:
    in_group = [plane.channels * plane.group_pixels for plane in format.planes]
    if format.kind not in ("planes", "packed") or format.is_word or sum(in_group) != len(format.components):
        raise SettingError(f"cannot draw the pattern in {format.name}: try I420, NV12, P010_10LE, YUY2, BGR or RGBA")
    if np.dtype(format.dtype).kind != "u":
        raise SettingError(f"cannot draw the pattern in {format.name}: its samples are not integers")
    parts = []
    index = 0
    for number, plane in enumerate(format.planes):
        for place in range(plane.channels * plane.group_pixels):
            letter, bits, shift = format.components[index], format.bits[index], format.shift[index]
            first, channel = divmod(place, plane.channels)
            step = plane.group_pixels
            parts.append(_Part(number, channel, first, step, plane.w_shift, plane.h_shift, letter, bits, shift))
            index += 1
    return tuple(parts)
