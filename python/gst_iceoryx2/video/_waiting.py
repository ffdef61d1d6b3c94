"""Sleeping until something is new, without the GIL, ended by Ctrl-C, a timeout, a nudge or another thread's close()."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import select
import socket
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Final

from .._iox2 import types
from .._iox2.fork import leak

# try_wait empties everything that is pending, so more rounds than this mean a notifier faster than this loop.
_DRAIN_ROUNDS: Final = 64
# Without the listener's descriptor there is nothing to sleep on but the clock.
_BLIND_STEP: Final = 0.01
# Descriptors among which a listener's is looked for where the system does not list them.
_NUMBERS: Final = 1 << 16
# A thread that is woken needs the GIL and a few µs to leave.
_LEAVING: Final = 1.0


class Waiter:
    """A listener with its descriptor, and a pipe that wakes those who sleep: once, or for good."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_descriptor",
        "_listener",
        "_lock",
        "_nudged",
        "_poll",
        "_sleepers",
        "_wake_in",
        "_wake_out",
        "_watchers",
    )

    def __init__(self, listener: types.Listener) -> None:
        # Reentrant, because a signal handler may call close() between any two steps of the main thread.
        self._lock = threading.RLock()
        self._sleepers: set[int] = set()
        # Event loops that watch the descriptors.
        self._watchers = 0
        self._nudged = False
        self._wake_out, self._wake_in = os.pipe()
        # Only now is there something to dispose of.
        self._closed = False
        os.set_blocking(self._wake_out, False)
        self._listener: types.Listener | None = listener
        self._descriptor = _descriptor_of(listener, near=self._wake_out)
        # What the last wait used: no two threads may wait with one.
        self._poll: select.poll | None = None

    def wait(self, timeout: float) -> None:
        """Sleep until a notification, `nudge`, `close` or `timeout` in seconds."""
        poll = self._enter()
        if poll is None:
            return
        if self._descriptor is None:
            timeout = min(timeout, _BLIND_STEP)
        try:
            poll.poll(max(0.0, timeout) * 1000)
        finally:
            self._leave(poll)

    def _enter(self) -> select.poll | None:
        with self._lock:
            if self._closed:
                return None
            self._sleepers.add(threading.get_ident())
            poll, self._poll = self._poll, None
            return poll or self._new_poll()

    def _leave(self, poll: select.poll) -> None:
        with self._lock:
            self._poll = poll
            self._calm()
            self._sleepers.discard(threading.get_ident())
            if self._closed and not self._sleepers:
                self._dispose()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While an event loop waits for `descriptors`."""
        with self._lock:
            self._watchers += 1
        try:
            yield
        finally:
            with self._lock:
                self._calm()
                self._watchers -= 1

    def nudge(self) -> None:
        """Let those who sleep look, once."""
        with self._lock:
            if (self._sleepers or self._watchers) and not self._nudged and not self._closed:
                self._nudged = True
                os.write(self._wake_in, b"\0")

    def _calm(self) -> None:
        # What `close` has written stays for everybody.
        if self._nudged and not self._closed:
            self._nudged = False
            # A signal handler may have closed it since.
            with contextlib.suppress(OSError):
                os.read(self._wake_out, 1)

    def _new_poll(self) -> select.poll:
        poll = select.poll()
        for descriptor in (self._wake_out, self._descriptor):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        return poll

    def descriptors(self) -> list[int]:
        """Duplicates of the descriptors that become readable, for an event loop; the caller closes them."""
        with self._lock:
            if self._closed:
                return []
            return [os.dup(fd) for fd in (self._wake_out, self._descriptor) if fd is not None]

    def drain(self) -> set[int]:
        """Take all pending notifications and return their event ids.

        One `try_wait` is not enough: iceoryx2 0.10.0 clears its flag before it empties the socket, and a notification
        in between would not wake this process again.
        """
        events: set[int] = set()
        listener = self._listener
        if listener is None:
            return events
        for _ in range(_DRAIN_ROUNDS):
            taken = listener.try_wait()
            if not taken:
                break
            events.update(event.id.as_value for event in taken)
        return events

    def close(self) -> None:
        """Let every present and future `wait` return at once, and leave the event service when all have. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.write(self._wake_in, b"\0")
            if not self._sleepers:
                self._dispose()
                return
        # Where this is a signal handler that interrupted its own thread's sleep, that thread disposes.
        deadline = time.monotonic() + _LEAVING
        while self._sleepers - {threading.get_ident()} and time.monotonic() < deadline:
            time.sleep(0.0005)

    def _dispose(self) -> None:
        self._listener = None
        for fd in (self._wake_out, self._wake_in):
            with contextlib.suppress(OSError):
                os.close(fd)

    def abandon(self) -> None:
        """In a forked child: keep the listener for ever."""
        leak(self._listener)
        # The parent's threads, one of which may have held the lock, do not exist here.
        self._lock = threading.RLock()
        self._sleepers = set()
        self._watchers = 0

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._dispose()


def _descriptor_of(listener: types.Listener, near: int) -> int | None:
    """Find the socket of a listener, which the binding does not tell, by the name it is bound to.

    Args:
        listener: Whose.
        near: A descriptor that was opened about when the socket was. The kernel gives the lowest free numbers, so the
            number of looks does not grow with the number of open descriptors.
    """
    suffix = f"{listener.id.value}.event"
    for fd in sorted(_open_descriptors(), key=lambda fd: abs(fd - near)):
        try:
            # Nothing but sockets may be duplicated: closing a duplicate of a node's lock file would drop the lock.
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
    """Descriptors of this process, and maybe numbers that are none."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return map(int, os.listdir(folder))
    # Neither exists in a bare chroot.
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
