"""Video4Linux2's names for pixel formats and colours, and GStreamer's names for the same."""

from __future__ import annotations

from typing import Final

from . import api

_BIG_ENDIAN: Final = 1 << 31

GSTREAMER: Final = {
    "GREY": "GRAY8",
    "Y16 ": "GRAY16_LE",
    "Y16 -BE": "GRAY16_BE",
    "RGBP": "RGB16",
    "RGBO": "RGB15",
    "XR15": "RGB15",
    "RGB3": "RGB",
    "BGR3": "BGR",
    "BGR4": "BGRx",
    "XR24": "BGRx",
    "AR24": "BGRA",
    "RGB4": "xRGB",
    "BX24": "xRGB",
    "BA24": "ARGB",
    "RX24": "xBGR",
    "RA24": "ABGR",
    "XB24": "RGBx",
    "AB24": "RGBA",
    "YUYV": "YUY2",
    "UYVY": "UYVY",
    "YVYU": "YVYU",
    "VYUY": "VYUY",
    "NV12": "NV12",
    "NV21": "NV21",
    "NV16": "NV16",
    "NV61": "NV61",
    "NV24": "NV24",
    "P010": "P010_10LE",
    "YU12": "I420",
    "YV12": "YV12",
    "422P": "Y42B",
    "411P": "Y41B",
    "YUV9": "YUV9",
    "YVU9": "YVU9",
    "AYUV": "AYUV",
    "VUYA": "VUYA",
}
"""Raw formats whose bytes are the same in both worlds, by four-character code.

Source: the descriptions of the codes in the kernel's documentation (userspace-api/media/v4l/pixfmt.html), and the
format descriptions in gst-libs/gst/video/video-format.h.
"""

JPEG: Final = frozenset({"MJPG", "JPEG"})
"""Four-character codes of Motion JPEG."""

# enum v4l2_ycbcr_encoding to GstVideoColorMatrix.
_MATRICES: Final = {1: 4, 2: 3, 3: 4, 4: 3, 5: 4, 6: 6, 7: 6, 8: 5}
# enum v4l2_xfer_func to GstVideoTransferFunction.
_TRANSFERS: Final = {1: 5, 2: 7, 3: 12, 4: 6, 5: 1, 7: 14}
# enum v4l2_colorspace to GstVideoColorPrimaries.
_PRIMARIES: Final = {1: 4, 2: 5, 3: 1, 4: 4, 5: 2, 6: 3, 7: 1, 8: 1, 9: 8, 10: 7, 12: 10}
# Defaults of the encoding, and of the transfer function, for each colour space; every other one has BT.601 and BT.709.
# Source: V4L2_MAP_YCBCR_ENC_DEFAULT and V4L2_MAP_XFER_FUNC_DEFAULT in videodev2.h.
_DEFAULT_ENCODINGS: Final = {3: 2, 12: 2, 10: 6, 2: 8}
_DEFAULT_TRANSFERS: Final = {9: 3, 2: 4, 11: 5, 8: 2, 7: 2}
_SMPTE170M: Final = 1
_JPEG_SPACE: Final = 7
_BT709_TRANSFER: Final = 1
_BT601_TRANSFER: Final = 16  # GST_VIDEO_TRANSFER_BT601, the same curve as BT.709's
_FULL_RANGE: Final = 1
_LIMITED_RANGE: Final = 2
# GStreamer's names for combinations of range, matrix, transfer and primaries.
# Source: the table `colorimetry` in gst-libs/gst/video/video-color.c.
_NAMED: Final = {
    (2, 4, 16, 4): "bt601",
    (2, 3, 5, 1): "bt709",
    (2, 5, 6, 5): "smpte240m",
}


def code_of(pixelformat: int) -> str:
    """Return the four-character code of a pixel format, with its trailing spaces: "YUYV", "Y16 ", "Y16 -BE"."""
    text = (pixelformat & ~_BIG_ENDIAN).to_bytes(4, "little").decode("latin-1")
    return f"{text}-BE" if pixelformat & _BIG_ENDIAN else text


def number_of(code: str) -> int:
    """Return the pixel format with this four-character code."""
    return int.from_bytes(code[:4].encode("latin-1"), "little") | (_BIG_ENDIAN if code.endswith("-BE") else 0)


def colorimetry_of(pix: api.PixFormat, is_gray: bool) -> str | None:
    """Return the colorimetry of a Y'CbCr or gray format as in GStreamer's caps; None if the driver does not state it.

    Args:
        pix: The format as the driver set it.
        is_gray: Whether the format only has luma.
    """
    space = pix.colorspace
    if space not in _PRIMARIES:
        return None
    encoding = pix.ycbcr_enc or _DEFAULT_ENCODINGS.get(space, 1)
    transfer = pix.xfer_func or _DEFAULT_TRANSFERS.get(space, 1)
    # Drivers that do not state the range of gray pictures send the full range.
    full = pix.quantization == 1 or (pix.quantization == 0 and (is_gray or space == _JPEG_SPACE))
    numbers = (
        _FULL_RANGE if full else _LIMITED_RANGE,
        _MATRICES.get(encoding, 4),
        _BT601_TRANSFER if (space, transfer) == (_SMPTE170M, _BT709_TRANSFER) else _TRANSFERS.get(transfer, 0),
        _PRIMARIES[space],
    )
    return _NAMED.get(numbers) or ":".join(map(str, numbers))
