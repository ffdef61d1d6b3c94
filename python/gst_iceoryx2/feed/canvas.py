"""Draws rectangles in frames of any format whose components have separate samples."""

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
    """Where the samples of one component are stored, and how.

    Attributes:
        plane: Index of the plane.
        channel: Index in the last axis of the plane.
        first: Index of the first pixel with a sample, within a group of pixels.
        step: Number of pixels in a group.
        w_shift: Horizontal subsampling, log2.
        h_shift: Vertical subsampling, log2.
        letter: Name of the component.
        bits: Number of bits in a sample.
        shift: Number of unused low bits in a sample.
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
    """Converts colours to samples in one format.

    Args:
        format: The format.
        height: Height of the pictures in rows. It selects the default YUV matrix.
        colorimetry: Colorimetry of the pictures as in caps; None = the default.

    Raises:
        SettingError: Components of the format share samples, or the format is tiled or uses a palette.
    """

    def __init__(self, format: VideoFormat, height: int, colorimetry: str | None = None) -> None:
        self._rule: Colorimetry | None = None if format.is_rgb else colorimetry_of(colorimetry, format.is_gray, height)
        self.parts = _parts_of(format)
        self._known: dict[Colour, tuple[int, ...]] = {}

    def samples(self, colour: Colour) -> tuple[int, ...]:
        """Return the samples for a colour, one for each of `parts`."""
        known = self._known.get(colour)
        if known is None:
            known = tuple(round(self._sample(colour, part.letter, part.bits)) << part.shift for part in self.parts)
            self._known[colour] = known
        return known

    def _sample(self, colour: Colour, letter: str, bits: int) -> float:
        highest, byte = (1 << bits) - 1, 2.0 ** (bits - 8)
        red, green, blue = (value / 255 for value in colour)
        direct = {"R": red, "G": green, "B": blue, "A": 1.0, "x": 1.0}
        rule = self._rule
        if rule is None or letter not in "YUV":
            return direct[letter] * highest
        luma = rule.kr * red + (1 - rule.kr - rule.kb) * green + rule.kb * blue
        if letter == "Y":
            return (16 + 219 * luma) * byte if rule.limited else luma * highest
        difference = (blue - luma) / (2 * (1 - rule.kb)) if letter == "U" else (red - luma) / (2 * (1 - rule.kr))
        return (128 + 224 * difference) * byte if rule.limited else min(128 * byte + difference * highest, highest)


class Canvas:
    """Draws into the planes of one picture.

    Args:
        planes: Writable arrays, one per plane, like `LoanedFrame.planes`.
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
        """Fill the pixels from (left, top) to (right, bottom); right and bottom are exclusive."""
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
        raise SettingError(f"cannot draw the pattern in {format.name}; use I420, NV12, P010_10LE, YUY2, BGR or RGBA")
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
