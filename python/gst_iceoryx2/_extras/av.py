"""PyAV, if it is installed, and FFmpeg's names for GStreamer's formats. No other module imports PyAV."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import IO, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import MissingExtraError

try:
    import av as av
    from av.video.reformatter import VideoReformatter as VideoReformatter
except ImportError as exc:
    raise MissingExtraError(
        f"video files and conversions of formats need PyAV, which cannot be imported ({exc}); "
        "run `pip install 'iox2-video[record]'` (in a clone: `pip install '.[record]'`)"
    ) from exc


def open_media(name: str | IO[bytes], mode: Literal["r", "w"] = "r", **settings: Any) -> Any:
    """Open a file, a device or an address as `av.open` does, but accept tags that are not UTF-8."""
    return av.open(name, mode, metadata_errors="replace", **settings)


SUBTITLE_OPTIONS: Final = {"max_interleave_delta": "1"}
"""Options for the muxer of a file with subtitles. Otherwise it would keep video in memory until subtitles come."""


def add_subtitles(container: Any, title: str, tick: Fraction) -> Any:
    """Add a track of subtitles to a container, and return its stream."""
    stream = container.add_mux_stream("subrip")
    stream.time_base = tick
    stream.metadata["title"] = title
    return stream


def subtitle(stream: Any, begin: float, duration: float, text: str) -> Any:
    """Return the packet of a subtitle.

    Args:
        stream: The stream that `add_subtitles` returned.
        begin: Time in the file, in seconds.
        duration: Duration in seconds.
        text: The text.
    """
    packet = av.Packet(text.encode())
    packet.stream, packet.time_base = stream, stream.time_base
    packet.pts = packet.dts = round(begin / stream.time_base)
    packet.duration = max(1, round(duration / stream.time_base))
    packet.is_keyframe = True
    return packet


def new_picture(pixel_format: str, width: int, height: int) -> Any:
    """Return a picture whose memory is not initialised."""
    return av.VideoFrame(width, height, pixel_format)


def jpeg_decoder() -> Any:
    """Return a decoder of Motion JPEG, to call `decode()` with one `av.Packet` per picture."""
    return av.CodecContext.create("mjpeg", "r")


def picture_decoder(name: str) -> Any:
    """Return a decoder of single pictures, by FFmpeg's name: "mjpeg", "png", "webp"."""
    decoder = av.CodecContext.create(name, "r")
    decoder.options = {"max_pixels": str(_MAX_PIXELS)}
    return decoder


# A packet of some bytes may announce a picture of any size. 8192x8192 is more than any level of H.264 admits.
_MAX_PIXELS: Final = 1 << 26
_DECODERS: Final = {"h264": "h264", "h265": "hevc", "av1": "libdav1d"}
_LOW_DELAY: Final = 1 << 19  # AV_CODEC_FLAG_LOW_DELAY


def packet_decoder(codec: str) -> Any:
    """Return a decoder of "h264", "h265" or "av1" that gives each picture as early as it can, in the order to show."""
    decoder = av.CodecContext.create(_DECODERS[codec], "r")
    # Decoding several pictures at once would delay each of them.
    decoder.thread_type = "SLICE"
    decoder.options = {"max_pixels": str(_MAX_PIXELS)}
    if codec == "av1":
        # With this flag, the decoders of H.264 and H.265 would give pictures in the wrong order.
        decoder.flags |= _LOW_DELAY
    return decoder


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


_AREA: Final = 32  # SWS_AREA: averages to shrink, and interpolates linearly to enlarge
_ACCURATE_RND: Final = 1 << 18  # SWS_ACCURATE_RND: without it, some rows of a black picture are not black
_FULL_CHROMA: Final = 1 << 13 | 1 << 14  # SWS_FULL_CHR_H_INT, SWS_FULL_CHR_H_INP: RGB has chroma for every pixel
AREA_SCALING: Final = _AREA | _ACCURATE_RND | _FULL_CHROMA
"""Flags of libswscale for pictures with colours: averages to shrink, and interpolates linearly to enlarge."""

_KEPT_REFORMATTERS: Final = 6
# As in pyproject.toml. Much older reformatters do not have the argument `threads`.
_OLDEST_TESTED: Final = (17, 1)

Scale: TypeAlias = Callable[[npt.NDArray[Any], int, int], npt.NDArray[Any]]


class _Kept(threading.local):
    """Each thread's latest reformatters, which keep their filters and must not be used by two threads at once."""

    def __init__(self) -> None:
        self.reformatters: dict[tuple[str, int, int, int, int], VideoReformatter] = {}


_kept: Final = _Kept()


def plane_scaler() -> Scale | None:
    """Return `scale_plane`; None if the installed PyAV is too old, because an application may need an old release."""
    return scale_plane if _is_tested() else None


def check_release() -> None:
    """Check that the installed PyAV can scale pictures with colours.

    Raises:
        MissingExtraError: It is too old.
    """
    if not _is_tested():
        oldest = ".".join(map(str, _OLDEST_TESTED))
        raise MissingExtraError(
            f"renditions need PyAV {oldest} or newer, but {av.__version__} is installed; "
            f"run `pip install 'av>={oldest}'`"
        )


def _is_tested() -> bool:
    return tuple(int(number) for number in av.__version__.split(".")[:2]) >= _OLDEST_TESTED


def scale_plane(plane: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[Any]:
    """Return a plane scaled to another size: averaged to shrink it, and interpolated linearly to enlarge it.

    Args:
        plane: uint8 or uint16 array of shape (rows, columns), with any strides and byte order.
        width: Number of columns of the result.
        height: Number of rows of the result.

    Returns:
        A new array of shape (height, width), uint8 or little-endian uint16. Its rows may be padded.
    """
    rows, columns = plane.shape
    name, dtype = ("gray", "u1") if plane.dtype.itemsize == 1 else ("gray16le", "<u2")
    picture = av.VideoFrame(columns, rows, name)
    np.copyto(_samples(picture, dtype), plane)
    reformatters = _kept.reformatters
    key = (name, columns, rows, width, height)
    reformatter = reformatters.pop(key, None) or VideoReformatter()
    reformatters[key] = reformatter
    if len(reformatters) > _KEPT_REFORMATTERS:
        del reformatters[next(iter(reformatters))]
    # One thread, because a forked child would wait for threads that it does not have.
    return _samples(reformatter.reformat(picture, width, height, interpolation=_AREA | _ACCURATE_RND, threads=1), dtype)


def _samples(picture: Any, dtype: str) -> npt.NDArray[Any]:
    """Return a view of a gray picture."""
    plane = picture.planes[0]
    strides = (plane.line_size, np.dtype(dtype).itemsize)
    return np.ndarray((picture.height, picture.width), dtype, memoryview(plane), 0, strides)


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
