"""Looks after all open publishers and subscribers of the process while the program does something else.

A publisher meets its subscribers when it sends, a subscriber its publisher when it receives. Without a third party a
publisher that pauses, or has said "end of stream", would leave late joiners without the newest frame; the memory that a
killed subscriber held would stay lost; and a subscriber that is busy would miss the first frames of a publisher that
comes, or keep the service of one that has gone. So one thread looks at every port four times a second, for a few µs;
three times while all of them are subscribers that wait for a frame. It wakes those that have missed something, so that
a thread that waits need not wake up by itself to look.

It is a daemon: it keeps no program alive. When the program ends, ports that are open are closed in order; without that,
an object in a reference cycle through the binding, which the garbage collector cannot see into, would never be
destroyed, and its files would stay.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from .._contract import seconds
from .._iox2.fork import guard_port
from ..errors import ClosedError, TransportError

_INTERVAL: Final = seconds("monitor")
_ATTENDED_INTERVAL: Final = 1 / 3
# How long other threads get to leave the ports when the program ends, seconds.
_LEAVING: Final = 0.3


class Port(Protocol):
    """What is looked after."""

    def close(self) -> None:
        """Close it."""

    @property
    def service_name(self) -> str:
        """Name of the service that it belongs to."""

    @property
    def is_attended(self) -> bool:
        """Whether somebody waits in it."""

    def _tend(self) -> None: ...
    def _abandon(self) -> None: ...


class _Keeper:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: weakref.WeakSet[Port] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._has_news = threading.Event()

    def add(self, port: Port) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gst_iceoryx2 ports", daemon=True)
                # What cannot be looked after is not opened, and the next port tries again.
                thread.start()
                self._thread = thread
            self._ports.add(port)
            self._has_news.set()

    def remove(self, port: Port) -> None:
        with self._lock:
            self._ports.discard(port)

    def ports(self) -> list[Port]:
        with self._lock:
            return list(self._ports)

    def _run(self) -> None:
        while True:
            # Within calls of their own, so that no variable of this loop keeps a forgotten port alive while it sleeps.
            if self._has_news.wait(self._pause()):
                self._has_news.clear()
                time.sleep(_INTERVAL)
            look_around()
            if self._is_idle():
                return

    def _pause(self) -> float:
        return _ATTENDED_INTERVAL if all(port.is_attended for port in self.ports()) else _INTERVAL

    def _is_idle(self) -> bool:
        with self._lock:
            if self._ports:
                return False
            self._thread = None
            return True


_keeper = _Keeper()


def adopt(port: Port) -> None:
    """Look after a port that was opened; close it when the program ends; give it up in a forked child.

    Raises:
        TransportError: No thread can be started for that; the port is closed.
    """
    guard_port(port)
    try:
        _keeper.add(port)
    except RuntimeError as exc:
        port.close()
        raise TransportError(
            f"cannot take part in {port.service_name!r}: this process cannot start a thread ({exc}); close some "
            "threads, or raise the limit (ulimit -u, the container's pids limit)"
        ) from exc


def dismiss(port: Port) -> None:
    """No longer look after a port: it was closed."""
    _keeper.remove(port)


def look_around(service_name: str | None = None) -> None:
    """Look after every port now, or after those of one service."""
    for port in _keeper.ports():
        if service_name in (None, port.service_name):
            port._tend()


@atexit.register
def _close_all() -> None:
    ports = _keeper.ports()
    if ports:
        threading.excepthook = _without_ends(threading.excepthook)
    for port in ports:
        port.close()
    # A thread that was in one of them leaves it now. One that is still there when the interpreter goes is frozen, and
    # what its variables refer to is never destroyed.
    deadline = time.monotonic() + _LEAVING
    for thread in threading.enumerate() if ports else ():
        if thread.daemon and thread not in (_keeper._thread, threading.current_thread()):
            thread.join(max(0.0, deadline - time.monotonic()))


def _without_ends(hook: Callable[[threading.ExceptHookArgs], object]) -> Callable[[threading.ExceptHookArgs], None]:
    """A hook that says nothing of daemon threads that used a port which the end of the program closed."""

    def tell(args: threading.ExceptHookArgs) -> None:
        is_ours = issubclass(args.exc_type, ClosedError) and args.thread is not None and args.thread.daemon
        if not is_ours:
            hook(args)

    return tell


def _start_anew() -> None:
    # In a forked child neither the thread nor the owner of the lock exists.
    global _keeper
    _keeper = _Keeper()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
