"""A frame that is filled in shared memory and sent without a copy."""

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
    """What the publisher knows about a frame that is being filled.

    Attributes:
        layout: Position of the planes.
        size: Pixel bytes; at least the layout's.
        reserve: Bytes behind the pixels for the aux blob.
        anchor: Keeps the memory mapped; None = no memory was free, and the frame will be dropped.
    """

    layout: FrameLayout
    size: int
    reserve: int
    anchor: types.SampleMutUninit | None


@guard_kind
class LoanedFrame:
    """A frame that is being filled, from `VideoFramePublisher.loan`.

    Leaving its `with` block sends the frame; an exception discards it. Its arrays are writable until then and read-only
    afterwards, because subscribers read the same memory. Slices that you made of them stay writable: do not write there
    any more. At first the memory has the content of an earlier frame.

    Loans come from a `VideoFramePublisher`; programs do not create them.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        format: GStreamer's name of the pixel format.
        pts: Presentation timestamp in nanoseconds; None = none.
        dts: Decoding timestamp in nanoseconds; None = none.
        duration: Duration in nanoseconds; None = none.
        offset: Frame counter; None = number of frames that the publisher sent before.
        flags: GstBufferFlags that describe the picture (`BUFFER_FLAGS`).
        captured_at: Time of capture, nanoseconds of CLOCK_MONOTONIC; at first the time of the loan.
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
        """Fill a new object and return it. It takes the place of a constructor, which programs must not call.

        Args:
            native: The loan; None = no memory was free: the frame is filled in private memory and counted as dropped.
            plan: What the publisher knows about it.
            captured_at: Time of the loan.
            send: Sends the frame with this loan, uses the loan up, and returns the number of subscribers that get it.
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
        """GStreamer's name of the pixel format."""
        return self._layout.format.name

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """One writable array per plane, in shared memory; shapes and dtypes are those of `VideoFrame.planes`.

        Raises:
            FrameReleasedError: The frame was sent or discarded.
        """
        self._open()
        if not self._planes:
            self._planes = tuple([plane.of(self._array) for plane in self._layout.planes])
        return self._planes

    def numpy_view(self) -> npt.NDArray[Any]:
        """Return the picture as one writable array in shared memory, shaped as `VideoFrame.numpy_view` is.

        Raises:
            FrameReleasedError: The frame was sent or discarded.
            UnsupportedViewError: The format has several planes.
        """
        planes = self.planes
        if len(planes) != 1:
            raise UnsupportedViewError(f"{self.format} is not a single array, it has {len(planes)} planes: use .planes")
        return planes[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Support `numpy.asarray(frame)`, which gives `numpy_view()`."""
        view = self.numpy_view()
        if dtype is not None and view.dtype != dtype:
            raise ValueError(f"a frame of {view.dtype} that is being filled cannot be seen as {np.dtype(dtype)}")
        return view.copy() if copy else view

    def send(self) -> int:
        """Send the frame now instead of at the end of the `with` block.

        Returns:
            Number of subscribers that get it. 0 also if it was dropped because no memory was free.

        Raises:
            FrameReleasedError: The frame was sent or discarded already.
            FormatError: A number or a meta cannot be represented.
            ClosedError: The publisher is closed.

        Example:
            Send and see how many subscribers got it:

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
        """Give the memory back without sending. Does nothing if the frame was sent or discarded already."""
        if self._plan is not None:
            self._finish("discarded")

    def bytes(self) -> npt.NDArray[np.uint8]:
        """Return all pixel bytes as one writable array in shared memory.

        Raises:
            FrameReleasedError: The frame was sent or discarded.
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
        # Dropping the last reference gives an unsent loan back.
        self._native = None
        # From now on subscribers read these bytes, or another frame is written there.
        for array in (self._array, *self._planes):
            array.flags.writeable = False
        # A frame that is still referenced must not keep the service of a closed publisher alive.
        self._array, self._planes, self._plan = _NOTHING, (), None

    def _abandon(self) -> None:
        # Another thread may have been about to fill it.
        leak(getattr(self, "_native", None))
        self._native = self._plan = None
        self._state = "the parent process's"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: "
            "only its publisher can send it; copy its arrays (frame.numpy_view().copy())"
        )
