"""GStreamer's raw video formats as a table from which sizes, strides and array views are derived.

The table is `contract/formats.json` (SPEC.md section 4). The Rust crate reads the same file, and the tests compare it
with GStreamer. Views are borrowed: they share the memory of the given array and keep it alive.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..contract import contract, message
from ..errors import FormatError, UnsupportedViewError
from .fault import unknown_format
from .header import FORMAT_LEN, MAX_DIMENSION, VideoFrameHeader

Kind: TypeAlias = Literal["planes", "packed", "opaque", "tiled"]
Pixels: TypeAlias = npt.NDArray[np.uint8] | memoryview | bytearray | bytes

_U32_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Plane:
    """Layout of one plane. A row consists of groups of pixels, and all groups have the same number of bytes.

    Attributes:
        w_shift: Horizontal subsampling: a row has `ceil(width / 2**w_shift)` pixels.
        h_shift: Vertical subsampling: the plane has `ceil(height / 2**h_shift)` rows.
        channels: Number of adjacent samples per pixel; 1 for opaque rows, which are viewed as bytes.
        group_pixels: Number of pixels per group; rows are padded to whole groups.
        group_bytes: Number of bytes per group.
    """

    w_shift: int
    h_shift: int
    channels: int
    group_pixels: int
    group_bytes: int


class Layout(NamedTuple):
    """Strides and offsets of a picture's planes, one entry per plane, and the total size; all in bytes."""

    strides: tuple[int, ...]
    offsets: tuple[int, ...]
    size: int


