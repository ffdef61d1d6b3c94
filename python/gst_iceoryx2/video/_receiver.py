"""The receiving end of a service: receive without polling, and across restarts of the publisher."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

from .._iox2 import binding
from .._wire.numbers import real
from ..errors import ClosedError
from ._link import Link
from ._reception import Reception, T
from ._waiting import Waiter, readable

# Longest sleep. A notification can be lost (see `_waiting.drain`), and a killed publisher does not notify. The keeper's
# thread checks four times per second and wakes a sleeping subscriber. This interval applies while that thread is busy
# with a clean-up.
_SAFETY_INTERVAL: Final = 2.0
# Time between two looks for samples without a listener, in seconds.
_LOOK_INTERVAL: Final = 0.002
# How long a busy wait holds the interpreter lock before it yields to other threads, in seconds.
_TURN: Final = 0.001


class Receiver(Reception[T]):
    """The receiving end of a service: a port, and the ways to wait for it."""

    def receive(self) -> T | None:
        """Return the next frame or packet, without waiting for one.

        Returns:
            A frame or packet in shared memory (borrowed), or the end of the stream (`is_eos`). None if nothing is
            waiting. The packets that a joining subscriber receives at once are copies.

        Raises:
            BorrowLimitError: A frame or packet is waiting, but you already hold as many as the service allows.
            ClosedError: This subscriber is closed.
            ServiceError: The service was recreated and cannot be opened.

        Example:
            Poll from a loop that has other work:

                import time

                from gst_iceoryx2.video import VideoFrameSubscriber

                with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                    while (frame := subscriber.receive()) is None:
                        time.sleep(0.01)
                    print(frame.sequence)
        """
        with self._lock:
            return self._next()

    def receive_blocking(self, block_ms: float | None = None) -> T | None:
        """Wait for the next frame or packet and return it.

        Args:
            block_ms: Maximum wait in milliseconds. None or infinity = wait indefinitely, 0 or less = do not wait.
                Ctrl-C interrupts the wait with KeyboardInterrupt.

        Returns:
            A frame or packet in shared memory (borrowed), or the end of the stream (`is_eos`). None if nothing arrived
            within `block_ms`. The packets that a joining subscriber receives at once are copies.

        Raises:
            BorrowLimitError: A frame or packet is waiting, but you already hold as many as the service allows.
            ClosedError: This subscriber is closed, or was closed by another thread during the wait.
            ServiceError: The service was recreated and cannot be opened.
            ValueError: `block_ms` is NaN.
            TypeError: `block_ms` is not a number.

        Example:
            Wait at most half a second:

                from gst_iceoryx2.video import VideoFrameSubscriber

                with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                    frame = subscriber.receive_blocking(500)
                    if frame is None:
                        print("no frame for 0.5 s")
        """
        return self._wait_for_next(None if block_ms is None else real(block_ms, "block_ms", "milliseconds") / 1000)

    def __iter__(self) -> Iterator[T]:
        """Iterate over frames or packets until the stream ends or another thread closes this subscriber.

        The loop variable holds its frame until the next frame arrives, and a held frame keeps the service alive. If
        publishers restart with a different quality of service, end the loop body with `del frame`.
        """
        # Not a generator, because its local variable would hold each frame while the loop body runs.
        return iter(self._next_item, None)

    def _next_item(self) -> T | None:
        """Return the next frame; None at the end of the stream, or if this subscriber is closed."""
        try:
            frame = self._wait_for_next(None)
        except ClosedError:
            if self._forked:
                raise
            return None
        return None if frame is None or frame.is_eos() else frame

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over frames or packets asynchronously until the stream ends or this subscriber is closed."""
        with self._lock:
            waiter = self._open_waiter()
        descriptors = waiter.descriptors()
        # Each `yield` empties this list, so that no frame is held here while the loop body runs.
        received: list[T] = []
        drained = False
        try:
            while True:
                try:
                    with self._lock:
                        received.extend(filter(None, (self._next(),)))
                        pause = self._pause()
                except ClosedError:
                    if self._forked:
                        raise
                    return
                if not received:
                    # `_wait_for_next` explains why this happens only once no frame is left.
                    if not drained:
                        drained = True
                        if self._drain(waiter):
                            continue
                    with waiter.watched():
                        await readable(descriptors, pause)
                    drained = False
                elif received[0].is_eos():
                    return
                else:
                    drained = False
                    yield received.pop()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _wait_for_next(self, timeout: float | None) -> T | None:
        # Without a wait, samples that give nothing must not hide what comes after them.
        take = self._take if timeout is None or timeout > 0 else self._next
        deadline = None if timeout is None else time.monotonic() + timeout
        spin, drained = self._busy_wait > 0, False
        while True:
            with self._lock:
                frame = take()
                if frame is False:
                    # Invalid frames may come faster than they can be checked.
                    if deadline is not None and time.monotonic() >= deadline:
                        return None
                    continue
                if frame is not None:
                    return frame
                waiter = self._open_waiter()
                pause = self._pause()
                link = self._link
            if spin and link is not None:
                spin = False
                self._look_without_sleep(link, deadline)
                continue
            # Drain only when no frame is left: until then, publishers can notify without a system call. Any later
            # notification ends the sleep.
            if not drained:
                drained = True
                if self._drain(waiter):
                    continue
            if deadline is not None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return None
                pause = min(pause, remaining)
            waiter.wait(pause)
            drained = False

    def _look_without_sleep(self, link: Link, deadline: float | None) -> None:
        """Poll until a frame is waiting, the connection has changed, or the time is up."""
        end = time.monotonic() + self._busy_wait
        if deadline is not None:
            end = min(end, deadline)
        there_is_one, clock = link.subscriber.has_samples, time.monotonic
        turn = clock() + _TURN
        # The next receive reports the connection error.
        with contextlib.suppress(binding.ConnectionFailure):
            while not there_is_one() and self._link is link and (now := clock()) < end:
                if now >= turn:
                    # Yield to other Python threads. The kernel turns this into a sleep of 50 µs to 100 µs.
                    time.sleep(0)
                    turn = clock() + _TURN

    def _pause(self) -> float:
        """Return the longest time to sleep, in seconds."""
        if self._link is not None and not self._is_reader:
            return _LOOK_INTERVAL
        if self._link is None or not self._link.is_in_doubt:
            return _SAFETY_INTERVAL
        return min(_SAFETY_INTERVAL, max(0.001, self._link.next_look - time.monotonic()))

    def _drain(self, waiter: Waiter) -> bool:
        """Take all pending notifications; return whether to check for frames again."""
        events = waiter.drain()
        with self._lock:
            if self._link is None:
                # A publisher of another program may only send notifications about frames.
                if events and self._connector is not None:
                    self._connector.hurry()
            elif binding.EVENT_PUBLISHERS_CHANGED in events:
                self._link.hurry()
        return bool(events)
