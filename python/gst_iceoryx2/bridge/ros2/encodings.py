"""ROS 2's encodings of raw pictures, and GStreamer's formats with the same bytes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..._wire.caps import video_caps
from ..._wire.formats import get_format
from ...errors import FormatError
from ..message import MESSAGE_MAX, Unsound, too_large
from ..parcel import Parcel
from .messages import Header, Image, Parts, image

# Sent under these names. Source: sensor_msgs/image_encodings.hpp.
_ENCODINGS: Final = {
    "RGB": "rgb8",
    "BGR": "bgr8",
    "RGBA": "rgba8",
    "BGRA": "bgra8",
    "GRAY8": "mono8",
    "GRAY16_LE": "mono16",
    "GRAY16_BE": "mono16",
    "RGBA64_LE": "rgba16",
    "RGBA64_BE": "rgba16",
    "BGRA64_LE": "bgra16",
    "BGRA64_BE": "bgra16",
    "UYVY": "yuv422",
    "YUY2": "yuv422_yuy2",
    "NV12": "nv12",
    "NV21": "nv21",
    "NV24": "nv24",
}
# Received also under these names. Depth cameras send 16UC1.
_ALIASES: Final = {"uyvy": "UYVY", "yuyv": "YUY2", "8UC1": "GRAY8", "16UC1": "GRAY16_LE"}
_FORMATS: Final = {encoding: name for name, encoding in reversed(_ENCODINGS.items())} | _ALIASES
# Pixels of such a block share colours, and messages do not say how an incomplete block is stored.
_BLOCKS: Final = {"UYVY": (2, 1), "YUY2": (2, 1), "NV12": (2, 2), "NV21": (2, 2)}

# The rest of a message is for the header, the key and the attachment.
_DATA_MAX: Final = MESSAGE_MAX - (64 << 10)


def pack_image(parcel: Parcel, header: Header) -> Parts:
    """Return a frame as `sensor_msgs/msg/Image`, with rows that are not padded. Pixels without padding are borrowed.

    Raises:
        Unsound: ROS 2 has no encoding for these frames, or the message would be too large.
    """
    encoding = _ENCODINGS.get(parcel.format)
    if encoding is None:
        names = ", ".join(name for name in _ENCODINGS if not name.endswith("_BE"))
        raise Unsound("format without an encoding in ROS 2", f"{parcel.format}; convert it to one of {names}")
    fault = _odd(parcel.format, parcel.width, parcel.height)
    if fault is not None:
        raise Unsound("odd size", fault)
    size = sum(plane.nbytes for plane in parcel.planes)
    if size > _DATA_MAX:
        raise Unsound("picture too large", f"it has {size:,} bytes, but the limit is {_DATA_MAX:,}; scale it down")
    parts = [np.ascontiguousarray(plane).reshape(-1).view(np.uint8) for plane in parcel.planes]
    step = get_format(parcel.format).row_bytes(0, parcel.width)
    return image(header, (parcel.width, parcel.height), encoding, parcel.format.endswith("_BE"), step, parts)


class Picture(NamedTuple):
    """A received picture: GStreamer's format, its caps, and one array per plane, which are views of the message."""

    format: str
    caps: str
    planes: tuple[npt.NDArray[Any], ...]


def unpack_image(message: Image) -> Picture:
    """Return the picture in a message from an untrusted sender.

    Raises:
        Unsound: The encoding is unknown, or size, step and length contradict each other.
    """
    name, width, height = _format_of(message), message.width, message.height
    fault = too_large(width, height)
    if fault is not None:
        raise Unsound("picture too large", fault)
    fault = _odd(name, width, height)
    if fault is not None:
        raise Unsound("odd size", fault)
    format = get_format(name)
    try:
        layout = format.tight_layout(width, height, message.step)
    except FormatError as exc:
        raise Unsound("size and step contradict each other", f"{message.encoding}: {exc}") from exc
    if len(message.data) != layout.size:
        raise Unsound(
            "length and size contradict each other",
            f"{width}x{height} {message.encoding} with step {message.step} has {layout.size} bytes, "
            f"but the message has {len(message.data)}",
        )
    planes = format.views(message.data, width, height, layout.strides, layout.offsets)
    return Picture(name, video_caps(name, width, height), planes)


def _format_of(message: Image) -> str:
    name = _FORMATS.get(message.encoding)
    if name is None:
        raise Unsound(
            "unknown encoding",
            f"{message.encoding[:60]!r}; let the sender convert it to one of {', '.join(sorted(_FORMATS))}",
        )
    return name.replace("_LE", "_BE") if message.is_bigendian else name


def _odd(format: str, width: int, height: int) -> str | None:
    across, down = _BLOCKS.get(format, (1, 1))
    is_odd = width % across or height % down
    return f"{width}x{height}, but {format} in ROS 2 needs even numbers" if is_odd else None
