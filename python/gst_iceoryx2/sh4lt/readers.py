"""The connected readers of a writer: greeting, acknowledgement, announcements, departure."""

from __future__ import annotations

import functools
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from . import dialect, lockstep
from .sysv import Semaphores

# A plain number: combining members of the enumeration takes as long as the system call.
_AT_ONCE: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_update_message: Final = functools.lru_cache(dialect.update_message)


@dataclass(eq=False, slots=True)
class _Reader:
    socket: socket.socket
    is_acknowledged: bool = False
    is_announced: bool = False


class Readers:
    """Readers of a writer. A thread greets them and notices when they leave, until `stop()`.

    Args:
        listener: Listening socket of the path; closed by `stop()`.
        greeting: The writer's first message.
        on_client: Called with True when a reader connects, False when it disconnects; from the thread.
    """

    def __init__(self, listener: socket.socket, greeting: bytes, on_client: Callable[[bool], object]) -> None:
        self._listener = listener
        self._greeting = greeting
        self._on_client = on_client
        self.lock = threading.Lock()
        self._readers: list[_Reader] = []
        # Readers that received the last announcement and have said good-bye since. They still finish by themselves.
        self._finishing = 0
        # Readers that died before they read the last announcement, so that the kernel does not finish for them.
        self._unread = 0
        self.reader_died = False
        """Whether a reader died that had read the last announcement."""
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="sh4lt writer", daemon=True)
        self._thread.start()

    def count(self) -> int:
        """Readers that have acknowledged the greeting."""
        with self.lock:
            return sum(reader.is_acknowledged for reader in self._readers)

    def announce(self, size: int, semaphores: Semaphores) -> int:
        """Announce a frame of `size` bytes.

        Returns:
            Number of readers that it was announced to.
        """
        message = _update_message(size)
        announced = 0
        with self.lock:
            self._forget_announcement()
            for reader in self._readers:
                reader.is_announced = reader.is_acknowledged and _send(reader.socket, message)
                announced += reader.is_announced
            if announced:
                semaphores.operate(lockstep.count(announced))
        return announced

    def release_dead(self, semaphores: Semaphores) -> None:
        """Finish for readers that are certainly dead.

        These are the readers that left the announcement unread, and the surplus of the counter over the readers that
        can still finish by themselves.
        """
        with self.lock:
            alive = sum(reader.is_announced for reader in self._readers) + self._finishing
            readers = semaphores.readers()
            surplus = min(max(readers - alive, self._unread), readers)
            self._unread = 0
            if surplus > 0 and not semaphores.has_writer():
                semaphores.operate(lockstep.discount(surplus))

    def dismiss(self) -> None:
        """Say good-bye to every reader. Hold `lock`."""
        for reader in self._readers:
            _send(reader.socket, dialect.QUIT)
            reader.socket.close()
        self._readers.clear()
        self._forget_announcement()
        self._wake.send(b".")

    def stop(self) -> None:
        """Say good-bye to every reader and end the thread."""
        self._wake.send(b"!")
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _forget_announcement(self) -> None:
        self._finishing = self._unread = 0
        self.reader_died = False

    def _serve(self) -> None:
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                selector.register(self._listener, selectors.EVENT_READ)
                with self.lock:
                    for reader in self._readers:
                        selector.register(reader.socket, selectors.EVENT_READ, reader)
                ready = [key for key, _ in selector.select()]
            for key in ready:
                if key.fileobj is self._listener:
                    self._greet()
                elif key.fileobj is not self._woken:
                    self._receive(key.data)
                elif b"!" in self._woken.recv(64):
                    with self.lock:
                        self.dismiss()
                    for end in (self._listener, self._wake, self._woken):
                        end.close()
                    return

    def _greet(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        if _send(connection, self._greeting):
            with self.lock:
                self._readers.append(_Reader(connection))
        else:
            connection.close()

    def _receive(self, reader: _Reader) -> None:
        """Handle what a reader sent: its acknowledgement, its good-bye, or the end of the connection."""
        left_unread = False
        try:
            message = reader.socket.recv(dialect.CONNECT_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message, left_unread = b"", True
        with self.lock:
            if reader not in self._readers:
                return
            # An acknowledgement repeats the greeting. A reader that sends anything else would never finish a frame.
            connects = bool(message) and not reader.is_acknowledged and self._greeting.startswith(message)
            if connects:
                reader.is_acknowledged = True
            else:
                if left_unread:
                    self._unread += reader.is_announced
                elif not message:
                    self.reader_died |= reader.is_announced
                elif reader.is_acknowledged:
                    # A connected reader sends its good-bye only. It still finishes the announced frame.
                    _send(reader.socket, dialect.QUIT)
                    self._finishing += reader.is_announced
                self._readers.remove(reader)
                reader.socket.close()
        if reader.is_acknowledged:
            self._on_client(connects)


def _send(connection: socket.socket, message: bytes) -> bool:
    """Send a message without waiting; False if the whole message could not be sent, so that the peer does not read."""
    try:
        return connection.send(message, _AT_ONCE) == len(message)
    except OSError:
        return False
