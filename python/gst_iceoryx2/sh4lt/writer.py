"""The writing side of a path."""

from __future__ import annotations

import functools
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from .._wire.numbers import real, whole
from . import dialect, score
from .dialect import READERS, WRITER
from .errors import FrameSizeError, Sh4ltClosedError, WriterIsAliveError
from .sysv import DONE, Operation, Outcome, Segment, Semaphores, Step, max_segment, remove, remove_if_dead

# Longest single wait for a semaphore: in between, dead readers are looked for and Ctrl-C is heard.
_SLICE: Final = 0.02
_ENTER: Final = Operation(Step(READERS, 0), Step(WRITER, 1, undone=True), Step(READERS, 1, undone=True), timeout=_SLICE)
_LEAVE: Final = Operation(Step(READERS, -1, undone=True, at_once=True), Step(WRITER, -1, undone=True, at_once=True))
_ALL_READ: Final = Operation(Step(READERS, 0), timeout=_SLICE)
_CLOSE_TIMEOUT: Final = 0.2
# How long readers have to come back after a renewal; those of Shmdata look every 30 ms.
_RECONNECT_TIMEOUT: Final = 0.3
# How long is waited at most for the readers of a frame of which one has died: it may have read the announcement and
# died before it promised the kernel to finish, which nobody can see.
_DEAD_READER_TIMEOUT: Final = 0.3
# Up to so many bytes numpy needs longer to begin than it would keep other threads from running.
_SMALL: Final = 1 << 20
_PROBE_TIMEOUT: Final = 1.0
# Plain: to combine the enumeration's members takes as long as the system call does.
_AT_ONCE: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_KEY_ATTEMPTS: Final = 16


