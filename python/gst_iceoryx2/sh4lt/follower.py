"""The reading side of a path."""

from __future__ import annotations

import math
import os
import select
import socket
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, NoReturn

import numpy as np

from .._wire.numbers import real
from . import dialect
from .dialect import READERS, WRITER, Keys
from .errors import AddressError, Sh4ltClosedError
from .frame import Frame
from .sysv import DONE, Operation, Outcome, Segment, Semaphores, Step, find_segment
from .writer import resolve

# Longest single wait for a semaphore: in between, the end of the writer is noticed and Ctrl-C is heard.
_SLICE: Final = 0.02
# The kernel finishes for us if we die before we do: no change, but an undo of -1.
_PROMISE: Final = Operation(Step(READERS, 1, undone=True), Step(READERS, -1, at_once=True))
# Both in one, where the writer has left already.
_PROMISE_AND_LOCK: Final = Operation(
    Step(READERS, 1, undone=True), Step(READERS, -1, at_once=True), Step(WRITER, 0, at_once=True)
)
_LOCK: Final = Operation(Step(WRITER, 0), timeout=_SLICE)
_FINISH: Final = Operation(Step(READERS, -1, undone=True, at_once=True))
_RETRY_INTERVAL: Final = 0.03
_AT_ONCE: Final = int(socket.MSG_DONTWAIT)
_HANDSHAKE_TIMEOUT: Final = 1.0
# poll takes no more than 24 days of milliseconds. Nobody waits for so long.
_MAX_TIMEOUT: Final = 2e6