class PlaneView(NamedTuple):
    """Shape, dtype, offset and strides of a plane's numpy view. Offset and strides are in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    strides: tuple[int, ...]

    def of(self, pixels: Pixels) -> npt.NDArray[Any]:
        """Return a view of this plane of `pixels`, without a copy; it is read-only if `pixels` is read-only.

        Raises:
            FormatError: The plane extends beyond the end of `pixels`.
        """
        try:
            return np.ndarray(self.shape, self.dtype, pixels, self.offset, self.strides)
        except (TypeError, ValueError) as exc:
            last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
            end = last + self.dtype.itemsize
            raise FormatError(f"the plane ends at byte {end}, but there are {len(pixels)} pixel bytes") from exc


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """One of GStreamer's raw video formats.

    Attributes:
        name: GStreamer's name, e.g. "NV12".
        kind: "planes" (several planes of whole samples), "packed" (one plane of whole samples), "opaque" (groups of
            pixels packed into bytes) or "tiled" (tiles or a palette, so there are neither rows nor views).
        dtype: numpy dtype of a sample, e.g. "u1", "<u2"; empty for tiled formats.
        n_planes: Number of planes, 1 to 4.
        planes: One entry per plane; empty for tiled formats.
        components: The letters R, G, B, Y, U, V, A and x (unused) in memory order, plane after plane ("YUV" for NV12).
            Packed 4:2:2 lists the components of a pair of pixels ("YUYV"). If a pixel is one word, its parts are listed
            ("BGRA" for BGR10A2_LE). Empty for tiled formats.
        bits: Number of bits of each component.
        shift: Number of unused bits below each component in its sample: 6 for P010_10LE, 0 for I420_10LE.
    """

    name: str
    kind: Kind
    dtype: str
    n_planes: int
    planes: tuple[Plane, ...]
    components: str
    bits: tuple[int, ...]
    shift: tuple[int, ...]
    _numpy_dtype: np.dtype[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numpy_dtype", np.dtype(self.dtype or "u1"))

    @property
    def is_rgb(self) -> bool:
        """Whether the components are red, green and blue."""
        return "R" in self.components

    @property
    def is_gray(self) -> bool:
        """Whether the format only has luma."""
        return self.components == "Y"

    @property
    def has_alpha(self) -> bool:
        """Whether one component is alpha."""
        return "A" in self.components

    @property
    def is_word(self) -> bool:
        """Whether one wide sample holds all components of a pixel (RGB16, r210, BGR10A2_LE …)."""
        return self.kind == "packed" and self.planes[0].channels == 1 and len(self.components) > 1

    def row_bytes(self, plane: int, width: int) -> int:
        """Return the number of bytes in one row of a plane, without padding.

        Raises:
            FormatError: The format is tiled.
        """
        if not self.planes:
            raise self._no_rows()
        shape = self.planes[plane]
        pixels = -(-width >> shape.w_shift)
        return -(-pixels // shape.group_pixels) * shape.group_bytes

    def rows(self, plane: int, height: int) -> int:
        """Return the number of rows of a plane.

        Raises:
            FormatError: The format is tiled.
        """
        if not self.planes:
            raise self._no_rows()
        return -(-height >> self.planes[plane].h_shift)

    def tight_layout(self, width: int, height: int, stride0: int | None = None) -> Layout:
        """Return the layout of a picture whose planes are stored back to back.

        Args:
            width: Width in pixels.
            height: Height in pixels.
            stride0: Bytes from the start of one row to the next in the first plane; the strides of the other planes
                follow from it. None means rows without padding.

        Raises:
            FormatError: The format is tiled, the width or height is not between 1 and 32768, `stride0` is shorter than
                a row, or the layout does not fit into the header's u32 fields.
        """
        if not (1 <= width <= MAX_DIMENSION and 1 <= height <= MAX_DIMENSION):
            raise FormatError(f"size {width}x{height} is not between 1x1 and {MAX_DIMENSION}x{MAX_DIMENSION}")
        strides, offsets, end = [], [], 0
        for index in range(self.n_planes):
            stride = self.row_bytes(index, width) if stride0 is None else self._scaled_stride(index, width, stride0)
            strides.append(stride)
            offsets.append(end)
            end += stride * self.rows(index, height)
        most = max(*strides, *offsets)
        if most > _U32_MAX:
            raise FormatError(message("fault_too_large", needed=most, most=_U32_MAX))
        return Layout(tuple(strides), tuple(offsets), end)

    def _scaled_stride(self, index: int, width: int, stride0: int) -> int:
        least = self.row_bytes(0, width)
        if stride0 < least:
            needed = f"a {self.name} row of width {width} needs at least {least}"
            raise FormatError(f"stride0 is {stride0} bytes, but {needed}")
        if self.kind == "opaque" or index == 0:
            return stride0
        plane, itemsize = self.planes[index], self._numpy_dtype.itemsize
        samples = -(-stride0 // itemsize)
        return -(-samples >> plane.w_shift) * plane.channels * itemsize

    def plane_shape(self, plane: int, width: int, height: int) -> tuple[int, ...]:
        """Return the shape of a plane's view: (rows, pixels) or (rows, pixels, channels); (rows, bytes) if opaque.

        Raises:
            FormatError: The format is tiled.
        """
        rows = self.rows(plane, height)
        if self.kind == "opaque":
            return rows, self.row_bytes(plane, width)
        shape = self.planes[plane]
        pixels = -(-width >> shape.w_shift)
        return (rows, pixels) if shape.channels == 1 else (rows, pixels, shape.channels)

    def plane_views(
        self, width: int, height: int, strides: Sequence[int], offsets: Sequence[int]
    ) -> tuple[PlaneView, ...]:
        """Return the view parameters of all planes, valid while the geometry is unchanged; empty for tiled formats."""
        views = []
        dtype = self._numpy_dtype
        for index, plane in enumerate(self.planes):
            shape = self.plane_shape(index, width, height)
            inner = (plane.channels * dtype.itemsize, dtype.itemsize) if len(shape) == 3 else (dtype.itemsize,)
            views.append(PlaneView(shape, dtype, offsets[index], (strides[index], *inner)))
        return tuple(views)

    def views(
        self, pixels: Pixels, width: int, height: int, strides: Sequence[int], offsets: Sequence[int]
    ) -> tuple[npt.NDArray[Any], ...]:
        """Return one array view per plane of `pixels`, without a copy; views are read-only if `pixels` is read-only.

        NV12 gives uint8 arrays of shapes (H, W) and (ceil(H/2), ceil(W/2), 2), and P010_10LE gives the same shapes in
        uint16. YUY2 gives (H, W, 2), BGR (H, W, 3), and v210 (H, bytes per row). Tiled formats give an empty tuple.

        Args:
            pixels: The pixel bytes, contiguous.
            width: Width in pixels.
            height: Height in pixels.
            strides: For each plane, bytes from the start of one row to the next.
            offsets: For each plane, the offset of its first byte.

        Raises:
            FormatError: A plane extends beyond the end of `pixels`.
        """
        return tuple(view.of(pixels) for view in self.plane_views(width, height, strides, offsets))

    def _no_rows(self) -> FormatError:
        return FormatError(message("fault_tiled", format=self.name))


def _load() -> dict[str, VideoFormat]:
    return {row["name"]: _format_of(row) for row in contract("formats")["formats"]}


def _format_of(row: dict[str, Any]) -> VideoFormat:
    return VideoFormat(
        name=row["name"],
        kind=row["kind"],
        dtype=row["dtype"],
        n_planes=row["n_planes"],
        planes=tuple(_plane_of(row, *numbers) for numbers in row["planes"]),
        components=row["components"],
        bits=tuple(row["bits"]),
        shift=tuple(row["shift"]),
    )


def _plane_of(row: dict[str, Any], first: int, second: int, third: int) -> Plane:
    if row["kind"] == "opaque":
        return Plane(w_shift=0, h_shift=third, channels=1, group_pixels=first, group_bytes=second)
    align = row["align"]
    return Plane(first, second, third, group_pixels=align, group_bytes=align * third * int(row["dtype"][-1]))


FORMATS: Final = _load()
"""Dict from name to format, in GStreamer's order."""

