"""One thread that maintains all open publishers and subscribers of this process, four times per second.

A publisher connects its subscribers when it sends, and a subscriber connects to its publisher when it receives. While
the program does something else, this thread makes these connections. A late joiner thus receives the newest frame even
if the publisher has paused. A busy subscriber receives the first frames of a new publisher, and leaves the service when
its publisher has closed. The memory of a killed subscriber is freed. Maintaining a port takes a few µs. The thread also
wakes a sleeping subscriber for which a frame is waiting, so that subscribers do not need their own timers.

The thread is a daemon, so it does not keep the program alive. When the program ends, open ports are closed. Without
this, a port in a reference cycle would leave its files behind, because the garbage collector cannot see into the
binding.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from .._iox2.fork import guard_port
from ..contract import seconds
from ..errors import ClosedError, TransportError

_log: Final = logging.getLogger("gst_iceoryx2")

_INTERVAL: Final = seconds("monitor")
# The interval while a closed subscriber's frames are held. It is short because a lossless publisher waits for this
# thread.
_CLOSED_READER_INTERVAL: Final = seconds("room_look")
# Time that other threads get to leave the ports when the program ends, in seconds.
_LEAVING: Final = 0.3


class Port(Protocol):
    """An open publisher or subscriber."""

    def close(self) -> None:
        """Close the port."""

    @property
    def service_name(self) -> str:
        """Name of the port's service."""

    def _tend(self) -> None: ...
    def _abandon(self) -> None: ...


class _Keeper:
    def __init__(self) -> None:
        # Reentrant, because a signal handler may close a port.
        self._lock = threading.RLock()
        self._ports: weakref.WeakSet[Port] = weakref.WeakSet()
        self._closed_readers: list[Callable[[], bool]] = []
        self._thread: threading.Thread | None = None
        self._has_closed_readers = threading.Event()
        # Held by the thread while it visits ports.
        self._visiting = threading.Lock()

    def add(self, port: Port) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gst_iceoryx2 ports", daemon=True)
                # If this raises, the port is closed, and the next port tries again.
                thread.start()
                self._thread = thread
            self._ports.add(port)

    def remove(self, port: Port) -> None:
        with self._lock:
            self._ports.discard(port)

    def add_closed(self, discard: Callable[[], bool]) -> None:
        with self._lock:
            self._closed_readers.append(discard)
        self._has_closed_readers.set()

    def remove_closed(self) -> None:
        with self._lock:
            self._closed_readers.clear()

    def ports(self) -> list[Port]:
        with self._lock:
            return list(self._ports)

    def _run(self) -> None:
        next_look = 0.0
        while not self._is_idle():
            if self._has_closed_readers.wait(_INTERVAL):
                with self._visiting:
                    self._discard()
                time.sleep(_CLOSED_READER_INTERVAL)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _INTERVAL
                # A separate function, so that local variables do not keep a port alive while this loop sleeps.
                with self._visiting:
                    look_around()

    def _discard(self) -> None:
        with self._lock:
            readers = list(self._closed_readers)
        # Call this without the lock, because a fast publisher can keep it busy.
        finished = [discard for discard in readers if not discard()]
        with self._lock:
            self._closed_readers = [discard for discard in self._closed_readers if discard not in finished]
            if not self._closed_readers:
                self._has_closed_readers.clear()

    def _is_idle(self) -> bool:
        with self._lock:
            if self._ports or self._closed_readers:
                return False
            self._thread = None
            return True


_keeper = _Keeper()


def adopt(port: Port) -> None:
    """Start maintaining a new port. Close it when the program ends, and abandon it in a forked child.

    Raises:
        TransportError: The thread cannot be started. The port has been closed.
    """
    guard_port(port)
    try:
        _keeper.add(port)
    except RuntimeError as exc:
        port.close()
        raise TransportError(
            f"cannot take part in {port.service_name!r}: this process cannot start a thread ({exc}); end some "
            "threads, or raise the limit (ulimit -u, the container's pids limit)"
        ) from exc


def dismiss(port: Port) -> None:
    """Stop maintaining a closed port."""
    _keeper.remove(port)


def adopt_closed(discard: Callable[[], bool]) -> None:
    """Keep the port of a closed subscriber empty: call `discard` every 10 ms until it returns False."""
    _keeper.add_closed(discard)


def look_around(service_name: str | None = None) -> None:
    """Maintain every port now, or only the ports of one service. If one port fails, log the error and continue."""
    for port in _keeper.ports():
        if service_name in (None, port.service_name):
            try:
                port._tend()
            except Exception as exc:
                _report(f"cannot maintain a port of {port.service_name!r}: {exc}")


@functools.lru_cache(maxsize=64)
def _report(text: str) -> None:
    # Cached, so that an error that repeats four times per second is logged only once.
    _log.warning("%s", text)


@atexit.register
def _close_all() -> None:
    ports = _keeper.ports()
    if ports:
        threading.excepthook = _without_closed_errors(threading.excepthook)
    for port in ports:
        port.close()
    _keeper.remove_closed()
    # Threads that were using a port leave it now. A thread that is still running when the interpreter exits is frozen,
    # and the objects that its variables refer to are never destroyed.
    deadline = time.monotonic() + _LEAVING
    # Never released, so the thread of the ports stays where it holds no port, also of ports that were closed before.
    _keeper._visiting.acquire(timeout=_LEAVING)
    for thread in threading.enumerate() if ports else ():
        if thread.daemon and thread not in (_keeper._thread, threading.current_thread()):
            thread.join(max(0.0, deadline - time.monotonic()))


def _without_closed_errors(
    hook: Callable[[threading.ExceptHookArgs], object],
) -> Callable[[threading.ExceptHookArgs], None]:
    """Return a hook that ignores ClosedError in daemon threads, whose ports are closed because the program ends."""

    def report(args: threading.ExceptHookArgs) -> None:
        is_ours = issubclass(args.exc_type, ClosedError) and args.thread is not None and args.thread.daemon
        if not is_ours:
            hook(args)

    return report


def _start_anew() -> None:
    # In a forked child, neither the thread nor the owner of the lock exists.
    global _keeper
    _keeper = _Keeper()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
