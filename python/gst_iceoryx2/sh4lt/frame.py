"""A frame from a path: its bytes, and the picture that its type text describes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .._wire.caps import Caps, parse_caps
from .._wire.formats import Layout, VideoFormat, get_format
from ..errors import FormatError, UnsupportedViewError
from .errors import FrameSizeError

_NOTHING: Final = np.empty(0, np.uint8)


class Frame:
    """One frame, read-only. `pickle` and `copy` copy its bytes.

    A `Follower` creates frames. You can also create a frame from other bytes, for example from a file.

    Attributes:
        data: All bytes, shape (size,), uint8. Borrowed from the writer in a `Follower.borrow` block, otherwise a copy.
        datatype: The writer's type text.

    Args:
        data: All bytes, shape (size,), uint8. The array is borrowed, not copied.
        datatype: Type text of the frame.

    Example:
        Interpret bytes as a picture:

            import numpy as np
            from gst_iceoryx2.sh4lt import Frame

            frame = Frame(np.arange(96, dtype=np.uint8), "video/x-raw, format=RGBA, width=6, height=4")
            assert frame.numpy_view().shape == (4, 6, 4)
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
        """Return a copy of the frame that owns its memory."""
        data = self.data.copy()
        data.flags.writeable = False
        return Frame(data, self.datatype)

    def close(self) -> None:
        """Release the bytes, so that `data` is empty. Arrays that you keep stay valid."""
        self.data = _NOTHING

    @property
    def caps(self) -> Caps | None:
        """The caps in the type text; None if the type text is not caps."""
        try:
            return parse_caps(self.datatype)
        except FormatError:
            return None

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """One array per plane of raw video; read-only, borrowed from `data`.

        Each has shape (rows, columns) or (rows, columns, channels) and the dtype of the format's samples: uint8, or
        uint16 for formats with more than 8 bits.

        Raises:
            FormatError: The caps do not describe raw video in a known format.
            FrameSizeError: The frame has fewer bytes than its caps require.
        """
        picture = RawVideo.of(self.datatype)
        layout = picture.layout
        if self.data.size < layout.size:
            size = f"{picture.width}x{picture.height}"
            raise FrameSizeError(
                f"the frame has {self.data.size} bytes, but {picture.format.name} at {size} needs {layout.size}"
            )
        return picture.format.views(self.data, picture.width, picture.height, layout.strides, layout.offsets)

    def numpy_view(self) -> npt.NDArray[Any]:
        """Return single-plane raw video as one array.

        Returns:
            An array of shape (height, width, channels) or (height, width); read-only, borrowed from `data`.

        Raises:
            UnsupportedViewError: The format has several planes; use `planes`.
            FormatError: The caps do not describe raw video in a known format.
            FrameSizeError: The frame has fewer bytes than its caps require.
        """
        planes = self.planes
        if len(planes) != 1:
            raise UnsupportedViewError(
                f"a frame with {len(planes)} planes cannot be represented as one array; use .planes"
            )
        return planes[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (bytes(self), self.datatype)

    def __repr__(self) -> str:
        return f"<Frame {self.data.size} bytes {self.datatype[:60]!r}>"


def _copied(data: bytes, datatype: str) -> Frame:
    """Create a frame from pickled bytes. It is read-only because `np.frombuffer` of bytes is."""
    return Frame(np.frombuffer(data, np.uint8), datatype)


class RawVideo(NamedTuple):
    """A raw video format and size in GStreamer's default layout, which the protocol uses."""

    format: VideoFormat
    width: int
    height: int
    layout: Layout

    @classmethod
    def of(cls, datatype: str) -> RawVideo:
        """Return the picture format that a type text describes.

        Raises:
            FormatError: The caps do not describe raw video in a known format.
        """
        caps = parse_caps(datatype)
        name, width, height = (caps.fields.get(key) for key in ("format", "width", "height"))
        if caps.media != "video/x-raw" or not (
            isinstance(name, str) and isinstance(width, int) and isinstance(height, int)
        ):
            raise FormatError(f"{datatype[:100]!r} is not raw video with format, width and height")
        format = get_format(name)
        return cls(format, width, height, default_layout(format, width, height))


def default_layout(format: VideoFormat, width: int, height: int) -> Layout:
    """Return GStreamer's default layout: rows are padded to 4 bytes, and planes to whole chroma rows.

    Source: `fill_planes()` in `video-info.c`.

    Raises:
        FormatError: The format is tiled, or the size is not positive.
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
