"""The connection of a follower to a writer."""

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

# Longest time to wait for a writer's greeting, or for its answer to a good-bye, in seconds.
HANDSHAKE_TIMEOUT: Final = 1.0
_AT_ONCE: Final = int(socket.MSG_DONTWAIT)


class Connection:
    """A connection to the writer of a path.

    Args:
        path: Path of the socket.

    Raises:
        OSError: There is no writer, or this user is not permitted to connect.
    """

    def __init__(self, path: Path) -> None:
        self._process = os.getpid()
        self._path = path
        # Find the objects before contacting the writer. A Shmdata 1.3.77 writer may never recover from a reader that
        # connects and leaves immediately.
        self._find_objects()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(HANDSHAKE_TIMEOUT)
            self.socket.connect(os.fspath(path))
            greeting = dialect.receive_greeting(self.socket)
            # Find the objects again, because the writer or its objects may have changed. Do so before the
            # acknowledgement, because the writer waits for this reader from then on.
            self._find_objects()
            self.socket.sendall(greeting)
            self.socket.settimeout(None)
        except OSError:
            self.socket.close()
            raise
        self.datatype = dialect.type_text_of(greeting)
        # The poll object of the last wait. Two threads must not share it.
        self._poll: select.poll | None = None

    def _find_objects(self) -> None:
        self._keys = dialect.keys_of(self._path)
        self.segment: Segment | None = Segment(find_segment(self._keys.segment))
        self.memory = self.segment.memory()
        self._semaphores = Semaphores(self._keys.semaphores)

    def receive(self, timeout: float | None) -> int | None:
        """Receive one message.

        Returns:
            Size in bytes of the announced frame; None if the message does not announce a frame or did not arrive in
            time.

        Raises:
            ConnectionResetError: The writer is gone or has said good-bye.
        """
        message = self._receive(timeout)
        if message is None:
            return None
        if not message or dialect.is_quit(message):
            raise ConnectionResetError
        return dialect.announced_size(message)

    def _receive(self, timeout: float | None) -> bytes | None:
        if timeout is None:
            # A single system call waits and reads.
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
        """Wait until the writer has left the segment, then take the read lock.

        Returns:
            The segment; None if it is smaller than announced or the writer did not leave it in time.

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
                # If a writer died while writing, its socket is closed, but its semaphore may still be 1.
                if outcome is Outcome.REMOVED or self._has_ended():
                    raise ConnectionResetError
                # A writer that was stopped while writing does not leave.
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
        """Return the writer's segment. For a larger frame, it is replaced by one with the same key and a new ID."""
        try:
            identity = find_segment(self._keys.segment)
            if self.segment is None or self.segment.identity != identity:
                self.segment = Segment(identity)
                self.memory = self.segment.memory()
        except OSError:
            return None
        return self.segment

    def copy_out(self, segment: Segment, size: int) -> None:
        """Replace the frame in a segment with a private copy at the same address."""
        if self.segment is segment:
            segment.copy_out(size)
            self.segment = None
            self.memory = memoryview(b"")

    def _has_ended(self) -> bool:
        """Return whether the writer closed the connection or said good-bye. This leaves messages in the socket."""
        try:
            message = self.socket.recv(len(dialect.QUIT), socket.MSG_PEEK | _AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not message or dialect.is_quit(message)

    def abort(self) -> None:
        """Close the socket. A thread that waits for a message treats the writer as gone."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def close(self) -> None:
        """Say good-bye, and release frames that the writer announces before it answers."""
        if os.getpid() != self._process:
            # In a forked child, the connection belongs to the parent.
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
