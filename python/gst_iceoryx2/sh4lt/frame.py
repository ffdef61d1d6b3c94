"""One frame of a path: bytes, and what their type text says of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._wire.caps import Caps, parse_caps
from .._wire.formats import Layout, VideoFormat, get_format
from ..errors import FormatError, UnsupportedViewError
from .errors import FrameSizeError

_NOTHING: Final = np.empty(0, np.uint8)


class Frame:
    """Bytes of one frame, read-only. `pickle` and `copy` copy them.

    Attributes:
        data: All bytes, shape (size,), uint8; borrowed from the writer inside `Follower.borrow()`, otherwise a copy.
        datatype: The writer's type text.
    """

    __slots__ = ("data", "datatype")

    def __init__(self, data: npt.NDArray[np.uint8], datatype: str) -> None:
        self.data = data
        self.datatype = datatype

    def __len__(self) -> int:
        return self.data.size

    def __bytes__(self) -> bytes:
        return self.data.tobytes()

    def copy(self) -> Frame:
        """The same frame in memory of its own; copies."""
        data = self.data.copy()
        data.flags.writeable = False
        return Frame(data, self.datatype)

    def close(self) -> None:
        """Let go of the bytes; arrays of them that somebody else keeps stay valid."""
        self.data = _NOTHING

    @property
    def caps(self) -> Caps | None:
        """The type text read as caps, or None if it is none."""
        try:
            return parse_caps(self.datatype)
        except FormatError:
            return None

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """One read-only array a plane, for raw video: shapes and dtypes as of `VideoFrame.planes`; borrows `data`.

        Raises:
            FormatError: The caps are no raw video in a format that is known.
            FrameSizeError: The frame has fewer bytes than its caps ask for.
        """
        picture = RawVideo.of(self.datatype)
        layout = picture.layout
        if self.data.size < layout.size:
            size = f"{picture.width}x{picture.height}"
            raise FrameSizeError(f"frame of {self.data.size} bytes: {picture.format.name} {size} takes {layout.size}")
        return picture.format.views(self.data, picture.width, picture.height, layout.strides, layout.offsets)

    def numpy_view(self) -> npt.NDArray[Any]:
        """The picture as one array, (H, W, C) or (H, W), for formats of one plane; borrows `data`.

        Raises:
            UnsupportedViewError: The format has several planes: use `planes`.
            FormatError: The caps are no raw video in a format that is known.
            FrameSizeError: The frame has fewer bytes than its caps ask for.
        """
        planes = self.planes
        if len(planes) != 1:
            raise UnsupportedViewError(
                f"{self.datatype.split(',')[0]} with {len(planes)} planes is no single array: use .planes"
            )
        return planes[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (bytes(self), self.datatype)

    def __repr__(self) -> str:
        return f"<Frame {self.data.size} bytes {self.datatype[:60]!r}>"


def _copied(data: bytes, datatype: str) -> Frame:
    """A frame out of what `Frame.__reduce__` tells of one; read-only as every frame."""
    return Frame(np.frombuffer(data, np.uint8), datatype)


class RawVideo:
    """A raw video format and size, laid out as the protocol has it: GStreamer's default strides."""

    __slots__ = ("format", "framerate", "height", "layout", "width")

    def __init__(self, format: VideoFormat, width: int, height: int) -> None:
        self.format = format
        self.width = width
        self.height = height
        self.layout = default_layout(format, width, height)

    @classmethod
    def of(cls, datatype: str) -> RawVideo:
        """The picture that caps describe.

        Raises:
            FormatError: The caps are no raw video in a format that is known.
        """
        caps = parse_caps(datatype)
        name, width, height = (caps.fields.get(key) for key in ("format", "width", "height"))
        if caps.media != "video/x-raw" or not (
            isinstance(name, str) and isinstance(width, int) and isinstance(height, int)
        ):
            raise FormatError(f"{datatype[:100]!r} is no raw video with format, width and height")
        return cls(get_format(name), width, height)


def default_layout(format: VideoFormat, width: int, height: int) -> Layout:
    """GStreamer's default layout: rows padded to 4 bytes, planes to whole chroma rows.

    Source: `fill_planes()` of `video-info.c`.

    Raises:
        FormatError: The format is tiled, or the size is none.
    """
    strides, offsets, end = [], [], 0
    tight = format.tight_layout(width, height)
    coarsest = max(plane.h_shift for plane in format.planes)
    rows = -(-height // (1 << coarsest)) * (1 << coarsest)
    for plane, shape in enumerate(format.planes):
        stride = -(-tight.strides[plane] // 4) * 4
        strides.append(stride)
        offsets.append(end)
        end += stride * (rows >> shape.h_shift)
    return Layout(tuple(strides), tuple(offsets), end)
