"""A frame in the making: planes in shared memory that are filled in place and sent without a copy."""

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
    """What a publisher knows of a frame in the making.

    Attributes:
        layout: Where the planes are.
        size: Pixel bytes; at least what the layout needs.
        reserve: Bytes behind the pixels for the aux blob.
        anchor: Keeps the memory mapped; None = there is none, the frame is filled in vain.
    """

    layout: FrameLayout
    size: int
    reserve: int
    anchor: types.SampleMutUninit | None


@guard_kind
class LoanedFrame:
    """A frame that is being filled, from `VideoFramePublisher.loan`.

    Leaving its `with` block sends it; an exception in the block gives it back unsent. Its arrays are writable until
    then and read-only from then on, because the subscribers read the same memory. Slices and other arrays that you made
    from them cannot be locked: do not write to them any more.

    The content at first is whatever an earlier frame left there.

    Attributes:
        width: Pixels.
        height: Pixels.
        format: GStreamer's name of the pixel format.
        pts: Presentation timestamp, nanoseconds; None = none.
        dts: Decoding timestamp, nanoseconds; None = none.
        duration: Nanoseconds; None = none.
        offset: Frame counter; None = this publisher's count.
        flags: GstBufferFlags that describe the picture (`BUFFER_FLAGS`).
        captured_at: When it was captured, nanoseconds of CLOCK_MONOTONIC; at first when the loan began.
        metas: Metas to send along.
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

    def __init__(
        self,
        native: types.SampleMutUninit | None,
        plan: LoanPlan,
        captured_at: int,
        send: Callable[[LoanedFrame, types.SampleMutUninit | None, LoanPlan], int],
    ) -> None:
        """For the publisher.

        Args:
            native: The loan; None = there is no memory: the frame is filled in vain and counted as dropped.
            plan: What there is to know about it.
            captured_at: Moment of the loan.
            send: Sends the frame with this loan, which is used up by it, and returns how many subscribers got it.
        """
        self._native = native
        self._plan: LoanPlan | None = plan
        self._layout = plan.layout
        self._send = send
        self._state = "in the making"
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

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return self._layout.width

    @property
    def height(self) -> int:
        """Rows."""
        return self._layout.height

    @property
    def format(self) -> str:
        """GStreamer's name of the pixel format."""
        return self._layout.format.name

    @property
    def planes(self) -> tuple[npt.NDArray[Any], ...]:
        """One writable array a plane, in shared memory; shapes as in `VideoFrame.planes`.

        Raises:
            FrameReleasedError: The frame was sent or given back.
        """
        self._check()
        if not self._planes:
            self._planes = tuple([plane.of(self._array) for plane in self._layout.planes])
        return self._planes

    def numpy_view(self) -> npt.NDArray[Any]:
        """The picture as one writable array in shared memory; shapes as in `VideoFrame.numpy_view`.

        Raises:
            FrameReleasedError: The frame was sent or given back.
            UnsupportedViewError: The format has several planes.
        """
        planes = self.planes
        if len(planes) != 1:
            raise UnsupportedViewError(f"{self.format} is no single array, it has {len(planes)} planes: use .planes")
        return planes[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """`numpy.asarray(frame)`: as `numpy_view()`."""
        view = self.numpy_view()
        if dtype is not None and view.dtype != dtype:
            raise ValueError(f"a frame of {view.dtype} that is being filled cannot be seen as {np.dtype(dtype)}")
        return view.copy() if copy else view

    def send(self) -> int:
        """Send it now instead of at the end of the `with` block.

        Returns:
            How many subscribers got it; 0 also if it was dropped for lack of memory.

        Raises:
            FrameReleasedError: It was sent or given back already.
            FormatError: A number or a meta has no form.
        """
        plan = self._plan
        if plan is None:
            self._refuse()
        try:
            receivers = self._send(self, self._native, plan)
        except BaseException:
            self.discard()
            raise
        self._finish("sent")
        return receivers

    def discard(self) -> None:
        """Give it back unsent. Does nothing where it was sent or given back already."""
        if self._plan is not None:
            self._finish("given back")

    def bytes(self) -> npt.NDArray[np.uint8]:
        """All pixel bytes as one writable array, in shared memory.

        Raises:
            FrameReleasedError: The frame was sent or given back.
        """
        self._check()
        return self._array

    def __enter__(self) -> LoanedFrame:
        self._check()
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

    def _check(self) -> None:
        if self._plan is None:
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise FrameReleasedError(f"{self!r} cannot be filled or sent any more: begin another with loan()")

    def _finish(self, state: str) -> None:
        self._state = state
        # Without a reference to it an unsent loan goes back by itself.
        self._native = None
        # From here on subscribers read these bytes, or another frame is being written there.
        for array in (self._array, *self._planes):
            array.flags.writeable = False
        # What is left of the frame must not keep a service in place whose publisher is closed.
        self._array, self._planes, self._plan = _NOTHING, (), None

    def _abandon(self) -> None:
        leak(self._native)
        self._native = self._plan = None
        self._state = "the parent process's"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: "
            "only its publisher can send it; copy its arrays (frame.numpy_view().copy())"
        )
