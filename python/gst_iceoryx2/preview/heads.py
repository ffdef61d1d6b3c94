"""Reads the heads of HTTP requests from untrusted connections."""

from __future__ import annotations

import resource
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from .request import END_OF_HEAD, MAX_HEAD

# Seconds within which a client must send a complete head.
_DEADLINE: Final = 10.0
# Maximum number of connections with an incomplete head, and the share of the process's descriptors that they may use.
_MAX_WAITING: Final = 128
_SHARE: Final = 1 / 4
# Pause in seconds if the process has no descriptors left and this class cannot free any.
_PAUSE: Final = 0.05


class _Waiting(NamedTuple):
    deadline: float
    received: bytearray


class HeadReader:
    """Accepts connections, and reads the head of one request from each. It uses one thread and at most 2 MiB.

    A connection that has not sent a complete head after 10 s is closed. If 128 connections (or a quarter of the
    process's descriptor limit) are waiting, a new connection closes the oldest one. Slow connections therefore cannot
    block new ones.

    Args:
        listener: A listening socket; `run` closes it.
        take: Called by `run` with a non-blocking connection and the bytes received so far: a head and any bytes after
            it, or `MAX_HEAD` bytes of an incomplete head. It takes ownership of the connection, and must not block.
        tls: Settings of a TLS server; None for connections without TLS. The handshake counts as a part of the head.
    """

    def __init__(
        self,
        listener: socket.socket,
        take: Callable[[socket.socket, bytes], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._take = take
        self._tls = tls
        # In order of arrival, and therefore of deadlines.
        self._waiting: dict[socket.socket, _Waiting] = {}
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        share = _MAX_WAITING if soft_limit == resource.RLIM_INFINITY else int(soft_limit * _SHARE)
        self._max_waiting = max(1, min(_MAX_WAITING, share))
        self._selector = selectors.DefaultSelector()
        self._ear, self._bell = socket.socketpair()
        listener.setblocking(False)

    def run(self) -> None:
        """Accept and read connections until `end` is called."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._ear, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in self._selector.select(self._until_next_deadline())}
            if self._ear in ready:
                break
            # Read before accepting, because accepting may close a connection whose head has just arrived.
            for connection in self._waiting.keys() & ready:
                self._read(connection)
            while self._waiting and self._until_next_deadline() == 0:
                self._close_oldest()
            if self._listener in ready:
                self._accept()
        while self._waiting:
            self._close_oldest()
        for each in (self._selector, self._listener, self._ear):
            each.close()

    def end(self) -> None:
        """Make `run` return. Thread-safe."""
        self._bell.close()

    def _until_next_deadline(self) -> float | None:
        oldest = next(iter(self._waiting.values()), None)
        return None if oldest is None else max(0.0, oldest.deadline - time.monotonic())

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            if self._waiting:
                self._close_oldest()
            else:
                time.sleep(_PAUSE)
            return
        connection.setblocking(False)
        if self._tls is not None:
            # The first `recv` begins the handshake, and every later one continues it.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        if len(self._waiting) == self._max_waiting:
            self._close_oldest()
        self._waiting[connection] = _Waiting(time.monotonic() + _DEADLINE, bytearray())
        self._selector.register(connection, selectors.EVENT_READ)
        # Often the head has already arrived.
        self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        received = self._waiting[connection].received
        # Bytes that TLS has already decrypted do not make the socket readable, so read until nothing is left.
        while True:
            try:
                data = connection.recv(MAX_HEAD - len(received))
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            begin = max(0, len(received) - len(END_OF_HEAD) + 1)
            received += data
            if not data:
                self._forget(connection)
                connection.close()
                return
            if len(received) == MAX_HEAD or received.find(END_OF_HEAD, begin) >= 0:
                self._forget(connection)
                self._take(connection, bytes(received))
                return

    def _close_oldest(self) -> None:
        connection = next(iter(self._waiting))
        self._forget(connection)
        connection.close()

    def _forget(self, connection: socket.socket) -> None:
        del self._waiting[connection]
        self._selector.unregister(connection)