class _Connection:
    """A writer that has greeted us."""

    def __init__(self, connection: socket.socket, keys: Keys, segment: Segment, semaphores: Semaphores) -> None:
        self.socket = connection
        self.keys = keys
        self.segment: Segment | None = segment
        self.memory = segment.memory()
        self.semaphores = semaphores
        # What the last wait used: no two threads may wait with one.
        self._poll: select.poll | None = None

    def receive(self, timeout: float | None) -> bytes | None:
        """What the writer says next, up to an announcement: empty once it has gone, None if nothing came (in time)."""
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
            # Another thread was quicker.
            return None
        finally:
            self._poll = poll

    def close(self) -> None:
        """Close the socket; a thread that waits for it is announced that the writer has gone."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def finish(self) -> None:
        """Finish with a frame, and take the promise back."""
        self.semaphores.operate(_FINISH)

    def take(self, size: int, deadline: float | None) -> Segment | None:
        """Wait until the writer has left the segment, and lock it for reading; None if there is nothing in time.

        Raises:
            ConnectionResetError: The writer has gone.
        """
        operate = self.semaphores.operate
        is_locked = operate(_PROMISE_AND_LOCK) is DONE
        if not is_locked and operate(_PROMISE) is not DONE:
            raise ConnectionResetError
        done = False
        try:
            while not is_locked and (outcome := operate(_LOCK)) is not DONE:
                # A writer that died inside leaves its flag set, and the socket closed.
                if outcome is Outcome.REMOVED or self.has_ended():
                    raise ConnectionResetError
                # A writer that was stopped inside stays there.
                if deadline is not None and time.monotonic() > deadline:
                    return None
            segment = self._attached()
            done = segment is not None and size <= segment.size
            return segment if done else None
        finally:
            if not done:
                self.finish()

    def _attached(self) -> Segment | None:
        """The segment at the key, which changes when frames grow; its id tells."""
        try:
            identity = find_segment(self.keys.segment)
            if self.segment is None or self.segment.identity != identity:
                self.segment = Segment(identity)
                self.memory = self.segment.memory()
        except OSError:
            return None
        return self.segment

    def has_ended(self) -> bool:
        """Whether the writer has closed the connection or said good-bye, without taking anything from the socket."""
        try:
            message = self.socket.recv(2, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not message or dialect.is_quit(message)


class Borrowing:
    """A frame of `Follower.borrow` for the length of a `with` block."""

    # Not a generator: this is on the way of every frame, and the writer waits for its end.
    __slots__ = ("_data", "_follower", "_frame", "_taken", "_timeout")

    def __init__(self, follower: Follower, timeout: float | None) -> None:
        self._follower = follower
        self._timeout = timeout
        self._taken: tuple[_Connection, Segment, int] | None = None
        self._frame: Frame | None = None

    def __enter__(self) -> Frame | None:
        if self._taken is not None:
            raise RuntimeError("a frame is borrowed with this already: call borrow() once more for another one")
        self._taken = self._follower._next(self._timeout)
        if self._taken is None:
            return None
        connection, _, size = self._taken
        try:
            data = np.frombuffer(connection.memory, np.uint8, size)
            # Every array of the frame refers to this one: it tells whether anybody still looks.
            self._data = weakref.ref(data)
            self._frame = frame = Frame(data, self._follower.datatype or "")
        except BaseException:
            # Whoever interrupts here leaves no frame that the writer waits for.
            self._taken = None
            connection.finish()
            raise
        return frame

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        taken, self._taken = self._taken, None
        frame, self._frame = self._frame, None
        if taken is None or frame is None:
            return
        connection, segment, size = taken
        try:
            frame.close()
            if self._data() is not None and connection.segment is segment:
                segment.copy_out(size)
                connection.segment = None
                connection.memory = memoryview(b"")
        finally:
            connection.finish()


class Follower:
    """Reads the frames of whatever writer is on a path, in lock-step with it. Starts before it, survives it.

        for frame in Follower("/tmp/score_shm_video"):
            print(frame.numpy_view().shape)

    Iteration gives copies. `with follower.borrow() as frame:` gives the writer's own memory, and keeps the writer
    waiting as long as the block lasts; what is still looked at afterwards becomes a private copy at the same address.

    Args:
        path: Path of the socket; None with a label.
        label: Names the stream where no path is given (see `dialect.address`).
        group: Group of the label.

    Raises:
        AddressError: The path is too long, or a name cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        label: str | None = None,
        group: str = dialect.DEFAULT_GROUP,
    ) -> None:
        self.path = dialect.check_path(resolve(path, label, group))
        self.datatype: str | None = None
        """Type text of the writer, or of the last one; None before the first."""
        self._connection: _Connection | None = None
        self._closed = False
        self._process = os.getpid()

    @property
    def is_connected(self) -> bool:
        """Whether a writer is there."""
        return self._connection is not None

    def read(self, timeout: float | None = None) -> Frame | None:
        """The next frame; a copy, the writer goes on at once.

        Args:
            timeout: Seconds to wait for it, also for a writer; None or infinity = indefinitely.

        Returns:
            The frame, or None if there was none in time.

        Raises:
            AddressError: Something else than a socket lies at the path.
            PermissionError: The path is another user's.
            Sh4ltClosedError: The follower was closed.
            ValueError: `timeout` is NaN.
            TypeError: `timeout` is not a number.
        """
        with self.borrow(timeout) as frame:
            return None if frame is None else frame.copy()

    def borrow(self, timeout: float | None = None) -> Borrowing:
        """The next frame in the writer's own memory: read-only, and the writer waits until the block ends.

        Arrays of it that are kept beyond the block stay valid: they become private copies, at a cost.

        Args:
            timeout: Seconds to wait for it, also for a writer; None or infinity = indefinitely.

        Returns:
            What a `with` statement takes, and gives the frame, or None if there was none in time.

        Raises:
            AddressError: Something else than a socket lies at the path.
            PermissionError: The path is another user's.
            Sh4ltClosedError: The follower was closed.
            ValueError: `timeout` is NaN.
            TypeError: `timeout` is not a number.
        """
        seconds = math.inf if timeout is None else real(timeout, "timeout", "seconds")
        return Borrowing(self, None if seconds > _MAX_TIMEOUT else seconds)

    def __iter__(self) -> Iterator[Frame]:
        """Frames, copied, until `close()`; a writer that goes is waited for again."""
        while not self._closed:
            try:
                frame = self.read()
            except Sh4ltClosedError:
                return
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Leave the writer politely."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            self._leave(connection)

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy {self!r}: make a Follower of the same path in the process that reads")

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self._connection else "waiting"
        return f"<Follower {os.fspath(self.path)!r} {state}>"

    def _next(self, timeout: float | None) -> tuple[_Connection, Segment, int] | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._closed:
                raise Sh4ltClosedError(f"{self.path}: the follower was closed")
            left = float("inf") if deadline is None else deadline - time.monotonic()
            if self._connection is None:
                self._connection = self._connect()
                if self._connection is None:
                    if left <= 0:
                        return None
                    time.sleep(min(left, _RETRY_INTERVAL))
                continue
            connection = self._connection
            try:
                message = connection.receive(None if deadline is None else max(left, 0))
                if message is None:
                    if left <= 0 or time.monotonic() >= (deadline or 0.0):
                        return None
                    continue
                size = _size_in(message)
                # What was announced is waited for a little longer.
                patience = None if deadline is None else max(deadline, time.monotonic() + _HANDSHAKE_TIMEOUT)
                segment = None if size is None else connection.take(size, patience)
            except OSError as error:
                if not self._closed and not isinstance(error, ConnectionResetError):
                    raise
                connection.close()
                self._connection = None
                continue
            if segment is not None and size is not None:
                return connection, segment, size

    def _connect(self) -> _Connection | None:
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return None
        if not stat.S_ISSOCK(mode):
            raise AddressError(f"{self.path} is a {'folder' if stat.S_ISDIR(mode) else 'file'}, not a socket")
        connection = None
        try:
            # Before the writer is bothered: one that is connected to and left alone again may never recover.
            self._objects()
            connection, greeting = self._greet()
            # Again, because the writer may be another one by now, or have new ones. Before the acknowledgement, after
            # which it waits for us.
            objects = self._objects()
            connection.sendall(greeting)
            connection.settimeout(None)
        except OSError as error:
            if connection is not None:
                connection.close()
            if isinstance(error, PermissionError):
                raise dialect.refused(self.path, error) from None
            return None
        self.datatype = dialect.type_text_of(greeting)
        return _Connection(connection, *objects)

    def _objects(self) -> tuple[Keys, Segment, Semaphores]:
        keys = dialect.keys_of(self.path)
        return keys, Segment(find_segment(keys.segment)), Semaphores(keys.semaphores)

    def _greet(self) -> tuple[socket.socket, bytes]:
        """A connection, and the writer's greeting, which is yet to be acknowledged."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_HANDSHAKE_TIMEOUT)
        try:
            connection.connect(os.fspath(self.path))
            return connection, dialect.receive_greeting(connection)
        except OSError:
            connection.close()
            raise

    def _leave(self, connection: _Connection) -> None:
        """Say good-bye and finish with what is on its way."""
        if os.getpid() != self._process:
            # A forked child's copy: the connection is the parent's.
            connection.socket.close()
            return
        deadline = time.monotonic() + _HANDSHAKE_TIMEOUT
        try:
            connection.socket.send(dialect.QUIT, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            while time.monotonic() < deadline:
                message = connection.receive(_SLICE)
                size = None if message is None else _size_in(message)
                if size is not None and connection.take(size, deadline) is not None:
                    connection.finish()
        except OSError:
            pass
        finally:
            connection.close()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.close()


def _size_in(message: bytes) -> int | None:
    """Bytes of the frame that is announced; None for a message that announces none.

    Raises:
        ConnectionResetError: The writer has gone, or says good-bye.
    """
    if not message or dialect.is_quit(message):
        raise ConnectionResetError
    return dialect.announced_size(message)
