"""Sleep without the GIL until a notification, a timeout, Ctrl-C, or another thread's call to nudge() or close()."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from .._at_end import CALL_AT_END, NOTHING
from .._iox2 import types

# Each try_wait takes all pending notifications, so more rounds than this mean that a notifier is faster than the loop.
_DRAIN_ROUNDS: Final = 64
# Length of each sleep if the listener's descriptor is not found, in seconds.
_BLIND_STEP: Final = 0.01
# Number of descriptors to search if the system does not list the open ones.
_NUMBERS: Final = 1 << 16
# Longest time that `close` waits for woken threads to leave, in seconds. Each needs the GIL and a few µs.
_LEAVING: Final = 1.0


class Waiter:
    """A listener with its descriptor, and a pipe that wakes sleeping threads: `nudge` once, `close` permanently.

    Args:
        listener: The listener; None = only `nudge` and `close` wake.
    """

    __del__ = CALL_AT_END

    def __init__(self, listener: types.Listener | None) -> None:
        self._at_end: Callable[[], object] = NOTHING
        # Reentrant, because a signal handler may call close() between any two steps of the main thread.
        self._lock = threading.RLock()
        self._sleepers: set[int] = set()
        # Number of event loops that watch the descriptors.
        self._watchers = 0
        self._nudged = False
        self._wake_out, self._wake_in = os.pipe()
        self._at_end = partial(_close_pipe, self._wake_out, self._wake_in)
        self._closed = False
        os.set_blocking(self._wake_out, False)
        self._listener: types.Listener | None = listener
        self._descriptor = None if listener is None else _descriptor_of(listener, near=self._wake_out)

    @property
    def is_blind(self) -> bool:
        """Whether notifications do not end a sleep, because the listener's descriptor was not found."""
        return self._listener is not None and self._descriptor is None

    def wait(self, timeout: float) -> None:
        """Sleep until a notification, `nudge`, `close`, or the timeout (in seconds)."""
        with self._lock:
            if self._closed:
                return
            self._sleepers.add(threading.get_ident())
        try:
            poll = select.poll()
            for descriptor in (self._wake_out, self._descriptor):
                if descriptor is not None:
                    poll.register(descriptor, select.POLLIN)
            longest = min(timeout, _BLIND_STEP) if self.is_blind else timeout
            poll.poll(max(0.0, longest) * 1000)
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._calm()
            self._sleepers.discard(threading.get_ident())
            if self._closed and not self._sleepers:
                self._dispose()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Context manager for the time in which an event loop waits for `descriptors`."""
        with self._lock:
            self._watchers += 1
        try:
            yield
        finally:
            with self._lock:
                self._calm()
                self._watchers -= 1

    def nudge(self) -> None:
        """Wake sleeping threads and event loops once."""
        with self._lock:
            if (self._sleepers or self._watchers) and not self._nudged and not self._closed:
                self._nudged = True
                os.write(self._wake_in, b"\0")

    def _calm(self) -> None:
        # The byte that `close` wrote stays in the pipe, so that every thread wakes.
        if self._nudged and not self._closed:
            self._nudged = False
            # A signal handler may have closed the pipe.
            with contextlib.suppress(OSError):
                os.read(self._wake_out, 1)

    def descriptors(self) -> list[int]:
        """Return duplicates of the descriptors to watch, for an event loop. The caller must close them."""
        with self._lock:
            if self._closed:
                return []
            return [os.dup(fd) for fd in (self._wake_out, self._descriptor) if fd is not None]

    def drain(self) -> set[int]:
        """Take all pending notifications and return their event IDs; see the function `drain`."""
        listener = self._listener
        return set() if listener is None else drain(listener)

    def close(self) -> None:
        """Make every current and future `wait` return immediately, then leave the event service. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.write(self._wake_in, b"\0")
            if not self._sleepers:
                self._dispose()
                return
        # If a signal handler interrupted the sleep of its own thread, that thread closes the pipe later.
        deadline = time.monotonic() + _LEAVING
        while self._sleepers - {threading.get_ident()} and time.monotonic() < deadline:
            time.sleep(0.0005)

    def _dispose(self) -> None:
        self._listener = None
        self._at_end()
        self._at_end = NOTHING


class Watch:
    """Waits for several listeners at once.

    Args:
        waiters: The waiters of the listeners. They may be closed while a thread waits, which wakes it.

    Attributes:
        descriptors: Duplicates of all descriptors to watch.
        longest: Longest useful sleep in seconds; infinity if notifications end a sleep.
    """

    __del__ = CALL_AT_END

    def __init__(self, waiters: Iterable[Waiter]) -> None:
        self._at_end: Callable[[], object] = NOTHING
        self._waiters = tuple(waiters)
        self.longest = _BLIND_STEP if any(waiter.is_blind for waiter in self._waiters) else math.inf
        self.descriptors = [descriptor for waiter in self._waiters for descriptor in waiter.descriptors()]
        self._at_end = partial(_close_all, self.descriptors)
        self._poll = select.poll()
        for descriptor in self.descriptors:
            self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout: float) -> None:
        """Sleep until a notification of any listener, the closing of a waiter, or the timeout (in seconds)."""
        with self.watched():
            self._poll.poll(max(0.0, min(timeout, self.longest)) * 1000)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Context manager for the time in which an event loop waits for `descriptors`."""
        with contextlib.ExitStack() as stack:
            for waiter in self._waiters:
                stack.enter_context(waiter.watched())
            yield

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        self._at_end()


def drain(listener: types.Listener) -> set[int]:
    """Take all pending notifications of a listener and return their event IDs.

    One `try_wait` is not enough: iceoryx2 0.10.0 clears its flag before it empties the socket. A notification sent in
    between would not wake this process again.
    """
    events: set[int] = set()
    for _ in range(_DRAIN_ROUNDS):
        taken = listener.try_wait()
        if not taken:
            break
        events.update(event.id.as_value for event in taken)
    return events


def _close_pipe(*ends: int) -> None:
    _close_all(list(ends))


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop())


def _descriptor_of(listener: types.Listener, near: int) -> int | None:
    """Find a listener's socket by the name that it is bound to, because the binding does not expose it.

    Args:
        listener: The listener.
        near: A descriptor that was opened shortly after the socket. The search starts there, so that many open
            descriptors do not slow it down.
    """
    suffix = f"{listener.id.value}.event"
    for fd in sorted(_open_descriptors(), key=lambda fd: abs(fd - near)):
        try:
            # Only duplicate sockets, because closing a duplicate of a node's lock file would release the lock.
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            with socket.socket(fileno=os.dup(fd)) as duplicate:
                name = duplicate.getsockname()
        except OSError:
            continue
        if isinstance(name, str) and name.endswith(suffix):
            return fd
    return None


def _open_descriptors() -> Iterable[int]:
    """Return the descriptors of this process, possibly with numbers that are not open."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return map(int, os.listdir(folder))
    # Neither folder exists in a minimal chroot.
    return range(min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _NUMBERS))


async def readable(descriptors: list[int], timeout: float) -> None:
    """Wait until one of the descriptors is readable, at most `timeout` seconds."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    timer = loop.call_later(timeout, finish)
    for descriptor in descriptors:
        loop.add_reader(descriptor, finish)
    try:
        await done
    finally:
        timer.cancel()
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
