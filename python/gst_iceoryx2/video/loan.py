"""A frame that the program fills in shared memory, so that it is sent without a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from .._iox2 import types
from .._iox2.fork import guard_kind, leak
from .._wire.metas import CustomMeta, ReferenceTimestamp
from ..errors import FrameReleasedError, UnsupportedViewError
from ._layout import FrameLayout
from ._memory import LoanedMemory

Meta: TypeAlias = ReferenceTimestamp | CustomMeta | bytes

_NOTHING: Final = np.empty(0, np.uint8)


class LoanPlan(NamedTuple):
    """The publisher's data about a frame that is being filled.

    Attributes:
        layout: Positions of the planes.
        size: Number of pixel bytes; at least the layout's size.
        reserve: Bytes after the pixels for the aux blob.
        anchor: Keeps the memory mapped; None = no memory was free, and the frame will be dropped.
        memory_id: Number of the publisher's memory.
    """

    layout: FrameLayout
    size: int
    reserve: int
    anchor: types.SampleMutUninit | None
    memory_id: int


@guard_kind
class LoanedFrame:
    """A frame to fill in shared memory, returned by `VideoFramePublisher.loan`.

    Leaving its `with` block sends the frame; an exception discards it. Its arrays are writable until then and read-only
    afterwards, because subscribers read the same memory. Slices that you made of them remain writable, but you must not
    write to them after sending. The memory initially contains the pixels of an earlier frame.

    Loans come from a `VideoFramePublisher`; programs do not create them.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        format: GStreamer's name for the pixel format.
        pts: Presentation timestamp in nanoseconds; None = not set.
        dts: Decoding timestamp in nanoseconds; None = not set.
        duration: Duration in nanoseconds; None = not set.
        offset: Frame counter; None = number of frames that the publisher has sent so far.
        flags: GstBufferFlags that describe the picture (`BUFFER_FLAGS`).
        captured_at: Capture time in nanoseconds of CLOCK_MONOTONIC; initially the time of the loan.
        metas: `ReferenceTimestamp`, `CustomMeta` or encoded meta records to send with the frame.

    Example:
        Fill the planes of an NV12 frame and set its timestamp:

            with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                with publisher.loan(640, 480, "NV12") as frame:
                    luma, chroma = frame.planes
                    luma[...] = 16
                    chroma[...] = 128
                    frame.pts = 40_000_000
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_layout",
        "_native",
        "_plan",
        "_planes",
        "_send",
        "_state",
        "captured_at",
        "dts",
        "duration",
        "flags",
        "metas",
        "offset",
        "pts",
    )

    def _fill(
        self,
        native: types.SampleMutUninit | None,
        plan: LoanPlan,
        captured_at: int,
        send: Callable[[LoanedFrame, types.SampleMutUninit | None, LoanPlan], int],
    ) -> LoanedFrame:
        """Fill a new object and return it. Used instead of a constructor, because programs must not create loans.

        Args:
            native: The loan; None = no memory was free, so the frame is filled in private memory and counted as
                dropped.
            plan: The publisher's data about the frame.
            captured_at: Time of the loan.
            send: Function that sends the frame, consumes the loan, and returns the number of subscribers that receive
                it.
        """
        self._native = native
        self._plan: LoanPlan | None = plan
        self._layout = plan.layout
        self._send = send
        self._state = "being filled"
        if native is None or plan.anchor is None:
            self._array: npt.NDArray[np.uint8] = np.empty(plan.size, np.uint8)
        else:
            self._array = LoanedMemory(plan.anchor, native.payload_ptr, plan.size).array()
        self._planes: tuple[npt.NDArray[Any], ...] = ()
        self.pts: int | None = None
        self.dts: int | None = None
        self.duration: int | None = None
        self.offset: int | None = None
        self.flags = 0
        self.captured_at = captured_at
        self.metas: Sequence[Meta] = ()
        return self

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._layout.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._layout.height

    @property
    def format(self) -> str:
        """GStreamer's name for the pixel format."""
        return self._layout.format.name

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """One writable array per plane, in shared memory; shapes and dtypes are the same as in `VideoFrame.planes`.

        Raises:
            FrameReleasedError: The frame has been sent or discarded.
        """
        self._open()
        if not self._planes:
            self._planes = tuple([plane.of(self._array) for plane in self._layout.planes])
        return self._planes

    @property
    def memory_id(self) -> int:
        """Number of the publisher's shared memory that contains the frame. A publisher may replace its memory.

        Device drivers may keep memory mapped between two frames. A driver that was given frames of an earlier memory
        must release them before it gets one of this memory, which may have the same addresses.

        Raises:
            FrameReleasedError: The frame has been sent or discarded.
        """
        return self._open().memory_id

    def numpy_view(self) -> npt.NDArray[Any]:
        """Return the picture as one writable array in shared memory, with the same shape as `VideoFrame.numpy_view`.

        Raises:
            FrameReleasedError: The frame has been sent or discarded.
            UnsupportedViewError: The format has several planes.
        """
        planes = self.planes
        if len(planes) != 1:
            raise UnsupportedViewError(
                f"{self.format} has {len(planes)} planes, so it is not a single array: use .planes"
            )
        return planes[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Support `numpy.asarray(frame)`, which returns `numpy_view()`."""
        view = self.numpy_view()
        if dtype is not None and view.dtype != dtype:
            raise ValueError(f"cannot view a {view.dtype} frame that is being filled as {np.dtype(dtype)}")
        return view.copy() if copy else view

    def send(self) -> int:
        """Send the frame now instead of at the end of the `with` block.

        Returns:
            Number of subscribers that receive the frame. Also 0 if the frame was dropped because no memory was free.

        Raises:
            FrameReleasedError: The frame has already been sent or discarded.
            FormatError: A number or a meta cannot be represented.
            ClosedError: The publisher is closed.

        Example:
            Send a frame and print how many subscribers received it:

                with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                    frame = publisher.loan(640, 480)
                    frame.numpy_view()[...] = 0
                    print(frame.send())
        """
        plan = self._open()
        try:
            receivers = self._send(self, self._native, plan)
        except BaseException:
            self.discard()
            raise
        self._finish("sent")
        return receivers

    def discard(self) -> None:
        """Return the memory without sending the frame. Does nothing if the frame has already been sent or discarded."""
        if self._plan is not None:
            self._finish("discarded")

    def bytes(self) -> npt.NDArray[np.uint8]:
        """Return all pixel bytes as one writable array in shared memory.

        Raises:
            FrameReleasedError: The frame has been sent or discarded.
        """
        self._open()
        return self._array

    def __enter__(self) -> LoanedFrame:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        elif self._plan is not None:
            self.send()

    def __repr__(self) -> str:
        return f"<LoanedFrame {self.width}x{self.height} {self.format}, {self._state}>"

    def _open(self) -> LoanPlan:
        if self._plan is None:
            raise FrameReleasedError(f"{self!r} cannot be filled or sent any more: call loan() for another frame")
        return self._plan

    def _finish(self, state: str) -> None:
        self._state = state
        # Dropping the last reference returns an unsent loan.
        self._native = None
        # From now on, subscribers read these bytes, or another frame reuses them.
        for array in (self._array, *self._planes):
            array.flags.writeable = False
        # If the program still refers to this object, it must not keep a closed publisher's service alive.
        self._array, self._planes, self._plan = _NOTHING, (), None

    def _abandon(self) -> None:
        # The parent may have forked while another thread was still filling this object.
        leak(getattr(self, "_native", None))
        self._native = self._plan = None
        self._state = "the parent process's"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: "
            "only its publisher can send it; copy its arrays (frame.numpy_view().copy())"
        )