class _Client:
    __slots__ = ("acknowledged", "announced", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.acknowledged = False
        self.announced = False


class Writer:
    """Shares one frame at a time with every reader of a path, in lock-step, and never waits for a dead or stuck one.

    Args:
        path: Path of the socket, at most 107 bytes; None with a label.
        datatype: The type text that readers get: caps, by convention; at most 4095 bytes. Caps of raw video are written
            with the type of each value, and with `framerate=(fraction)30/1` if they tell no frame rate: ossia score
            refuses others.
        label: Names the stream where no path is given (see `dialect.address`).
        group: Group of the label.
        initial_size: Bytes of the first segment; it grows with the frames.
        mode: Permissions of socket, segment and semaphores.
        reader_timeout: Seconds that readers may take for one frame before the writer goes on without them.
        on_client: Called with True when a reader came, False when it has gone; from the writer's thread.

    Raises:
        AddressError: The path is too long, or something else than a socket lies there.
        WriterIsAliveError: Another writer is alive on the path; it is not disturbed.
        TypeTextError: The type text cannot be sent.
        FrameSizeError: `initial_size` is more than the kernel's limit.
        OSError: The operating system refused a call; PermissionError for a path of another user.
        ValueError: A number is outside its range, or NaN.
        TypeError: A number is not one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        datatype: str = "",
        *,
        label: str | None = None,
        group: str = dialect.DEFAULT_GROUP,
        initial_size: int = 1,
        mode: int = 0o600,
        reader_timeout: float = 1.0,
        on_client: Callable[[bool], object] | None = None,
    ) -> None:
        initial_size, mode = whole(initial_size, "initial_size"), whole(mode, "mode", 0, 0o777)
        self._timeout = real(reader_timeout, "reader_timeout", "seconds")
        if self._timeout < 0:
            raise ValueError(f"reader_timeout is {reader_timeout}, it must be at least 0 seconds")
        self.path = dialect.check_path(resolve(path, label, group))
        if path is None:
            dialect.prepare_folder(self.path)
        self.datatype = score.type_text(datatype)
        """The type text that readers get."""
        dialect.check_type(self.datatype)
        self._mode = mode
        self._on_client = on_client or (lambda _: None)
        self._check_size(initial_size)
        self._listener, self._segment, self._semaphores = _claim(self.path, initial_size, mode)
        self._memory = self._segment.memory()
        self._keys = dialect.keys_of(self.path)
        self._inode = self.path.stat().st_ino
        self._greeting = dialect.connect_message(self.datatype, self._segment.size)
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._clients: list[_Client] = []
        # Readers that got the latest announcement and have left politely since: they finish by themselves.
        self._finishing = 0
        # Readers that died with the latest announcement unread.
        self._unread = 0
        # Whether a reader died that had read the latest announcement.
        self._reader_died = False
        self._closed = False
        self.evictions = 0
        """How often the writer went on without readers that had not finished in time."""
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="sh4lt writer", daemon=True)
        self._thread.start()

    @property
    def clients(self) -> int:
        """Readers connected right now."""
        with self._lock:
            return sum(client.acknowledged for client in self._clients)

    def write(self, frame: Any) -> int:
        """Copy a frame into the segment and announce it, after every reader has finished with the one before.

        Args:
            frame: Any buffer of bytes: bytes, memoryview, a numpy array (rows of which are packed together).

        Returns:
            Readers to which it was announced.

        Raises:
            FrameSizeError: It is larger than the kernel's limit for one segment.
            Sh4ltClosedError: The writer was closed.
        """
        data = memoryview(frame)
        if not data.c_contiguous or data.format != "B":
            data = np.ascontiguousarray(frame).reshape(-1).view(np.uint8).data
        flat = data if data.ndim == 1 else data.cast("B")
        return self._write(flat.nbytes, lambda target: _copy(flat, target))

    def write_with(self, size: int, fill: Callable[[npt.NDArray[np.uint8]], object]) -> int:
        """As `write`, with a function that fills the frame's `size` bytes in place.

        Args:
            size: Bytes of the frame.
            fill: Called with the writable array of shape (size,), uint8, valid during the call.

        Returns:
            Readers to which it was announced.

        Raises:
            FrameSizeError: `size` is more than the kernel's limit for one segment.
            Sh4ltClosedError: The writer was closed.
            ValueError: `size` is negative.
            TypeError: `size` is not a whole number.
        """
        return self._write(whole(size, "size"), lambda target: fill(np.asarray(target)))

    def _write(self, size: int, fill: Callable[[memoryview], object]) -> int:
        if size > self._segment.size:
            self._check_size(size)
        with self._writing:
            if self._closed:
                raise Sh4ltClosedError(f"{self.path}: the writer was closed")
            self._enter()
            try:
                return self._put(size, fill)
            finally:
                self._semaphores.operate(_LEAVE)

    def retyped(self, datatype: str) -> Writer:
        """The writer of the same path for frames of another type.

        A writer has one type text, which readers get when they connect.

        Args:
            datatype: The type text, as for a new writer.

        Returns:
            This writer, if that is its type text already. Otherwise it is closed, and a new one has its place; the
            readers have had a moment to come back, so that they do not miss the next frame.

        Raises:
            TypeTextError: The type text cannot be sent.
            OSError: The operating system refused a call.
        """
        if score.type_text(datatype) == self.datatype:
            return self
        readers = self.clients
        self.close()
        new = Writer(self.path, datatype, mode=self._mode, reader_timeout=self._timeout, on_client=self._on_client)
        new._wait_for(readers)
        return new

    def close(self) -> None:
        """Leave the path: waits a moment for the last frame to be read, then says good-bye to every reader."""
        if os.getpid() != self._process:
            # A forked child's copy: everything is the parent's.
            return
        with self._writing:
            if self._closed:
                return
            self._closed = True
            deadline = time.monotonic() + min(_CLOSE_TIMEOUT, self._timeout)
            while self._semaphores.operate(_ALL_READ) is Outcome.TIMED_OUT:
                self._release_dead_readers()
                if time.monotonic() > deadline:
                    break
            # Before the socket: the next file may get its inode, and so its keys.
            self._segment.discard()
            self._semaphores.discard()
            if self.path.exists() and self.path.stat().st_ino == self._inode:
                self.path.unlink()
            self._wake.send(b"!")
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy {self!r}: make a Writer of the same path in the process that writes")

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.clients} readers"
        return f"<Writer {os.fspath(self.path)!r} {state}>"

    def _check_size(self, size: int) -> None:
        limit = max_segment()
        if size > limit:
            raise FrameSizeError(
                f"{self.path}: a frame of {size} bytes is more than one segment of shared memory can hold "
                f"({limit}, kernel.shmmax)"
            )

    def _enter(self) -> None:
        start = 0.0
        while True:
            outcome = self._semaphores.operate(_ENTER)
            if outcome is DONE:
                return
            start = start or time.monotonic()
            if outcome is Outcome.REMOVED:
                # Somebody has taken our set for a dead writer's.
                self._renew()
                continue
            self._release_dead_readers()
            if time.monotonic() - start > min(
                self._timeout, _DEAD_READER_TIMEOUT if self._reader_died else self._timeout
            ):
                readers = self.clients
                self._renew()
                self.evictions += 1
                self._wait_for(readers - 1)
                start = 0.0

    def _release_dead_readers(self) -> None:
        """Finish for readers that are certainly dead.

        They left the announcement unread, or the counter exceeds those who can still finish by themselves.
        """
        with self._lock:
            alive = sum(client.announced for client in self._clients) + self._finishing
            readers = self._semaphores.readers()
            surplus = min(max(readers - alive, self._unread), readers)
            self._unread = 0
            if surplus > 0 and not self._semaphores.has_writer():
                self._semaphores.operate(Operation(Step(READERS, -surplus, at_once=True)))

    def _renew(self) -> None:
        """Go on without readers that do not finish, with new objects, which the living find when they come back.

        Merely lowering the counter would be wrong for a reader that is stopped: it finishes later, for a frame that it
        did not read.
        """
        with self._lock:
            size = self._segment.size
            # Before the good-bye: a reader that comes back at once would find the old ones.
            self._segment.discard()
            self._semaphores.discard()
            remove(self._keys)
            self._semaphores = Semaphores.create(self._keys.semaphores, self._mode)
            self._segment = Segment.create(self._keys.segment, size, self._mode)
            self._memory = self._segment.memory()
            for client in self._clients:
                _send(client.socket, dialect.QUIT)
                client.socket.close()
            self._clients.clear()
            self._finishing = self._unread = 0
            self._reader_died = False
        self._wake.send(b".")

    def _wait_for(self, readers: int) -> None:
        """Give readers a moment to come back, so that the next frame is not lost to them."""
        deadline = time.monotonic() + _RECONNECT_TIMEOUT
        while self.clients < readers and time.monotonic() < deadline:
            time.sleep(0.002)

    def _put(self, size: int, fill: Callable[[memoryview], object]) -> int:
        if size > self._segment.size:
            # Larger than any frame before, so that readers who go by the size of a frame attach anew, too.
            self._segment.discard()
            self._segment = Segment.create(self._keys.segment, size, self._mode)
            self._memory = self._segment.memory()
        fill(self._memory[:size])
        message = _update_message(size)
        announced = 0
        with self._lock:
            self._finishing = self._unread = 0
            self._reader_died = False
            for client in self._clients:
                client.announced = client.acknowledged and _send(client.socket, message)
                announced += client.announced
            if announced:
                self._semaphores.operate(_count(announced))
        return announced

    def _serve(self) -> None:
        """The writer's thread: greets readers and notices when they leave, until the bell rings."""
        while True:
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                selector.register(self._listener, selectors.EVENT_READ)
                with self._lock:
                    for client in self._clients:
                        selector.register(client.socket, selectors.EVENT_READ, client)
                ready = [key for key, _ in selector.select()]
            for key in ready:
                if key.fileobj is self._woken:
                    if b"!" in self._woken.recv(64):
                        self._dismiss_all()
                        return
                elif key.fileobj is self._listener:
                    self._greet()
                else:
                    self._receive(key.data)

    def _greet(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        if _send(connection, self._greeting):
            with self._lock:
                self._clients.append(_Client(connection))
        else:
            connection.close()

    def _receive(self, client: _Client) -> None:
        unread = False
        try:
            message = client.socket.recv(dialect.CONNECT_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message, unread = b"", True
        with self._lock:
            if client not in self._clients:
                return
            if unread and client.announced:
                # It died before it read the announcement, so it never promised the kernel to finish.
                self._unread += 1
            elif not message:
                self._reader_died |= client.announced
            # An acknowledgement repeats the greeting; who says something else would never finish a frame.
            came = bool(message) and not client.acknowledged and self._greeting.startswith(message)
            if came:
                client.acknowledged = True
            else:
                if message and client.acknowledged:
                    # Anything from a connected reader is its good-bye. It still finishes what was announced to it.
                    _send(client.socket, dialect.QUIT)
                    self._finishing += client.announced
                self._clients.remove(client)
                client.socket.close()
        if came or client.acknowledged:
            self._on_client(came)

    def _dismiss_all(self) -> None:
        with self._lock:
            for client in self._clients:
                _send(client.socket, dialect.QUIT)
                client.socket.close()
            self._clients.clear()
        for end in (self._listener, self._wake, self._woken):
            end.close()


def resolve(path: str | os.PathLike[str] | None, label: str | None, group: str) -> Path:
    """The path that is meant: given as such, or as label and group."""
    if path is not None:
        return Path(path)
    if label is None:
        raise TypeError("neither a path nor a label was given")
    return dialect.address(label, group)


def _copy(data: memoryview, target: memoryview) -> None:
    if len(data) < _SMALL:
        target[:] = data
    else:
        np.copyto(np.asarray(target), np.asarray(data))


@functools.lru_cache
def _update_message(size: int) -> bytes:
    """Announces a frame of so many bytes."""
    return dialect.update_message(size)


@functools.cache
def _count(readers: int) -> Operation:
    """Counts readers that were announced of a frame."""
    return Operation(Step(READERS, readers))


def _send(connection: socket.socket, message: bytes) -> bool:
    """Send a message in one piece; False if it does not go through at once: to a reader that reads it always does."""
    try:
        return connection.send(message, _AT_ONCE) == len(message)
    except OSError:
        return False


def _claim(path: Path, size: int, mode: int) -> tuple[socket.socket, Segment, Semaphores]:
    """Bind the path and create segment and semaphores at its keys."""
    aside: list[Path] = []
    try:
        while True:
            _remove_dead_writer(path)
            listener = _bind(path, mode)
            keys = dialect.keys_of(path)
            remove_if_dead(keys)
            try:
                segment = Segment.create(keys.segment, size, mode)
                try:
                    return listener, segment, Semaphores.create(keys.semaphores, mode)
                except OSError:
                    segment.discard()
                    raise
            except FileExistsError:
                listener.close()
                if len(aside) >= _KEY_ATTEMPTS:
                    path.unlink()
                    raise
                # A live writer elsewhere has the same keys by chance: they hold 16 bits of the inode only. The inode
                # stays in use until another one is found.
                aside.append(path.rename(f"{path}.{len(aside)}"))
            except OSError:
                listener.close()
                path.unlink()
                raise
    finally:
        for leftover in aside:
            leftover.unlink(missing_ok=True)


def _remove_dead_writer(path: Path) -> None:
    """Remove the socket of a dead writer with the objects at its keys; refuse whatever else lies at the path."""
    if not dialect.refuse_other_files(path):
        return
    keys = dialect.keys_of(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            remove(keys)
            return
        except OSError as error:
            raise dialect.refused(path, error) from None
        _read_greeting(probe)
    raise WriterIsAliveError(f"{path} has a writer already; stop it or choose another path")


def _read_greeting(probe: socket.socket) -> None:
    """Read a live writer's greeting and go, as a reader that was never there.

    An acknowledgement would make the writer wait for this process at its next frame. One that is left with its greeting
    unread never recovers (Shmdata 1.3.77).
    """
    with suppress(OSError):
        dialect.receive_greeting(probe)


def _bind(path: Path, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode of the socket becomes the mode of its file, from the first moment on.
        os.fchmod(listener.fileno(), mode)
        listener.bind(os.fspath(path))
        path.chmod(mode)
        listener.listen(10)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise dialect.refused(path, error) from None
    return listener
