"""PyAV, if it is installed, and FFmpeg's names for GStreamer's formats. No other module imports PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, Literal

from ..errors import MissingExtraError

try:
    import av as av
    from av.video.reformatter import VideoReformatter as VideoReformatter
except ImportError as exc:
    raise MissingExtraError(
        f"video files and cameras need PyAV, which cannot be imported ({exc}); "
        "run `pip install 'iox2-video[record]'` (in a clone: `pip install '.[record]'`)"
    ) from exc


def open_media(name: str, mode: Literal["r", "w"] = "r", **settings: Any) -> Any:
    """Open a file or a device as `av.open` does, but accept tags that are not UTF-8."""
    return av.open(name, mode, metadata_errors="replace", **settings)


def filter_graph(picture: Any, time_base: Fraction, filters: Sequence[tuple[str, str]]) -> Any:
    """Return a graph of FFmpeg filters. Push a picture into it, and pull the result.

    Args:
        picture: A picture with the size and format for which to create the graph.
        time_base: Unit of the pictures' timestamps, in seconds.
        filters: Name and arguments of each filter, in order.
    """
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=time_base),
        *(graph.add(name, arguments) for name, arguments in filters),
        graph.add("buffersink"),
    ]
    for one, other in pairwise(nodes):
        one.link_to(other)
    graph.configure()
    return graph


# Unknown is 0 in GStreamer and 2 in FFmpeg. Sources: gst-libs/gst/video/video-color.h, libavutil/pixfmt.h.
TRANSFERS: Final = {5: 1, 4: 4, 8: 5, 16: 6, 6: 7, 1: 8, 9: 9, 10: 10, 7: 13, 13: 14, 11: 15, 14: 16, 15: 18}
"""GstVideoTransferFunction to AVColorTransferCharacteristic."""

PRIMARIES: Final = {1: 1, 2: 4, 3: 5, 4: 6, 5: 7, 6: 8, 7: 9, 9: 10, 10: 11, 11: 12, 12: 22}
"""GstVideoColorPrimaries to AVColorPrimaries."""

PIXEL_FORMATS: Final = {
    "I420": "yuv420p",
    "Y41B": "yuv411p",
    "Y42B": "yuv422p",
    "Y444": "yuv444p",
    "YUV9": "yuv410p",
    "A420": "yuva420p",
    "I420_10LE": "yuv420p10le",
    "I422_10LE": "yuv422p10le",
    "Y444_10LE": "yuv444p10le",
    "I420_12LE": "yuv420p12le",
    "I422_12LE": "yuv422p12le",
    "Y444_12LE": "yuv444p12le",
    "NV12": "nv12",
    "NV21": "nv21",
    "NV16": "nv16",
    "NV24": "nv24",
    "P010_10LE": "p010le",
    "P016_LE": "p016le",
    "YUY2": "yuyv422",
    "UYVY": "uyvy422",
    "YVYU": "yvyu422",
    "GRAY8": "gray",
    "GRAY16_LE": "gray16le",
    "RGB": "rgb24",
    "BGR": "bgr24",
    "RGBA": "rgba",
    "BGRA": "bgra",
    "ARGB": "argb",
    "ABGR": "abgr",
    "RGBx": "rgb0",
    "BGRx": "bgr0",
    "xRGB": "0rgb",
    "xBGR": "0bgr",
    "GBR": "gbrp",
    "GBR_10LE": "gbrp10le",
    "RGBA64_LE": "rgba64le",
    "BGRA64_LE": "bgra64le",
}
"""GStreamer's name for a format to FFmpeg's, for formats with the same planes in memory."""
