"""A received frame: its pixels by reference, and what its publisher said about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._iox2.fork import guard_kind
from .._wire.auxblob import ParsedAux, parse_aux
from .._wire.caps import parse_caps
from .._wire.header import BUFFER_FLAGS_MASK, NONE_U64, VideoFrameHeader
from .._wire.metas import CustomMeta, ReferenceTimestamp, decode_meta
from .._wire.stamp import LazyStamp, Stamp, monotonic_ns
from .._wire.validate import Geometry, geometry_of
from ..errors import ForkedError, FrameReleasedError, UnsupportedViewError
from . import colour
from ._memory import CopiedMemory, Ledger, ReceivedMemory


@guard_kind
class VideoFrame:
    """One frame out of shared memory, as long as it is wanted: borrowed, read-only, never changing.

    Arrays and memoryviews of it, their slices and whatever else numpy makes of them without copying keep the pixels in
    place by themselves; the last one to go gives them back to the publisher. `release()` (or leaving a `with` block, or
    forgetting the frame) ends the frame's own hold. A subscriber may hold `Qos.borrowed_max` frames at once: copy what
    you keep for long (`frame.numpy_view().copy()`).

    What is not pixels (header, times, caps, metas) is a private copy and stays usable after `release()`.

    `pickle` (and with it every `multiprocessing` queue), `copy.copy` and `copy.deepcopy` copy the pixels. The copy is a
    `VideoFrame` with everything that the original has. Its arrays are read-only, too; it borrows nothing and does not
    count as held. A frame that was released cannot be copied: FrameReleasedError.
    """

    __slots__ = (
        "__weakref__",
        "_aux",
        "_caps",
        "_eos",
        "_geometry",
        "_header",
        "_ledger",
        "_memory",
        "_pixels",
        "_size",
        "_stamp",
    )

    def __init__(
        self,
        header: bytes,
        geometry: Geometry | None,
        size: int,
        memory: ReceivedMemory | CopiedMemory | None,
        aux: bytes,
        caps: str | None,
        stamp: LazyStamp,
        ledger: Ledger | None,
    ) -> None:
        """For the subscriber: frames are received, not made.

        Args:
            header: The 104 bytes, a private copy.
            geometry: Where the planes are; None at end of stream.
            size: Number of pixel bytes.
            memory: The pixels; None at end of stream.
            aux: The aux blob, a private copy.
            caps: The caps in it, checked.
            stamp: The stamp in it.
            ledger: Where the subscriber counts what it holds; None for a copy.
        """
        self._header = header
        self._geometry = geometry
        self._size = size
        self._memory = memory
        self._pixels: npt.NDArray[np.uint8] | None = None
        self._aux = aux
        self._caps = caps
        self._stamp = stamp
        self._ledger = ledger
        self._eos = geometry is None

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def header(self) -> VideoFrameHeader:
        """The header; a copy, at each call a new one."""
        return VideoFrameHeader.from_buffer_copy(self._header)

    def is_eos(self) -> bool:
        """Whether this is the end of the stream: no picture, and none to follow unless the publisher starts again."""
        return self._eos

    @property
    def width(self) -> int:
        """Pixels in a row; 0 at end of stream."""
        return 0 if self._geometry is None else self._geometry.width

    @property
    def height(self) -> int:
        """Rows; 0 at end of stream."""
        return 0 if self._geometry is None else self._geometry.height

    @property
    def format(self) -> str:
        """GStreamer's name of the pixel format; "" at end of stream."""
        return "" if self._geometry is None else self._geometry.format.name

    @property
    def pts(self) -> int | None:
        """Presentation timestamp on the publisher's own clock, nanoseconds."""
        return self._number(0)

    @property
    def dts(self) -> int | None:
        """Decoding timestamp on the publisher's own clock, nanoseconds."""
        return self._number(8)

    @property
    def duration(self) -> int | None:
        """How long to show it, nanoseconds."""
        return self._number(16)

    @property
    def offset(self) -> int | None:
        """Frame counter of the publisher's buffer."""
        return self._number(24)

    @property
    def flags(self) -> int:
        """The GstBufferFlags that describe the picture (`BUFFER_FLAGS`); those of its process stay at home."""
        return int.from_bytes(self._header[32:40], "little") & BUFFER_FLAGS_MASK

    def _number(self, at: int) -> int | None:
        number = int.from_bytes(self._header[at : at + 8], "little")
        return None if number == NONE_U64 else number

    @property
    def captured_at(self) -> int | None:
        """When it was captured, or else published: nanoseconds of CLOCK_MONOTONIC; None = unknown."""
        return self._stamp.read().capture

    @property
    def age(self) -> float | None:
        """Seconds since `captured_at`; None = unknown."""
        captured = self._stamp.read().capture
        return None if captured is None else (monotonic_ns() - captured) / 1e9

    @property
    def due_at(self) -> int | None:
        """When to show it: nanoseconds of CLOCK_MONOTONIC; None = unknown."""
        return self._stamp.read().due

    @property
    def sequence(self) -> int | None:
        """How many frames its publisher had sent before it; None = unknown."""
        return self._stamp.read().sequence

    # -- what came with it -------------------------------------------------------------------------------------------

    @property
    def aux(self) -> memoryview:
        """The aux blob; a read-only view of a private copy, empty where there is none."""
        return memoryview(self._aux)

    def parse_aux(self) -> ParsedAux:
        """The caps string and all meta records of the aux blob (copies)."""
        return parse_aux(self._aux)

    @property
    def caps(self) -> str | None:
        """Caps as GStreamer writes them, with framerate and colorimetry where the publisher knows them."""
        return self._caps

    @property
    def metas(self) -> list[ReferenceTimestamp | CustomMeta | bytes]:
        """The metas on it, decoded; a record that cannot be decoded as bytes.

        Without the records from which `captured_at`, `due_at` and `sequence` come; `parse_aux().metas` has them all.
        """
        return [decode_meta(record) for record in parse_aux(self._aux).metas if Stamp.read(record) is None]

    # -- its pixels --------------------------------------------------------------------------------------------------

    @property
    def pixel_size(self) -> int:
        """Number of pixel bytes."""
        return self._size

    @property
    def pixels(self) -> memoryview:
        """All pixel bytes as they lie in shared memory; borrowed, read-only, keeps them in place by itself."""
        if self._eos:
            return memoryview(b"")
        return self._bytes().data

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """One array a plane, rows padded as the publisher has them; borrowed, read-only.

        NV12 gives uint8 (H, W) and (ceil(H/2), ceil(W/2), 2), I420 three of uint8, P010_10LE uint16, BGR (H, W, 3),
        v210 rows of bytes. Empty at end of stream.

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format is made of tiles or has a palette.
        """
        geometry = self._geometry
        if geometry is None:
            return ()
        if not geometry.planes:
            raise UnsupportedViewError(
                f"{geometry.format.name} is made of tiles or a palette and has no rows: use .pixels"
            )
        return geometry.views(self._bytes())

    def numpy_view(self) -> npt.NDArray[Any]:
        """The picture as one array; borrowed, read-only, not contiguous where rows are padded.

        BGR gives uint8 (H, W, 3), RGBA (H, W, 4), YUY2 (H, W, 2), GRAY8 (H, W), GRAY16_LE uint16 (H, W), v210 rows of
        bytes; end of stream (0, 0, 0).

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format has several planes (use `planes` or `to_rgb()`), tiles or a palette.
        """
        geometry = self._geometry
        if geometry is None:
            return np.empty((0, 0, 0), np.uint8)
        planes = geometry.planes
        if len(planes) != 1:
            instead = "use .planes, .to_rgb() or .to_bgr()" if planes else "they are tiles or a palette, use .pixels"
            raise UnsupportedViewError(
                f"{geometry.format.name} is no single array, it has {geometry.format.n_planes} planes: {instead}"
            )
        return planes[0].of(self._bytes())

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """`numpy.asarray(frame)`: as `numpy_view()`; `copy` as numpy defines it."""
        view = self.numpy_view()
        if dtype is not None and view.dtype != dtype:
            if copy is False:
                raise ValueError(f"a frame of {view.dtype} cannot be seen as {np.dtype(dtype)} without copying")
            return view.astype(dtype)
        return view.copy() if copy else view

    def to_rgb(self) -> npt.NDArray[np.uint8]:
        """The picture as (H, W, 3) of R, G, B; copies, converted as the colorimetry of the caps says.

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format is made of tiles or has a palette.
        """
        return self._converted("RGB")

    def to_bgr(self) -> npt.NDArray[np.uint8]:
        """The picture as (H, W, 3) of B, G, R, as OpenCV has it; copies, converted as the colorimetry says.

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format is made of tiles or has a palette.
        """
        return self._converted("BGR")

    def _converted(self, order: Any) -> npt.NDArray[np.uint8]:
        geometry = self._geometry
        if geometry is None:
            return np.empty((0, 0, 3), np.uint8)
        colorimetry = parse_caps(self._caps).fields.get("colorimetry") if self._caps else None
        text = colorimetry if isinstance(colorimetry, str) else None
        return colour.to_rgb(self.planes, geometry.format, geometry.width, geometry.height, text, order=order)

    def _bytes(self) -> npt.NDArray[np.uint8]:
        pixels = self._pixels
        if pixels is None:
            if self._memory is None:
                if self._ledger is not None and self._ledger.forked:
                    raise ForkedError(
                        "this frame belongs to the process that forked: receive frames in the child itself"
                    )
                raise FrameReleasedError(
                    f"{self!r} was released: its pixels may be another frame's by now. Take views or copies before"
                )
            pixels = self._pixels = self._memory.array()
        return pixels

    # -- its end -----------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Give up this frame's hold on its pixels; views of them stay valid and keep them in place. Idempotent."""
        self._pixels = None
        self._memory = None

    def _abandon(self) -> None:
        if self._ledger is not None:
            self.release()

    def __reduce__(self) -> tuple[Any, ...]:
        pixels = b"" if self._eos else self._bytes().tobytes()
        return _copied, (self._header, pixels, self._aux, self._caps)

    def __enter__(self) -> VideoFrame:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        held = "copied" if self._ledger is None else f"held {self._ledger.held}/{self._ledger.limit}"
        if self._eos:
            return f"<VideoFrame end of stream, {held}>"
        number = "" if self.sequence is None else f" #{self.sequence}"
        state = ", released" if self._memory is None else ""
        return f"<VideoFrame{number} {self.width}x{self.height} {self.format} pts={self.pts}, {held}{state}>"


def _copied(header: bytes, pixels: bytes, aux: bytes, caps: str | None) -> VideoFrame:
    """A frame out of what `VideoFrame.__reduce__` tells of one."""
    fields = VideoFrameHeader.from_buffer_copy(header)
    if fields.is_eos:
        return VideoFrame(header, None, 0, None, aux, caps, LazyStamp(aux), None)
    memory = CopiedMemory(pixels)
    return VideoFrame(header, geometry_of(fields), len(pixels), memory, aux, caps, LazyStamp(aux), None)
