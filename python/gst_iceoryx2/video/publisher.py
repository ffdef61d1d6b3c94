"""Publish frames: fill them in shared memory or copy them there. Subscribers receive them by reference."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from .._iox2.service_name import check_service_name
from .._iox2.types import Node
from .._wire.formats import FORMATS
from .._wire.header import DEFAULT_AUX_BYTES, DEFAULT_SERVICE, MAX_AUX_BYTES
from .._wire.numbers import whole
from .._wire.stamp import monotonic_ns, new_publisher_id
from ..contract import message
from ..errors import FormatError, QosError
from . import _keeper
from ._layout import FrameLayout, Framerate, caps_fields
from ._ports import open_ports
from ._publishing import Publishing
from ._sender import FrameSender
from ._service import DEFAULT_MAX_PUBLISHERS, DEFAULT_MAX_SUBSCRIBERS, qos_of
from .config import FrameParams, Qos
from .loan import LoanedFrame, Meta

# Number of cached layouts. A program that alternates between more sizes recomputes them.
_LAYOUTS: Final = 16


class PublisherStats(NamedTuple):
    """Counters of a `VideoFramePublisher` since it was created.

    Attributes:
        sent: Frames sent. Ends of the stream are not counted.
        dropped: Frames not sent because subscribers held all memory (see `max_frames`).
    """

    sent: int
    dropped: int


class VideoFramePublisher(Publishing):
    """Publish frames to a service.

    Before the first frame, the publisher gives waiting subscribers up to 0.5 s to connect. After that, it never waits
    for a subscriber: a slow subscriber loses its oldest frames. You can call every method from any thread. A publisher
    cannot be used in a forked child, where it raises ForkedError: create a new one there.

    By default, a service admits one publisher. To make room for another one, close this one or leave its `with` block.
    Frames and arrays that subscribers hold stay valid.

    Args:
        service_name: Name of the service, 1 to 255 bytes of printable ASCII.
        max_bytes: Pixel bytes of the largest frame. 0 = grow as needed. A frame that does not fit replaces the memory,
            which takes about a millisecond.
        iox2_node: `iceoryx2.Node` to use, from `create_node()`; None creates one. With a `ServiceType.Local` node, the
            publisher only reaches subscribers in this process that use a node of that type.
        qos: Quality of service for a new service; None = `Qos()`. An existing service keeps its own settings. If it
            offers less than a value that you changed from the default, QosError is raised.
        max_subscribers: Subscribers that a new service admits, 1 to 65,536. For an existing service, see `qos`.
        max_publishers: Publishers that a new service admits, 1 to 65,536. For an existing service, see `qos`.
        max_frames: Maximum number of frames in shared memory, whether being filled, queued for subscribers, or held by
            them; at least 10. If there is no room for another frame, the frame is dropped and counted. 0 = start with
            24 and grow up to the number that all subscribers together may hold.
        aux_bytes: Bytes reserved after the pixels of each loan for caps, timestamps and metas. With 0, frames do not
            carry them.
        framerate: Frames per second, to be stated in the caps. 0 = variable, None = not stated.
        caps: Raw-video caps. Their fields other than format and size (colorimetry, pixel-aspect-ratio …) are added to
            the caps of every frame.
        lossless: Not supported in Python, so True raises QosError. Use `iceoryx2sink lossless=true` instead.

    Raises:
        InvalidServiceNameError: The name cannot be used as a service name.
        FormatError: The caps or the frame rate cannot be represented.
        QosError: The existing service offers less than requested, or `lossless` is True.
        TooManyPortsError: The service already has as many publishers as it admits.
        OutOfSharedMemoryError: There is not enough shared memory for frames of `max_bytes`.
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        ValueError: A number is out of range.
        TypeError: A numeric argument is not a number.

    Example:
        Publish 100 frames that fade from black to gray:

            import numpy as np

            from gst_iceoryx2.video import VideoFramePublisher

            with VideoFramePublisher("video/cam0/frame/v2", framerate=30) as publisher:
                publisher.wait_for_subscribers(timeout=10)
                for value in range(100):
                    publisher.publish(np.full((480, 640, 3), value, np.uint8))
                publisher.end_of_stream()
    """

    def __init__(
        self,
        service_name: str = DEFAULT_SERVICE,
        *,
        max_bytes: int = 0,
        iox2_node: Node | None = None,
        qos: Qos | None = None,
        max_subscribers: int = DEFAULT_MAX_SUBSCRIBERS,
        max_publishers: int = DEFAULT_MAX_PUBLISHERS,
        max_frames: int = 0,
        aux_bytes: int = DEFAULT_AUX_BYTES,
        framerate: Framerate | None = None,
        caps: str | None = None,
        lossless: bool = False,
    ) -> None:
        self._name = check_service_name(service_name)
        if lossless:
            raise QosError(
                f"a publisher in Python cannot be lossless on {service_name!r}: it would block the interpreter while "
                "it waits for its slowest subscriber; use iceoryx2sink lossless=true, or a larger buffer_size"
            )
        max_bytes = whole(max_bytes, "max_bytes", 0, sys.maxsize)
        max_frames = whole(max_frames, "max_frames", 0, sys.maxsize)
        aux_bytes = whole(aux_bytes, "aux_bytes", 0, MAX_AUX_BYTES)
        fields, identity = caps_fields(caps, framerate), new_publisher_id()
        self._layout = lru_cache(_LAYOUTS)(partial(FrameLayout, fields=fields, publisher=identity))
        ports = open_ports(
            service_name,
            Qos() if qos is None else qos,
            iox2_node,
            max_subscribers=max_subscribers,
            max_publishers=max_publishers,
            max_bytes=max_bytes + aux_bytes if max_bytes else 0,
            max_frames=max_frames,
        )
        self._qos = qos_of(ports.service.static_config)
        self._sender: FrameSender = FrameSender(ports, aux_bytes)
        _keeper.adopt(self)
        # Connect subscribers that live in this thread: they cannot connect by themselves before the first frame is
        # sent.
        _keeper.look_around(service_name)

    # -- frames ------------------------------------------------------------------------------------------------------

    def loan(self, width: int, height: int, format: str = "BGR", *, stride0: int | None = None) -> LoanedFrame:
        """Lend shared memory for one frame, to be filled in place and sent without a copy.

        Args:
            width: Width in pixels.
            height: Height in pixels.
            format: GStreamer's name for the pixel format.
            stride0: Bytes from the start of one row to the next in the first plane; other planes scale in proportion.
                None = rows without padding.

        Returns:
            A frame with writable planes. Leaving its `with` block sends it; an exception discards it. Its memory
            initially contains the pixels of an earlier frame.

        Raises:
            FormatError: The format is unknown or is not stored in rows, or the stride is invalid for the size.
            LoanLimitError: 8 frames are already being filled.
            OutOfSharedMemoryError: The frame is larger than all previous frames, and there is not enough shared memory
                for it.
            ClosedError: This publisher is closed.

        Example:
            Draw directly into shared memory:

                with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                    with publisher.loan(640, 480, "BGR") as frame:
                        frame.numpy_view()[...] = 0
                        frame.numpy_view()[100:200, 100:200] = (0, 0, 255)
        """
        return self._sender.begin(self._layout(format, width, height, stride0), monotonic_ns())

    def publish(
        self,
        array: npt.ArrayLike | Sequence[npt.ArrayLike],
        *,
        format: str = "BGR",
        width: int | None = None,
        pts: int | None = None,
        dts: int | None = None,
        duration: int | None = None,
        offset: int | None = None,
        flags: int = 0,
        captured_at: int | None = None,
        metas: Sequence[Meta] = (),
    ) -> int:
        """Copy a picture into shared memory and send it.

        Args:
            array: The picture as one array, or as a tuple with one array per plane. Shapes and dtypes are the same as
                in `VideoFrame.planes`; strides are arbitrary.
            format: GStreamer's name for the pixel format.
            width: Width in pixels; only needed for formats whose rows are opaque bytes (v210 …).
            pts: Presentation timestamp in nanoseconds; None = not set.
            dts: Decoding timestamp in nanoseconds; None = not set.
            duration: Duration in nanoseconds; None = not set.
            offset: Frame counter; None = number of frames that this publisher has sent so far.
            flags: GstBufferFlags that describe the picture (`BUFFER_FLAGS`).
            captured_at: Capture time in nanoseconds of CLOCK_MONOTONIC; None = now.
            metas: `ReferenceTimestamp`, `CustomMeta` or encoded meta records.

        Returns:
            Number of subscribers that receive the frame. Also 0 if the frame was dropped because no memory was free.

        Raises:
            FormatError: The arrays do not match the format, or a number or a meta cannot be represented.
            LoanLimitError: 8 frames are already being filled.
            OutOfSharedMemoryError: The frame is larger than all previous frames, and there is not enough shared memory
                for it.
            ClosedError: This publisher is closed.

        Example:
            Send a black NV12 picture, which has two planes:

                luma = np.full((480, 640), 16, np.uint8)
                chroma = np.full((240, 320, 2), 128, np.uint8)
                with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                    publisher.publish((luma, chroma), format="NV12")
        """
        moment = monotonic_ns() if captured_at is None else captured_at
        planes = [np.asarray(plane) for plane in (array if isinstance(array, (tuple, list)) else (array,))]
        layout = self._layout_of(planes, format, width)
        with self._sender.begin_with(layout, layout.size, metas, moment) as frame:
            frame.pts, frame.dts, frame.duration, frame.offset, frame.flags = pts, dts, duration, offset, flags
            for target, plane in zip(frame.planes, planes, strict=True):
                np.copyto(target, plane if plane.ndim == target.ndim else plane[..., 0])
            return frame.send()

    def publish_frame(self, pixels: Any, params: FrameParams) -> int:
        """Copy raw pixel bytes into shared memory and send them as a frame.

        Args:
            pixels: Bytes, a contiguous array, or another object with a contiguous buffer, one plane after the other.
                With `params.stride0`, all bytes are sent, and there must be enough of them for that stride. Without
                `stride0`, rows are unpadded; if the format has a single plane, all rows may have the same padding, as
                in GStreamer.
            params: Size, format, stride and timestamps of the frame.

        Returns:
            Number of subscribers that receive the frame. Also 0 if the frame was dropped because no memory was free.

        Raises:
            FormatError: The number of bytes does not match `params`.
            LoanLimitError: 8 frames are already being filled.
            OutOfSharedMemoryError: The frame is larger than all previous frames, and there is not enough shared memory
                for it.
            ClosedError: This publisher is closed.

        Example:
            Send bytes that another library decoded:

                with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                    publisher.publish_frame(bytes(640 * 480 * 3), FrameParams(640, 480, "RGB"))
        """
        moment = monotonic_ns()
        source = _flat(pixels)
        layout = self._layout(params.format, params.width, params.height, params.stride0)
        if params.stride0 is None and len(source) != layout.size:
            stride0 = _stride_of(len(source), params, layout)
            layout = self._layout(params.format, params.width, params.height, stride0)
        _check_params(source, params, layout)
        with self._sender.begin_with(layout, len(source), (), moment) as frame:
            frame.pts, frame.offset = params.pts, params.offset
            np.copyto(frame.bytes(), source)
            return frame.send()

    def end_of_stream(self) -> int:
        """Signal the end of the stream to all subscribers, including those that join while this publisher is open.

        The publisher stays open: publishing another frame resumes the stream.

        Returns:
            Number of subscribers that receive the end of the stream.

        Raises:
            ClosedError: This publisher is closed.

        Example:
            End the loops of all subscribers:

                with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                    publisher.publish(np.zeros((480, 640, 3), np.uint8))
                    publisher.end_of_stream()
        """
        return self._sender.end()

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def qos(self) -> Qos:
        """Quality of service of the service, whether this publisher created it or found it."""
        return self._qos

    @property
    def stats(self) -> PublisherStats:
        """Counters so far."""
        return PublisherStats(self._sender.sequence, self._sender.dropped)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _layout_of(self, planes: Sequence[npt.NDArray[Any]], format: str, width: int | None) -> FrameLayout:
        """Return the layout of a picture. Raise FormatError if these arrays do not match the format."""
        first = planes[0].shape if planes else ()
        if len(first) < 2 or 0 in first:
            raise FormatError(f"an array of shape {first} is not a picture: the shape must be (height, width, …)")
        if width is None and format in FORMATS and FORMATS[format].kind == "opaque":
            raise FormatError(f"the width in pixels cannot be derived from rows of {format}: pass width=")
        layout = self._layout(format, first[1] if width is None else width, first[0], None)
        wanted = [(plane.shape, plane.dtype) for plane in layout.planes]
        given = [(plane.shape, plane.dtype) for plane in planes]
        if len(given) != len(wanted) or not all(map(_fits, given, wanted)):
            raise FormatError(
                f"{format} at {layout.width}x{layout.height} needs {_described(wanted)}, but got {_described(given)}"
            )
        return layout

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: create VideoFramePublisher({self._name!r}) in the process that publishes"
        )


def _fits(given: tuple[tuple[int, ...], np.dtype[Any]], wanted: tuple[tuple[int, ...], np.dtype[Any]]) -> bool:
    (shape, dtype), (right_shape, right_dtype) = given, wanted
    # Byte order does not matter, because copying converts it.
    same_values = dtype.kind == right_dtype.kind and dtype.itemsize == right_dtype.itemsize
    return same_values and shape in (right_shape, (*right_shape, 1))


def _described(arrays: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return " and ".join(f"{dtype} {shape}" for shape, dtype in arrays)


def _flat(pixels: Any) -> npt.NDArray[np.uint8]:
    try:
        return np.frombuffer(pixels, np.uint8)
    except (BufferError, TypeError, ValueError) as exc:
        raise FormatError(
            f"this {type(pixels).__name__} is not contiguous in memory ({exc}): use publish() for arrays with strides"
        ) from exc


def _stride_of(size: int, params: FrameParams, layout: FrameLayout) -> int:
    """Return the row stride in bytes of a picture of `size` bytes with padded rows."""
    if layout.format.n_planes == 1:
        stride0, rest = divmod(size, params.height)
        if rest == 0 and stride0 > layout.format.row_bytes(0, params.width):
            return stride0
    raise FormatError(
        message(
            "fault_padding",
            format=params.format,
            width=params.width,
            height=params.height,
            tight=layout.size,
            given=size,
        )
    )


def _check_params(pixels: npt.NDArray[np.uint8], params: FrameParams, layout: FrameLayout) -> None:
    what = f"{params.format} at {params.width}x{params.height}"
    if params.n_planes not in (1, layout.format.n_planes):
        raise FormatError(f"{what} has {layout.format.n_planes} planes, but n_planes is {params.n_planes}")
    if len(pixels) < layout.least:
        needed = f"{what} with rows of {params.stride0} bytes needs {layout.least} bytes"
        raise FormatError(f"{needed}, but got {len(pixels)}")
