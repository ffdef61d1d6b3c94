"""Receive frames by reference, without polling, and across restarts of the publisher."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from .._iox2.service_name import check_service_name
from .._iox2.types import Node
from .._wire.header import DEFAULT_SERVICE
from .._wire.numbers import real
from ..errors import BorrowLimitError
from ._intake import Intake
from ._receiver import Receiver
from .frame import VideoFrame

# Longest time that `latest` skips frames, in seconds. It is limited because a publisher may be faster than the loop.
_LONGEST_SKIP: Final = 0.1


class SubscriberStats(NamedTuple):
    """Counters of a `VideoFrameSubscriber` since it was created.

    Attributes:
        received: Frames received or skipped. Ends of the stream are not counted.
        dropped: Frames that did not arrive because the subscriber's buffer or the publisher's memory was full. None if
            the publisher does not number its frames.
        invalid: Frames rejected because their header, layout or caps are invalid.
        skipped: Frames that `latest` skipped.
        held: Frames currently held by `VideoFrame` objects or by arrays made from them.
        limit: Frames that may be held at once; 0 before the first connection.
    """

    received: int
    dropped: int | None
    invalid: int
    skipped: int
    held: int
    limit: int


class VideoFrameSubscriber(Receiver[VideoFrame]):
    """Receive the frames of a service, in order and by reference.

    You can start it before or after its publisher. It reconnects when the publisher restarts, even with a different
    frame size, format or quality of service. It accepts whatever settings the service has. You can call every method
    from any thread; each frame goes to one caller. A subscriber cannot be used in a forked child, where it raises
    ForkedError: create a new one there.

    Args:
        service_name: Name of the service, 1 to 255 bytes of printable ASCII.
        iox2_node: `iceoryx2.Node` to use, from `create_node()`; None creates one. With a `ServiceType.Local` node, the
            subscriber only reaches publishers in this process that use a node of that type, and it polls every 10 ms.
        busy_wait: Seconds for which each wait polls before it sleeps. Polling saves the 10 µs to 100 µs that it takes
            to wake a thread. It occupies a CPU core, and other Python threads run only once per millisecond. Not used
            by `async for`.

    Raises:
        InvalidServiceNameError: The name cannot be used as a service name.
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        ValueError: `busy_wait` is negative or NaN.
        TypeError: `busy_wait` is not a number.

    Example:
        Print every frame until the stream ends:

            from gst_iceoryx2.video import VideoFrameSubscriber

            with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                for frame in subscriber:
                    print(frame.sequence, frame.numpy_view().shape, frame.age)
    """

    def __init__(
        self,
        service_name: str = DEFAULT_SERVICE,
        *,
        iox2_node: Node | None = None,
        busy_wait: float = 0.0,
    ) -> None:
        self._skipped = 0
        self._intake: Intake
        name = check_service_name(service_name)
        super().__init__(name, iox2_node, busy_wait, lambda is_local: Intake(name, is_local=is_local))

    # -- frames ------------------------------------------------------------------------------------------------------

    def latest(self, timeout: float | None = 0.0) -> VideoFrame | None:
        """Return the newest frame and skip older ones.

        Skipped frames are counted in `stats.skipped`. The end of the stream is never skipped: it is returned after the
        last picture.

        Args:
            timeout: Maximum wait for a frame in seconds. None or infinity = wait indefinitely.

        Returns:
            A frame in shared memory (borrowed), or the end of the stream (`VideoFrame.is_eos`). None if no frame
            arrived within `timeout`.

        Raises:
            BorrowLimitError: A frame is waiting, but you already hold as many frames as the service allows.
            ClosedError: This subscriber is closed, or was closed by another thread during the wait.
            ServiceError: The service was recreated and cannot be opened.
            ValueError: `timeout` is NaN.
            TypeError: `timeout` is not a number.

        Example:
            Process only the newest frame when processing is slower than the camera:

                with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                    while (frame := subscriber.latest(timeout=5)) is not None and not frame.is_eos():
                        print(frame.sequence, subscriber.stats.skipped)
        """
        newest = self._wait_for_next(None if timeout is None else real(timeout, "timeout", "seconds"))
        if newest is None or newest.is_eos():
            return newest
        with self._lock:
            end = time.monotonic() + _LONGEST_SKIP
            while time.monotonic() < end:
                try:
                    following = self._take()
                except BorrowLimitError:
                    # A newer frame is waiting, but the limit does not allow holding both.
                    newest.release()
                    self._skipped += 1
                    newest = self._next()
                    if newest is None or newest.is_eos():
                        return newest
                    continue
                if following is None:
                    break
                if following is False:
                    continue
                if following.is_eos():
                    self._pending = following
                    break
                newest.release()
                self._skipped += 1
                newest = following
            return newest

    # -- state ------------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> SubscriberStats:
        """Counters so far."""
        intake = self._intake
        ledger = intake.ledger
        with self._lock:
            return SubscriberStats(
                intake.received, intake.dropped, intake.invalid, self._skipped, ledger.held, ledger.limit
            )

    @property
    def caps(self) -> str | None:
        """Caps of the latest frame in GStreamer's notation; None before the first frame, or if it has no caps."""
        return self._intake.caps

    def __repr__(self) -> str:
        stats = self.stats
        state = ", closed" if self.is_closed else "" if self._link else ", waiting for a publisher"
        return (
            f"<VideoFrameSubscriber {self._name!r}, received {stats.received}, dropped {stats.dropped}, "
            f"held {stats.held}/{stats.limit}{state}>"
        )
