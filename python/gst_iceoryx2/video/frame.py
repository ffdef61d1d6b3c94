"""A received frame: its pixels in shared memory, and copies of its header, caps and metas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._iox2.fork import guard_kind
from .._wire.auxblob import ParsedAux, parse_aux
from .._wire.caps import parse_caps
from .._wire.clock import Origin
from .._wire.header import BUFFER_FLAGS_MASK, NONE_U64, VideoFrameHeader
from .._wire.metas import CustomMeta, ReferenceTimestamp, decode_meta
from .._wire.stamp import LazyStamp, Stamp, monotonic_ns
from .._wire.validate import Geometry, geometry_of
from ..errors import ForkedError, FrameReleasedError, UnsupportedViewError
from . import colour
from ._memory import CopiedMemory, Ledger, ReceivedMemory


@guard_kind
class VideoFrame:
    """A received frame. Its pixels are borrowed from shared memory and read-only.

    Arrays and memoryviews of the frame, and slices of them, keep the pixels valid. The publisher reuses the memory when
    the frame and all of its arrays are gone. To release the frame itself, call `release()`, leave its `with` block, or
    delete it. A subscriber may hold `Qos.borrowed_max` frames at once, so copy pixels that you want to keep:
    `frame.numpy_view().copy()`.

    The header, timestamps, caps and metas are copies, so they remain usable after `release()`.

    You can copy a frame, including its pixels, with `pickle` (thus also through `multiprocessing` queues), `copy.copy`
    or `copy.deepcopy`. The copy owns its pixels and does not count as held. Copying a released frame raises
    FrameReleasedError.

    Frames come from a `VideoFrameSubscriber`; programs do not create them.

    Example:
        Keep a copy of one frame's pixels:

            with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                frame = subscriber.receive_blocking()
                picture = frame.numpy_view().copy()
                print(frame.format, frame.width, frame.height, frame.captured_at)
    """

    __slots__ = (
        "__weakref__",
        "_aux",
        "_caps",
        "_geometry",
        "_header",
        "_ledger",
        "_memory",
        "_pixels",
        "_size",
        "_stamp",
    )

    def _fill(
        self,
        header: bytes,
        geometry: Geometry | None,
        size: int,
        memory: ReceivedMemory | CopiedMemory | None,
        aux: bytes,
        caps: str | None,
        stamp: LazyStamp,
        ledger: Ledger | None,
    ) -> VideoFrame:
        """Fill a new frame and return it. Used instead of a constructor, because programs must not create frames.

        Args:
            header: The 104 header bytes, a private copy.
            geometry: Positions of the planes; None at the end of the stream.
            size: Number of pixel bytes.
            memory: The pixels; None at the end of the stream.
            aux: The aux blob, a private copy.
            caps: The caps from the aux blob, already checked.
            stamp: The stamp from the aux blob.
            ledger: Counts the frames that the subscriber holds; None for a copy.
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
        return self

    # -- header ------------------------------------------------------------------------------------------------------

    @property
    def header(self) -> VideoFrameHeader:
        """The header; a new copy on each access."""
        return VideoFrameHeader.from_buffer_copy(self._header)

    def is_eos(self) -> bool:
        """Whether this marks the end of the stream, without a picture. Frames follow only if the publisher resumes."""
        return self._geometry is None

    @property
    def width(self) -> int:
        """Width in pixels; 0 at the end of the stream."""
        return 0 if self._geometry is None else self._geometry.width

    @property
    def height(self) -> int:
        """Height in pixels; 0 at the end of the stream."""
        return 0 if self._geometry is None else self._geometry.height

    @property
    def format(self) -> str:
        """GStreamer's name for the pixel format; "" at the end of the stream."""
        return "" if self._geometry is None else self._geometry.format.name

    @property
    def pts(self) -> int | None:
        """Presentation timestamp on the publisher's own clock in nanoseconds; None = not set."""
        return self._number(0)

    @property
    def dts(self) -> int | None:
        """Decoding timestamp on the publisher's own clock in nanoseconds; None = not set."""
        return self._number(8)

    @property
    def duration(self) -> int | None:
        """Duration in nanoseconds; None = not set."""
        return self._number(16)

    @property
    def offset(self) -> int | None:
        """Frame counter of the publisher's buffer; None = not set."""
        return self._number(24)

    @property
    def flags(self) -> int:
        """GstBufferFlags that describe the picture (`BUFFER_FLAGS`)."""
        return int.from_bytes(self._header[32:40], "little") & BUFFER_FLAGS_MASK

    def _number(self, at: int) -> int | None:
        number = int.from_bytes(self._header[at : at + 8], "little")
        return None if number == NONE_U64 else number

    @property
    def captured_at(self) -> int | None:
        """Capture time, or else publishing time, in nanoseconds of CLOCK_MONOTONIC; None = both are unknown."""
        return self._stamp.read().capture

    @property
    def age(self) -> float | None:
        """Seconds since `captured_at`; None = unknown."""
        captured = self._stamp.read().capture
        return None if captured is None else (monotonic_ns() - captured) / 1e9

    @property
    def captured_at_error(self) -> float | None:
        """Largest error of `captured_at` in seconds; None = unknown.

        0.0 for frames of this machine. A bridge translates the capture time of a frame from another machine, and states
        the error. If it cannot translate the time, `captured_at` is the time of arrival, and this is None.
        """
        if self.captured_at is None:
            return None
        origin = Origin.find(self.metas)
        error = 0 if origin is None else origin.error
        return None if error is None else error / 1e9

    @property
    def due_at(self) -> int | None:
        """Time to display the frame, in nanoseconds of CLOCK_MONOTONIC; None = unknown."""
        return self._stamp.read().due

    @property
    def sequence(self) -> int | None:
        """Number of frames that the publisher had sent before this one; None = unknown."""
        return self._stamp.read().sequence

    @property
    def stamp(self) -> Stamp:
        """Identity and times of the frame (SPEC.md section 5), for example for the packet that shows it."""
        return self._stamp.read()

    @property
    def origin(self) -> Stamp:
        """Stamp that the first publisher gave the frame. If the frame did not cross a bridge, it is `stamp`.

        Publisher and sequence identify the picture on both sides of a bridge. If `boot_id` is not this machine's, the
        capture time belongs to another clock. A bridge does not pass on the due time.
        """
        origin = Origin.find(self.metas)
        return self.stamp if origin is None else origin.stamp

    # -- caps and metas ----------------------------------------------------------------------------------------------

    @property
    def aux(self) -> memoryview:
        """The aux blob (SPEC.md section 3) as a read-only view of a copy; empty if the frame has no aux blob."""
        return memoryview(self._aux)

    def parse_aux(self) -> ParsedAux:
        """Return copies of the caps string and of all meta records in the aux blob."""
        return parse_aux(self._aux)

    @property
    def caps(self) -> str | None:
        """Caps in GStreamer's notation, with framerate and colorimetry if the publisher sent them; None = no caps."""
        return self._caps

    @property
    def metas(self) -> list[ReferenceTimestamp | CustomMeta | bytes]:
        """Decoded metas. Records that cannot be decoded are returned as `bytes`.

        The list excludes the stamp, the record behind `captured_at`, `due_at` and `sequence`; `parse_aux().metas`
        includes it.
        """
        return [decode_meta(record) for record in parse_aux(self._aux).metas if Stamp.read(record) is None]

    # -- pixels ------------------------------------------------------------------------------------------------------

    @property
    def pixel_size(self) -> int:
        """Number of pixel bytes."""
        return self._size

    @property
    def pixels(self) -> memoryview:
        """All pixel bytes as laid out in shared memory; borrowed, read-only."""
        if self._geometry is None:
            return memoryview(b"")
        return self._bytes().data

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """One array per plane, with the publisher's row padding; borrowed, read-only.

        NV12 gives two uint8 arrays, (H, W) and (ceil(H/2), ceil(W/2), 2). I420 gives three uint8 arrays, P010_10LE
        uint16 arrays, BGR one (H, W, 3) array, and v210 rows of bytes. The tuple is empty at the end of the stream.

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format is tiled or uses a palette.

        Example:
            Print the mean brightness of a planar format:

                with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                    frame = subscriber.receive_blocking()
                    print(frame.format, frame.planes[0].mean())
        """
        geometry = self._geometry
        if geometry is None:
            return ()
        if not geometry.planes:
            raise UnsupportedViewError(
                f"{geometry.format.name} is tiled or uses a palette, so it has no pixel rows: use .pixels"
            )
        return geometry.views(self._bytes())

    def numpy_view(self) -> npt.NDArray[Any]:
        """Return the picture as one array; borrowed, read-only, and not contiguous if rows are padded.

        Returns:
            A uint8 array: (H, W, 3) for BGR, (H, W, 4) for RGBA, (H, W, 2) for YUY2, (H, W) for GRAY8, rows of bytes
            for v210. GRAY16_LE gives uint16 (H, W). The end of the stream gives (0, 0, 0).

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format has several planes (use `planes` or `to_rgb()`), is tiled or uses a
                palette.

        Example:
            Read pixels without a copy:

                with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                    view = subscriber.receive_blocking().numpy_view()
                    print(view.shape, view.dtype, view[0, 0])
        """
        geometry = self._geometry
        if geometry is None:
            return np.empty((0, 0, 0), np.uint8)
        planes = geometry.planes
        if len(planes) != 1:
            name, count = geometry.format.name, geometry.format.n_planes
            raise UnsupportedViewError(
                f"{name} has {count} planes, so it is not a single array: use .planes, .to_rgb() or .to_bgr()"
                if planes
                else f"{name} is tiled or uses a palette, so it is not a single array: use .pixels"
            )
        return planes[0].of(self._bytes())

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Support `numpy.asarray(frame)`, which returns `numpy_view()`."""
        view = self.numpy_view()
        if dtype is not None and view.dtype != dtype:
            if copy is False:
                raise ValueError(f"cannot view a {view.dtype} frame as {np.dtype(dtype)} without a copy")
            return view.astype(dtype)
        return view.copy() if copy else view

    def to_rgb(self, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Return a copy of the picture as uint8 (H, W, 3) with channels in the order R, G, B.

        The colorimetry in the caps determines how YUV is converted.

        Args:
            size: Width and height of the result in pixels, each from 1 to 32,768; None = the frame's own size. The
                picture is stretched to this size: its aspect ratio is not kept, and no borders are added. Each axis is
                shrunk by averaging the area that a pixel covers, or enlarged by linear interpolation. If PyAV is
                installed, it scales the picture, which is about three times as fast. The first picture to be scaled
                then imports PyAV, which takes about 50 ms. With and without PyAV, pictures differ by a few levels.

        Returns:
            A new C-contiguous array. The end of the stream gives (0, 0, 3).

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format is tiled or uses a palette.
            TypeError: `size` is not a pair of whole numbers.
            ValueError: The width or height in `size` is less than 1 or more than 32,768.

        Example:
            Get RGB pixels, whatever format and size the camera sends:

                with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                    frame = subscriber.receive_blocking()
                    print(frame.to_rgb().shape, frame.to_rgb(size=(640, 640)).mean(axis=(0, 1)))
        """
        return self._converted("RGB", size)

    def to_bgr(self, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """Return a copy of the picture as uint8 (H, W, 3) with channels in the order B, G, R, as OpenCV expects.

        The colorimetry in the caps determines how YUV is converted.

        Args:
            size: Width and height of the result in pixels, each from 1 to 32,768; None = the frame's own size. The
                picture is stretched to this size: its aspect ratio is not kept, and no borders are added. Each axis is
                shrunk by averaging the area that a pixel covers, or enlarged by linear interpolation. If PyAV is
                installed, it scales the picture, which is about three times as fast. The first picture to be scaled
                then imports PyAV, which takes about 50 ms. With and without PyAV, pictures differ by a few levels.

        Returns:
            A new C-contiguous array. The end of the stream gives (0, 0, 3).

        Raises:
            FrameReleasedError: The frame was released.
            UnsupportedViewError: The format is tiled or uses a palette.
            TypeError: `size` is not a pair of whole numbers.
            ValueError: The width or height in `size` is less than 1 or more than 32,768.
        """
        return self._converted("BGR", size)

    def _converted(self, order: Any, size: object) -> npt.NDArray[np.uint8]:
        wanted = None if size is None else colour.checked_size(size)
        geometry = self._geometry
        if geometry is None:
            return np.empty((0, 0, 3), np.uint8)
        colorimetry = parse_caps(self._caps).fields.get("colorimetry") if self._caps else None
        text = colorimetry if isinstance(colorimetry, str) else None
        return colour.to_rgb(
            self.planes, geometry.format, geometry.width, geometry.height, text, order=order, size=wanted
        )

    def _bytes(self) -> npt.NDArray[np.uint8]:
        pixels = self._pixels
        if pixels is None:
            if self._memory is None:
                if self._ledger is not None and self._ledger.forked:
                    raise ForkedError("this frame belongs to the parent process: receive frames in the child itself")
                raise FrameReleasedError(
                    f"{self!r} was released, and its memory may contain another frame by now: "
                    "take views or copies before you release it"
                )
            pixels = self._pixels = self._memory.array()
        return pixels

    # -- release -----------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Release this frame's own reference to its pixels. Arrays made from it stay valid. Idempotent."""
        self._pixels = None
        self._memory = None

    def _abandon(self) -> None:
        # The parent may have forked while another thread was still filling this object.
        if getattr(self, "_ledger", None) is not None:
            self.release()

    def __reduce__(self) -> tuple[Any, ...]:
        pixels = b"" if self._geometry is None else self._bytes().tobytes()
        return _copied, (self._header, pixels, self._aux, self._caps)

    def __enter__(self) -> VideoFrame:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        held = "copied" if self._ledger is None else f"held {self._ledger.held}/{self._ledger.limit}"
        if self._geometry is None:
            return f"<VideoFrame end of stream, {held}>"
        number = "" if self.sequence is None else f" #{self.sequence}"
        state = ", released" if self._memory is None else ""
        return f"<VideoFrame{number} {self.width}x{self.height} {self.format} pts={self.pts}, {held}{state}>"


def _copied(header: bytes, pixels: bytes, aux: bytes, caps: str | None) -> VideoFrame:
    """Create the copy that `VideoFrame.__reduce__` describes."""
    fields = VideoFrameHeader.from_buffer_copy(header)
    if fields.is_eos:
        return VideoFrame()._fill(header, None, 0, None, aux, caps, LazyStamp(aux), None)
    memory = CopiedMemory(pixels)
    return VideoFrame()._fill(header, geometry_of(fields), len(pixels), memory, aux, caps, LazyStamp(aux), None)
