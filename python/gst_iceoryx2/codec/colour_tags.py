"""The colour tags of a video file, as FFmpeg's enum values."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .._extras.av import PRIMARIES, TRANSFERS
from .._wire.caps import parse_caps
from .._wire.formats import get_format
from ..video.colour import colorimetry_of
from ..video.frame import VideoFrame

LIMITED: Final = 1  # AVCOL_RANGE_MPEG
FULL: Final = 2  # AVCOL_RANGE_JPEG
UNKNOWN: Final = 2  # AVCOL_PRI_UNSPECIFIED, AVCOL_TRC_UNSPECIFIED

# Weights of red and blue in luma to AVColorSpace. Source: libavutil/pixfmt.h.
_SPACES: Final = {(0.2990, 0.1140): 6, (0.2126, 0.0722): 1, (0.30, 0.11): 4, (0.212, 0.087): 7, (0.2627, 0.0593): 9}
# libswscale's SWS_CS_ constants have the same values, except for BT.601.
_SD: Final = 6
_SWS_SD: Final = 5
# GStreamer's names to AVColorPrimaries and AVColorTransferCharacteristic.
_NAMED: Final = {
    "bt601": (6, 6),
    "bt709": (1, 1),
    "smpte240m": (7, 7),
    "sRGB": (1, 13),
    "bt2020": (9, 15),
    "bt2020-10": (9, 14),
    "bt2100-pq": (9, 16),
    "bt2100-hlg": (9, 18),
}
_NUMBERS: Final = re.compile(r"\d+:\d+:(\d+):(\d+)")


class ColourTags(NamedTuple):
    """Colour tags of a track.

    Attributes:
        range: LIMITED or FULL.
        space: AVColorSpace.
        primaries: AVColorPrimaries.
        transfer: AVColorTransferCharacteristic.
    """

    range: int
    space: int
    primaries: int
    transfer: int

    @property
    def sws_space(self) -> int:
        """The matrix as libswscale's SWS_CS_ constant."""
        return _SWS_SD if self.space == _SD else self.space


def colour_tags_of(frame: VideoFrame) -> ColourTags:
    """Return the colour tags of a frame, from its caps and GStreamer's defaults.

    For RGB, the tags describe the YUV to which it is converted: limited range, BT.709 above 576 rows, otherwise BT.601.
    """
    format = get_format(frame.format)
    value = parse_caps(frame.caps).fields.get("colorimetry") if frame.caps else None
    text = value if isinstance(value, str) else None
    primaries, transfer = _NAMED.get(text or "", (UNKNOWN, UNKNOWN))
    if numbers := _NUMBERS.fullmatch(text or ""):
        primaries, transfer = PRIMARIES.get(int(numbers[2]), UNKNOWN), TRANSFERS.get(int(numbers[1]), UNKNOWN)
    known = colorimetry_of(None if format.is_rgb else text, format.is_gray, frame.height)
    space = _SPACES[known.kr, known.kb]
    return ColourTags(LIMITED if known.limited else FULL, space, primaries, transfer)
