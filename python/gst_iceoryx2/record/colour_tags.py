"""What a file says of its colours, in FFmpeg's numbers."""

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
_RGB: Final = 0  # AVCOL_SPC_RGB

# Source: libavutil/pixfmt.h, AVColorSpace; by the shares of red and blue in luma.
_SPACES: Final = {(0.2990, 0.1140): 6, (0.2126, 0.0722): 1, (0.30, 0.11): 4, (0.212, 0.087): 7, (0.2627, 0.0593): 9}
# The same numbers as the SWS_CS_ constants of libswscale, but for BT.601, which is 5 there.
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
    """How numbers become light.

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
        """The matrix as libswscale numbers it."""
        return _SWS_SD if self.space == _SD else self.space


def colour_tags_of(frame: VideoFrame) -> ColourTags:
    """What the caps of a frame say, with GStreamer's defaults where they say nothing.

    For RGB it is what YUV made from it shall have: the limited range, BT.709 above 576 rows, BT.601 up to there.
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
