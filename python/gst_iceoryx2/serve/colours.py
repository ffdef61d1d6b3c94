"""The colorimetry of a rendition, derived from its source as GStreamer would."""

from __future__ import annotations

from typing import Final, NamedTuple

from .._wire.formats import VideoFormat
from ..video.colour import Colorimetry, colorimetry_of

# Weights of red and blue in luma to AVColorSpace. Source: libavutil/pixfmt.h.
_MATRICES: Final = {(0.2990, 0.1140): 5, (0.2126, 0.0722): 1, (0.30, 0.11): 4, (0.212, 0.087): 7, (0.2627, 0.0593): 9}
_BT601: Final = 5
_SD_HEIGHT: Final = 576
_GRAY: Final = "1:4:0:0"


class Colours(NamedTuple):
    """What a conversion needs to know about the colours of one picture.

    Attributes:
        matrix: The matrix of Y'CbCr as AVColorSpace; for RGB, that of the other picture.
        limited: Whether 8-bit black and white are 16 and 235.
        text: Colorimetry as in caps; None for RGB, and for gray that does not state it.
    """

    matrix: int
    limited: bool
    text: str | None


def colours_of(format: VideoFormat, height: int, text: str | None) -> Colours:
    """Return the colours of a source.

    Args:
        format: Format of the source.
        height: Height of the source in rows. It decides between BT.601 and BT.709 if the caps do not.
        text: Colorimetry in the caps of the source; None = not stated.
    """
    if format.is_rgb:
        return Colours(_BT601, False, None)
    rule = colorimetry_of(text, format.is_gray, height)
    stated = text if format.is_gray or _is_used(text) else _default(height)
    return Colours(_matrix(rule), rule.limited, stated)


def colours_for(format: VideoFormat, height: int, source: VideoFormat, there: Colours) -> Colours:
    """Return the colours of a rendition.

    Y'CbCr of Y'CbCr, and gray of gray, keep the colorimetry of their source. Y'CbCr of RGB or gray gets GStreamer's
    default for its height: limited range, BT.709 above 576 rows, otherwise BT.601. Gray of colours has the full range.

    Args:
        format: Format of the rendition.
        height: Height of the rendition in rows.
        source: Format of the source.
        there: Colours of the source.
    """
    if format.is_rgb:
        return Colours(there.matrix, False, None)
    if format.is_gray == source.is_gray and not source.is_rgb:
        return there
    if format.is_gray:
        return Colours(there.matrix, False, _GRAY)
    return Colours(_matrix(colorimetry_of(None, False, height)), True, _default(height))


def _is_used(text: str | None) -> bool:
    """Return whether the text states the colorimetry of Y'CbCr, so that the height does not matter."""
    return colorimetry_of(text, False, _SD_HEIGHT) == colorimetry_of(text, False, _SD_HEIGHT + 1)


def _default(height: int) -> str:
    return "bt709" if height > _SD_HEIGHT else "bt601"


def _matrix(rule: Colorimetry) -> int:
    return _MATRICES[rule.kr, rule.kb]
