"""A follower's connection to a writer."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from . import dialect, lockstep
from .sysv import DONE, Outcome, Segment, Semaphores, find_segment

# Seconds that a writer may take to send its greeting, and to answer a good-bye.
HANDSHAKE_TIMEOUT: Final = 1.0
_AT_ONCE: Final = int(socket.MSG_DONTWAIT)


class Connection:
    """A connection to the writer of a path.

    Args:
        path: Path of the socket.

    Raises:
        OSError: There is no writer, or this user has no permission.
    """

    def __init__(self, path: Path) -> None:
        self._process = os.getpid()
        self._path = path
        # Before the writer is contacted: a writer of Shmdata 1.3.77 may never recover from a reader that connects and
        # leaves at once.
        self._find_objects()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(HANDSHAKE_TIMEOUT)
            self.socket.connect(os.fspath(path))
            greeting = dialect.receive_greeting(self.socket)
            # Again, because the writer or its objects may have changed. Before the acknowledgement, after which the
            # writer waits for us.
            self._find_objects()
            self.socket.sendall(greeting)
            self.socket.settimeout(None)
        except OSError:
            self.socket.close()
            raise
        self.datatype = dialect.type_text_of(greeting)
        # The poll object of the last wait. Two threads must not wait with the same one.
        self._poll: select.poll | None = None

    def _find_objects(self) -> None:
        self._keys = dialect.keys_of(self._path)
        self.segment: Segment | None = Segment(find_segment(self._keys.segment))
        self.memory = self.segment.memory()
        self._semaphores = Semaphores(self._keys.semaphores)

    def receive(self, timeout: float | None) -> int | None:
        """Receive one message.

        Returns:
            Size of the frame that it announces in bytes; None if it announces none, or nothing came in time.

        Raises:
            ConnectionResetError: The writer is gone, or says good-bye.
        """
        message = self._receive(timeout)
        if message is None:
            return None
        if not message or dialect.is_quit(message):
            raise ConnectionResetError
        return dialect.announced_size(message)

    def _receive(self, timeout: float | None) -> bytes | None:
        if timeout is None:
            # One system call waits and reads.
            return self.socket.recv(dialect.UPDATE_SIZE)
        poll, self._poll = self._poll, None
        if poll is None:
            poll = select.poll()
            poll.register(self.socket, select.POLLIN)
        try:
            if not poll.poll(timeout * 1000):
                return None
            return self.socket.recv(dialect.UPDATE_SIZE, _AT_ONCE)
        except BlockingIOError:
            # Another thread read the message.
            return None
        finally:
            self._poll = poll

    def take(self, size: int, deadline: float | None) -> Segment | None:
        """Wait until the writer has left the segment, and take the read lock.

        Returns:
            The segment; None if it is smaller than announced, or the writer did not leave it in time.

        Raises:
            ConnectionResetError: The writer is gone.
        """
        operate = self._semaphores.operate
        is_locked = operate(lockstep.PROMISE_AND_LOCK) is DONE
        if not is_locked and operate(lockstep.PROMISE) is not DONE:
            raise ConnectionResetError
        done = False
        try:
            while not is_locked and (outcome := operate(lockstep.LOCK)) is not DONE:
                # A writer that died while it wrote closed its socket, but its semaphore may stay 1.
                if outcome is Outcome.REMOVED or self._has_ended():
                    raise ConnectionResetError
                # A writer that was stopped while it wrote does not leave.
                if deadline is not None and time.monotonic() > deadline:
                    return None
            segment = self._current_segment()
            done = segment is not None and size <= segment.size
            return segment if done else None
        finally:
            if not done:
                self.finish()

    def finish(self) -> None:
        """Release the read lock."""
        self._semaphores.operate(lockstep.FINISH)

    def _current_segment(self) -> Segment | None:
        """The writer's segment. A growing frame replaces the segment under the same key; the new one has another ID."""
        try:
            identity = find_segment(self._keys.segment)
            if self.segment is None or self.segment.identity != identity:
                self.segment = Segment(identity)
                self.memory = self.segment.memory()
        except OSError:
            return None
        return self.segment

    def copy_out(self, segment: Segment, size: int) -> None:
        """Turn the frame in a segment into a private copy at the same address."""
        if self.segment is segment:
            segment.copy_out(size)
            self.segment = None
            self.memory = memoryview(b"")

    def _has_ended(self) -> bool:
        """Whether the writer has closed the connection or said good-bye. Takes nothing from the socket."""
        try:
            message = self.socket.recv(len(dialect.QUIT), socket.MSG_PEEK | _AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not message or dialect.is_quit(message)

    def abort(self) -> None:
        """Close the socket. A thread that waits for it learns that the writer is gone."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def close(self) -> None:
        """Say good-bye, and finish frames that are announced until the writer answers."""
        if os.getpid() != self._process:
            # In a forked child: the connection belongs to the parent.
            self.socket.close()
            return
        deadline = time.monotonic() + HANDSHAKE_TIMEOUT
        try:
            self.socket.send(dialect.QUIT, socket.MSG_NOSIGNAL | _AT_ONCE)
            while (left := deadline - time.monotonic()) > 0:
                size = self.receive(left)
                if size is not None and self.take(size, deadline) is not None:
                    self.finish()
        except OSError:
            pass
        finally:
            self.abort()
