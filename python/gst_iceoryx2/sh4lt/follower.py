"""The reader of a path."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Final, NoReturn

import numpy as np

from .._at_end import CALL_AT_END, NOTHING
from .._wire.numbers import real
from .connection import HANDSHAKE_TIMEOUT, Connection
from .errors import Sh4ltClosedError
from .frame import Frame
from .paths import DEFAULT_GROUP, error_of_use, is_socket, resolve
from .sysv import Segment

# Time between two attempts to find a writer, in seconds.
_RETRY_INTERVAL: Final = 0.03
# poll() waits at most 24 days, so longer timeouts are treated as indefinite.
_MAX_TIMEOUT: Final = 2e6


class _Borrowing(AbstractContextManager["Frame | None"]):
    """The context manager that `Follower.borrow` returns, for one `with` block."""

    # Not a generator, which would be slower: this code runs for every frame while the writer waits.
    __slots__ = ("_data", "_follower", "_frame", "_taken", "_timeout")

    def __init__(self, follower: Follower, timeout: float | None) -> None:
        self._follower = follower
        self._timeout = timeout
        self._taken: tuple[Connection, Segment, int] | None = None
        self._frame: Frame | None = None

    def __enter__(self) -> Frame | None:
        if self._taken is not None:
            raise RuntimeError("this block already borrows a frame; call borrow() again for another frame")
        self._taken = self._follower._next(self._timeout)
        if self._taken is None:
            return None
        connection, _, size = self._taken
        try:
            data = np.frombuffer(connection.memory, np.uint8, size)
            # Every array made from the frame keeps `data` alive.
            self._data = weakref.ref(data)
            self._frame = frame = Frame(data, self._follower.datatype or "")
        except BaseException:
            # Release the frame even after an interrupt, because the writer waits for it.
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
            if self._data() is not None:
                connection.copy_out(segment, size)
        finally:
            connection.finish()


class Follower:
    """Read the frames that a writer sends on a path.

    A follower can start before the writer. When the writer leaves, the follower waits for the next writer. The writer
    waits for every reader before it writes the next frame, so a connected follower receives every frame.

    Iteration yields copies until `close()`. To read a frame without a copy, use `borrow()`.

    Args:
        path: Path of the socket; None if you pass a label.
        label: Name of the stream, to be used instead of a path (see `address`).
        group: Group of the label.

    Raises:
        AddressError: The path is too long, or a name is invalid.
        TypeError: Neither a path nor a label was given.

    Example:
        Read one picture:

            from gst_iceoryx2.sh4lt import Follower

            with Follower("/tmp/score_shm_video") as follower:
                frame = follower.read(timeout=0.1)
                if frame is not None:
                    print(frame.numpy_view().shape)
    """

    __del__ = CALL_AT_END

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        label: str | None = None,
        group: str = DEFAULT_GROUP,
    ) -> None:
        self._at_end: Callable[[], object] = NOTHING
        self.path = resolve(path, label, group)
        """Path of the socket."""
        self.datatype: str | None = None
        """Type text of the current or most recent writer; None before the first writer."""
        self._connection: Connection | None = None
        self._closed = False

    @property
    def is_connected(self) -> bool:
        """Whether the follower is connected to a writer."""
        return self._connection is not None

    def read(self, timeout: float | None = None) -> Frame | None:
        """Return a copy of the next frame. The writer can continue immediately.

        Args:
            timeout: Maximum wait for a frame in seconds, including the wait for a writer; None or infinity = wait
                indefinitely.

        Returns:
            The frame, or None if no frame arrived within `timeout`.

        Raises:
            AddressError: Something other than a socket exists at the path.
            PermissionError: The path belongs to another user.
            Sh4ltClosedError: The follower was closed.
            ValueError: `timeout` is NaN.
            TypeError: `timeout` is not a number.
        """
        with self.borrow(timeout) as frame:
            return None if frame is None else frame.copy()

    def borrow(self, timeout: float | None = None) -> AbstractContextManager[Frame | None]:
        """Borrow the next frame from the writer's memory, read-only. The writer waits until the `with` block ends.

        You may keep arrays made from the frame: when the block ends, they become private copies at the same address.

        Args:
            timeout: Maximum wait for a frame in seconds, including the wait for a writer; None or infinity = wait
                indefinitely.

        Returns:
            A context manager that yields the frame, or None if no frame arrived within `timeout`.

        Raises:
            AddressError: Something other than a socket exists at the path.
            PermissionError: The path belongs to another user.
            Sh4ltClosedError: The follower was closed.
            ValueError: `timeout` is NaN.
            TypeError: `timeout` is not a number.

        Example:
            Use the pixels without a copy:

                from gst_iceoryx2.sh4lt import Follower

                with Follower("/tmp/score_shm_video") as follower, follower.borrow(timeout=0.1) as frame:
                    if frame is not None:
                        print(frame.data.mean())
        """
        seconds = math.inf if timeout is None else real(timeout, "timeout", "seconds")
        return _Borrowing(self, None if seconds > _MAX_TIMEOUT else seconds)

    def __iter__(self) -> Iterator[Frame]:
        """Yield copies of all frames until `close()`. When the writer leaves, wait for the next one."""
        while not self._closed:
            try:
                frame = self.read()
            except Sh4ltClosedError:
                return
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Disconnect from the writer. A `read()` in another thread raises Sh4ltClosedError."""
        self._closed = True
        connection = self._connection
        self._use(None)
        if connection is not None:
            connection.close()

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy {self!r}: create a Follower on the same path in the process that reads")

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self._connection else "waiting"
        return f"<Follower {os.fspath(self.path)!r} {state}>"

    def _use(self, connection: Connection | None) -> None:
        self._connection = connection
        self._at_end = NOTHING if connection is None else partial(Connection.close, connection)

    def _next(self, timeout: float | None) -> tuple[Connection, Segment, int] | None:
        """Take the read lock for the next frame; return None if no frame arrived in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._closed:
                raise Sh4ltClosedError(f"{self.path}: the follower was closed")
            left = math.inf if deadline is None else deadline - time.monotonic()
            connection = self._connection
            if connection is None:
                self._use(self._connect())
                if self._connection is None:
                    if left <= 0:
                        return None
                    time.sleep(min(left, _RETRY_INTERVAL))
                continue
            try:
                size = connection.receive(None if deadline is None else max(left, 0))
                if size is None:
                    if deadline is not None and time.monotonic() >= deadline:
                        return None
                    continue
                # Allow more time for a frame that is already announced.
                limit = None if deadline is None else max(deadline, time.monotonic() + HANDSHAKE_TIMEOUT)
                segment = connection.take(size, limit)
            except OSError as error:
                if not self._closed and not isinstance(error, ConnectionResetError):
                    raise
                connection.abort()
                self._use(None)
                continue
            if segment is not None:
                return connection, segment, size

    def _connect(self) -> Connection | None:
        """Connect to the writer; return None if there is none."""
        try:
            # Readers may use a symbolic link to a socket. Before Python 3.13, a loop of links raises RuntimeError.
            target = self.path.resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        if not is_socket(target):
            return None
        try:
            connection = Connection(self.path)
        except PermissionError as error:
            raise error_of_use(self.path, error) from None
        except OSError:
            return None
        self.datatype = connection.datatype
        return connection
