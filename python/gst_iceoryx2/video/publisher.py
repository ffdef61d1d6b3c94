"""Publishing frames: filled in shared memory in place, or copied there, and seen by every subscriber by reference."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from .._iox2 import binding, types
from .._iox2.cleanup import clean_up_if_stale
from .._iox2.service_name import check_service_name
from .._wire.formats import FORMATS
from .._wire.header import DEFAULT_AUX_BYTES, DEFAULT_SERVICE, MAX_AUX_BYTES
from .._wire.numbers import real, whole
from .._wire.stamp import monotonic_ns, new_publisher_id
from ..errors import FormatError, FrameTimeoutError, QosError
from . import _keeper
from ._layout import FrameLayout, Framerate, caps_fields
from ._pool import Pool
from ._sender import Sender
from ._service import DEFAULT_MAX_PUBLISHERS, DEFAULT_MAX_SUBSCRIBERS, check_ports, open_for_publishing, qos_of
from .config import FrameParams, Qos
from .loan import LoanedFrame, Meta

_CONNECT_STEP: Final = 0.005
# A program that publishes many sizes in turn works them out again now and then.
_LAYOUTS: Final = 16


class PublisherStats(NamedTuple):
    """What a publisher has counted, since it was made.

    Attributes:
        sent: Frames sent, end of stream not counted.
        dropped: Frames not sent because subscribers held all of `max_frames`.
    """

    sent: int
    dropped: int


class VideoFramePublisher:
    """Publishes frames on one service.

    Before the first frame, subscribers that are already waiting get up to half a second to connect. After that the
    publisher never waits: a subscriber that is slow loses frames by itself, and back-pressure is for `iceoryx2sink
    lossless=true`. Every method may be called from any thread. In a forked child it refuses to work.

    A service admits one publisher unless created otherwise. Close the publisher (or leave its `with` block) to give the
    name free; frames and arrays that others hold stay valid.

    Args:
        service_name: 1 to 255 bytes of printable ASCII.
        max_bytes: Pixel bytes of the largest frame; 0 = as they come. A larger frame costs about a millisecond, once.
        iox2_node: The `iceoryx2.Node` to use, from `create_node()`; None makes one. A node of `ServiceType.Local`
            reaches subscribers of the same kind in this process only.
        qos: What to create the service with; None = `Qos()`. A service that exists is adopted as it is; a value other
            than the default that it cannot meet is an error.
        max_subscribers: How many subscribers to admit, 1 to 65,536; as with `qos`.
        max_publishers: How many publishers to admit, 1 to 65,536; as with `qos`.
        max_frames: Frames in shared memory: being filled, waiting for subscribers, held by them; at least 10. If none
            is free, a frame is dropped and counted. 0 = 24, which is enough while one subscriber holds all it may.
        aux_bytes: Bytes reserved behind the pixels of a loan for caps, times and metas; 0 sends none of them with any
            frame.
        framerate: Frames a second for the caps; 0 = variable, None = not said.
        caps: Caps of raw video whose other fields (colorimetry, pixel-aspect-ratio …) go into the caps of every frame.
        lossless: Not possible here, and refused: see above.

    Raises:
        InvalidServiceNameError: The name cannot name a service.
        FormatError: The caps or the frame rate have no form.
        QosError: The service exists with settings that are less than asked, or `lossless` is.
        TooManyPortsError: It has as many publishers as it admits.
        OutOfSharedMemoryError: There is not enough shared memory for frames of `max_bytes`.
        ServiceError: The service is there and cannot be opened; the subclass and the message say why.
        ValueError: A number is outside its range.
        TypeError: A number is not one.
    """

    def __init__(
        self,
        service_name: str = DEFAULT_SERVICE,
        *,
        max_bytes: int = 0,
        iox2_node: types.Node | None = None,
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
                f"a publisher in Python cannot be lossless on {service_name!r}: it would wait for its slowest "
                "subscriber inside iceoryx2, with the interpreter locked. Use iceoryx2sink lossless=true, or a qos "
                "with a larger buffer_size"
            )
        max_bytes = whole(max_bytes, "max_bytes", 0, sys.maxsize)
        max_frames = whole(max_frames, "max_frames", 0, sys.maxsize)
        aux_bytes = whole(aux_bytes, "aux_bytes", 0, MAX_AUX_BYTES)
        max_subscribers, max_publishers = check_ports(max_subscribers, max_publishers)
        self._caps_fields = caps_fields(caps, framerate)
        self._id = new_publisher_id()
        self._layouts: dict[tuple[str, int, int, int | None], FrameLayout] = {}
        node = binding.create_node_for(service_name) if iox2_node is None else iox2_node
        domain = binding.domain_of(node)
        if iox2_node is not None:
            clean_up_if_stale(domain)
        events = binding.open_event(node, service_name)
        notifier = binding.notifier_on(events, node, service_name)
        wanted = Qos() if qos is None else qos
        service = open_for_publishing(node, service_name, notifier, wanted, max_subscribers, max_publishers)
        self._qos = qos_of(service.static_config)
        pool = Pool(node, service, service_name, max_bytes + aux_bytes if max_bytes else 0, max_frames)
        self._sender = Sender(node, domain, events, notifier, pool, service_name, aux_bytes)
        _keeper.adopt(self)
        # Subscribers in this very process may not get a chance to connect before the first frame is sent.
        _keeper.look_around(service_name)

    # -- frames ------------------------------------------------------------------------------------------------------

    def loan(self, width: int, height: int, format: str = "BGR", *, stride0: int | None = None) -> LoanedFrame:
        """Begin a frame whose planes are filled in shared memory: `with pub.loan(640, 480) as frame: frame.planes …`.

        Args:
            width: Pixels.
            height: Pixels.
            format: GStreamer's name of the format.
            stride0: Bytes from row to row of the first plane, the others' in proportion; None = rows without padding.

        Returns:
            A frame that is sent on leaving the `with` block and given back on an exception. Set its `pts`, `metas` and
            so on before that.

        Raises:
            FormatError: There is no such format, or it has no rows; or size and stride do not go together.
            LoanLimitError: Too many frames are in the making.
            OutOfSharedMemoryError: The frame is larger than any before, and there is not enough shared memory for it.
            ClosedError: This publisher is closed.
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
            array: The picture as one array, or a tuple with one array a plane; shapes and dtypes as in
                `VideoFrame.planes`, any strides, negative ones too.
            format: GStreamer's name of the format.
            width: Pixels; needed only where rows are opaque bytes (v210 …).
            pts: Presentation timestamp, nanoseconds; None = none.
            dts: Decoding timestamp, nanoseconds; None = none.
            duration: Nanoseconds; None = none.
            offset: Frame counter; None = this publisher's count.
            flags: GstBufferFlags that describe the picture (`BUFFER_FLAGS`).
            captured_at: When it was captured, nanoseconds of CLOCK_MONOTONIC; None = now.
            metas: `ReferenceTimestamp`, `CustomMeta` or records.

        Returns:
            How many subscribers got it; 0 also if it was dropped for lack of memory.

        Raises:
            FormatError: The arrays are not a picture of that format, or a meta has no form.
            LoanLimitError: As in `loan`.
            OutOfSharedMemoryError: As in `loan`.
            ClosedError: As in `loan`.
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
        """Copy raw bytes, planes one behind the other, into shared memory and send them.

        Args:
            pixels: Bytes, a contiguous array or anything else with a contiguous buffer. With `params.stride0`: at least
                as many bytes as `params` say, all of which are sent. Without it: the picture in rows without padding,
                or, if the format has one plane, in rows that are all padded alike, such as GStreamer's.
            params: What they are.

        Returns:
            How many subscribers got it; 0 also if it was dropped for lack of memory.

        Raises:
            FormatError: The bytes do not fit `params`.
            LoanLimitError: As in `loan`.
            OutOfSharedMemoryError: As in `loan`.
            ClosedError: As in `loan`.
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
        """Tell every subscriber that the stream has ended, also those that join later while this publisher lives.

        Not an end of this publisher: a frame after it begins the stream anew.

        Returns:
            How many subscribers got it.

        Raises:
            ClosedError: This publisher is closed.
        """
        return self._sender.end()

    # -- who is there ------------------------------------------------------------------------------------------------

    @property
    def num_subscribers(self) -> int:
        """How many subscribers there are now; one that crashed counts for up to two seconds."""
        return self._sender.subscribers()

    def wait_for_subscribers(self, n: int = 1, timeout: float | None = None) -> int:
        """Sleep until at least `n` subscribers are there.

        Args:
            n: How many.
            timeout: Seconds; None or infinity = indefinitely.

        Returns:
            How many there are.

        Raises:
            FrameTimeoutError: There are not as many in time.
            ClosedError: This publisher is closed, or another thread closed it meanwhile.
            ValueError: `n` is negative, or `timeout` is NaN.
            TypeError: One of them is not a number.
        """
        n = whole(n, "n")
        deadline = None if timeout is None else time.monotonic() + real(timeout, "timeout", "seconds")
        while (there := self.num_subscribers) < n:
            if deadline is not None and time.monotonic() >= deadline:
                raise FrameTimeoutError(
                    f"{there} of {n} subscribers are on {self._name!r} after {timeout} s: are they running, as the "
                    "same user and in the same iceoryx2 domain?"
                )
            time.sleep(_CONNECT_STEP)
        return there

    @property
    def service_name(self) -> str:
        """Name of the service."""
        return self._name

    @property
    def qos(self) -> Qos:
        """Quality of service of the service, as created or adopted."""
        return self._qos

    @property
    def stats(self) -> PublisherStats:
        """What has been counted so far."""
        return PublisherStats(self._sender.sequence, self._sender.dropped)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._sender.is_closed

    def close(self) -> None:
        """Leave the service; what was sent is still delivered. Idempotent.

        If the memory is less than half a second old, because a frame was larger than `max_bytes`, and subscribers were
        there before it, this waits for the rest of that time, so that they find what was sent.
        """
        _keeper.dismiss(self)
        self._sender.close()

    def __enter__(self) -> VideoFramePublisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        stats = self.stats
        state = ", closed" if self.is_closed else ""
        return f"<VideoFramePublisher {self._name!r}, sent {stats.sent}, dropped {stats.dropped}{state}>"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _layout(self, format: str, width: int, height: int, stride0: int | None) -> FrameLayout:
        key = (format, width, height, stride0)
        layout = self._layouts.get(key)
        if layout is None:
            layout = FrameLayout(*key, self._caps_fields, self._id)
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = layout
        return layout

    def _layout_of(self, planes: Sequence[npt.NDArray[Any]], format: str, width: int | None) -> FrameLayout:
        """The layout of a picture; FormatError if these arrays are no picture of that format."""
        first = planes[0].shape if planes else ()
        if len(first) < 2 or 0 in first:
            raise FormatError(f"an array of shape {first} is no picture: it must be (height, width, …)")
        if width is None and format in FORMATS and FORMATS[format].kind == "opaque":
            raise FormatError(f"rows of {format} are bytes that do not tell how many pixels they hold: give width=")
        layout = self._layout(format, first[1] if width is None else width, first[0], None)
        wanted = [(plane.shape, plane.dtype) for plane in layout.planes]
        given = [(plane.shape, plane.dtype) for plane in planes]
        if len(given) != len(wanted) or not all(map(_fits, given, wanted)):
            raise FormatError(
                f"{format} at {layout.width}x{layout.height} is {_described(wanted)}; given was {_described(given)}"
            )
        return layout

    def _tend(self) -> None:
        self._sender.tend()

    def _abandon(self) -> None:
        self._sender.abandon()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: make VideoFramePublisher({self._name!r}) in the process that publishes"
        )


def _fits(given: tuple[tuple[int, ...], np.dtype[Any]], wanted: tuple[tuple[int, ...], np.dtype[Any]]) -> bool:
    (shape, dtype), (right_shape, right_dtype) = given, wanted
    # Byte order does not matter: copying converts it.
    same_values = dtype.kind == right_dtype.kind and dtype.itemsize == right_dtype.itemsize
    return same_values and shape in (right_shape, (*right_shape, 1))


def _described(arrays: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return " and ".join(f"{dtype} {shape}" for shape, dtype in arrays)


def _flat(pixels: Any) -> npt.NDArray[np.uint8]:
    try:
        return np.frombuffer(pixels, np.uint8)
    except (BufferError, TypeError, ValueError) as exc:
        raise FormatError(
            f"a {type(pixels).__name__} is no contiguous run of bytes ({exc}): use publish() for arrays with strides"
        ) from exc


def _stride_of(size: int, params: FrameParams, layout: FrameLayout) -> int:
    """Bytes from row to row of a picture of so many bytes that is larger than one without padding."""
    if layout.format.n_planes == 1:
        stride0, rest = divmod(size, params.height)
        if rest == 0 and stride0 > layout.format.row_bytes(0, params.width):
            return stride0
    what = f"{params.format} at {params.width}x{params.height}"
    raise FormatError(
        f"{what} has {layout.size} bytes in rows without padding, the pixels have {size}: "
        "send as many, or give stride0, the bytes from row to row"
    )


def _check_params(pixels: npt.NDArray[np.uint8], params: FrameParams, layout: FrameLayout) -> None:
    what = f"{params.format} at {params.width}x{params.height}"
    if params.n_planes not in (1, layout.format.n_planes):
        raise FormatError(f"{what} has {layout.format.n_planes} planes, n_planes is {params.n_planes}")
    if len(pixels) < layout.least:
        needed = f"{what} with rows of {params.stride0} bytes needs {layout.least} bytes"
        raise FormatError(f"{needed}, the pixels have {len(pixels)}")