SUPPORTED_FORMATS: Final[tuple[str, ...]] = tuple(FORMATS)
"""Names of all raw video formats that can be sent, as GStreamer spells them."""

PACKED_FORMATS: Final[dict[str, int]] = {
    name: fmt.planes[0].channels for name, fmt in FORMATS.items() if fmt.kind == "packed" and fmt.dtype == "u1"
}
"""Number of channels of each format that is a single (H, W, channels) uint8 array: BGR 3, RGBA 4, YUY2 2, GRAY8 1 …"""

_CHANNELS_BY_BYTES: Final = {
    name.encode().ljust(FORMAT_LEN, b"\0"): channels for name, channels in PACKED_FORMATS.items()
}
# Width, height, stride[0], plane_offsets[0] and format, from byte 40 of the header.
_PACKED_FIELDS: Final = struct.Struct("<2I8xI12xI12x16s")
_U1: Final = np.dtype("u1")


def get_format(name: str) -> VideoFormat:
    """Return the format with this name.

    Raises:
        FormatError: The name is unknown; the message suggests the most similar name.
    """
    known = FORMATS.get(name)
    if known is None:
        raise FormatError(unknown_format(name))
    return known


def format_channels(name: str) -> int | None:
    """Return the number of channels in a packed format's (H, W, channels) uint8 view; None for any other format."""
    return PACKED_FORMATS.get(name)


def plane_heights(name: str, height: int) -> list[int] | None:
    """Return the number of rows of each plane; None if the format is unknown, is tiled or uses a palette."""
    known = FORMATS.get(name)
    if known is None or not known.planes:
        return None
    return [known.rows(plane, height) for plane in range(known.n_planes)]


def header_pixels_to_numpy_view(header: VideoFrameHeader, pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Return a (H, W, channels) uint8 view of a packed picture, without a copy.

    The view is non-contiguous if rows are padded, and read-only if `pixels` is read-only. The end of the stream gives
    an array of shape (0, 0, 0).

    Args:
        header: A private copy of the frame's header.
        pixels: The pixel bytes, contiguous.

    Raises:
        UnsupportedViewError: The format is not in `PACKED_FORMATS`, so its picture is not a single uint8 array.
        FormatError: The picture described by the header is larger than `pixels`.
    """
    width, height, stride, offset, name = _PACKED_FIELDS.unpack_from(header, 40)
    channels = _CHANNELS_BY_BYTES.get(name)
    if channels is None:
        channels = PACKED_FORMATS.get(header.format_name)
        if channels is None:
            return _not_packed(header)
    try:
        return np.ndarray((height, width, channels), _U1, pixels, offset, (stride, channels, 1))
    except (TypeError, ValueError) as exc:
        end = offset + stride * (height - 1) + width * channels
        raise FormatError(f"the picture ends at byte {end}, but there are {len(pixels)} pixel bytes") from exc


def _not_packed(header: VideoFrameHeader) -> npt.NDArray[np.uint8]:
    if header.is_eos:
        return np.empty((0, 0, 0), _U1)
    raise UnsupportedViewError(f"{header.format_name!r} is not one (H, W, C) array of bytes: use the frame's planes")
