"""The connected readers of a writer: greeting, acknowledgement, announcements and good-bye."""

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

# A plain int, because combining the enum members takes as long as the system call.
_AT_ONCE: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_update_message: Final = functools.lru_cache(dialect.update_message)


@dataclass(eq=False, slots=True)
class _Reader:
    socket: socket.socket
    is_acknowledged: bool = False
    is_announced: bool = False


class Readers:
    """The readers of a writer. Until `stop()`, a thread greets new readers and notices when readers leave.

    Args:
        listener: Listening socket at the path; closed by `stop()`.
        greeting: The writer's first message.
        on_client: Called from the thread, with True when a reader connects and with False when it disconnects.
    """

    def __init__(self, listener: socket.socket, greeting: bytes, on_client: Callable[[bool], object]) -> None:
        self._listener = listener
        self._greeting = greeting
        self._on_client = on_client
        self.lock = threading.Lock()
        self._readers: list[_Reader] = []
        # Number of readers that received the last announcement and have said good-bye since. They still release the
        # frame.
        self._finishing = 0
        # Number of readers that died before they read the last announcement, so the kernel does not release the frame
        # for them.
        self._unread = 0
        self.reader_died = False
        """Whether a reader died after it had read the last announcement."""
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="sh4lt writer", daemon=True)
        self._thread.start()

    def count(self) -> int:
        """Return the number of readers that have acknowledged the greeting."""
        with self.lock:
            return sum(reader.is_acknowledged for reader in self._readers)

    def announce(self, size: int, semaphores: Semaphores) -> int:
        """Announce a frame of `size` bytes.

        Returns:
            Number of readers that received the announcement.
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
        """Release the frame on behalf of readers that are certainly dead.

        These are the readers that died without reading the announcement. If the counter exceeds the number of readers
        that can still release the frame, the excess belongs to dead readers, too.
        """
        with self.lock:
            alive = sum(reader.is_announced for reader in self._readers) + self._finishing
            readers = semaphores.readers()
            surplus = min(max(readers - alive, self._unread), readers)
            self._unread = 0
            if surplus > 0 and not semaphores.has_writer():
                semaphores.operate(lockstep.discount(surplus))

    def dismiss(self) -> None:
        """Say good-bye to every reader. The caller must hold `lock`."""
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
        """Handle a message from a reader: its acknowledgement, its good-bye, or the end of the connection."""
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
            # An acknowledgement repeats the greeting. A reader that sends anything else would never release a frame.
            connects = bool(message) and not reader.is_acknowledged and self._greeting.startswith(message)
            if connects:
                reader.is_acknowledged = True
            else:
                if left_unread:
                    self._unread += reader.is_announced
                elif not message:
                    self.reader_died |= reader.is_announced
                elif reader.is_acknowledged:
                    # A connected reader only ever sends a good-bye. It still releases the announced frame.
                    _send(reader.socket, dialect.QUIT)
                    self._finishing += reader.is_announced
                self._readers.remove(reader)
                reader.socket.close()
        if reader.is_acknowledged:
            self._on_client(connects)


def _send(connection: socket.socket, message: bytes) -> bool:
    """Send a message without waiting; return False if it was not sent completely because the peer does not read."""
    try:
        return connection.send(message, _AT_ONCE) == len(message)
    except OSError:
        return False
