"""The writer of a path."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from .._wire.numbers import real, whole
from . import dialect, lockstep, score
from .claim import check_size, claim
from .errors import Sh4ltClosedError
from .paths import DEFAULT_GROUP, prepare_folder, resolve
from .readers import Readers
from .sysv import DONE, Outcome, Segment, Semaphores, remove

# Longest time that close() waits for the last frame to be read, in seconds.
_CLOSE_TIMEOUT: Final = 0.2
# Time that readers get to reconnect after the objects are replaced, in seconds. Shmdata's readers try every 30 ms.
_RECONNECT_TIMEOUT: Final = 0.3
# Longest time that the writer waits for the readers of a frame after one of them died, in seconds. The dead reader may
# have read the announcement but died before its promise to the kernel, which cannot be detected.
_DEAD_READER_TIMEOUT: Final = 0.3
# For frames smaller than this (in bytes), starting a numpy copy takes longer than a plain copy holds the GIL.
_SMALL: Final = 1 << 20


class Writer:
    """Share frames with all readers of a path, one frame at a time.

    The writer waits until every reader has released a frame before it writes the next one. It does not wait for dead
    readers, and it waits at most `reader_timeout` for a stuck reader. If a previous writer on the path died, its
    socket, segment and semaphores are removed.

    Args:
        path: Path of the socket, at most 107 bytes; None if you pass a label.
        datatype: Type text that readers receive, at most 4095 bytes; by convention, caps. In raw-video caps, the type
            of each value is added, and `framerate=(fraction)30/1` if the frame rate is missing, because ossia score
            requires both.
        label: Name of the stream, to be used instead of a path (see `address`).
        group: Group of the label.
        initial_size: Initial size of the segment in bytes. It grows when a frame does not fit.
        mode: Permissions of the socket, segment and semaphores.
        reader_timeout: Seconds that readers may hold a frame before the writer continues without them.
        on_client: Called from the writer's thread, with True when a reader connects and with False when it disconnects.

    Raises:
        AddressError: The path is too long, or something other than a socket exists there.
        WriterIsAliveError: Another writer is alive on the path. It is unaffected.
        TypeTextError: The type text is too long or contains a NUL.
        FrameSizeError: `initial_size` is above the kernel's limit.
        OSError: The operating system refused a call; PermissionError if the path belongs to another user.
        ValueError: A number is out of range or NaN.
        TypeError: An argument has the wrong type, or neither a path nor a label was given.

    Example:
        Write one picture for all connected readers:

            import numpy as np
            from gst_iceoryx2.sh4lt import Writer

            caps = "video/x-raw, format=RGBA, width=640, height=480"
            with Writer("/tmp/score_shmdata_input", caps) as writer:
                readers = writer.write(np.zeros((480, 640, 4), np.uint8))
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        datatype: str = "",
        *,
        label: str | None = None,
        group: str = DEFAULT_GROUP,
        initial_size: int = 1,
        mode: int = 0o600,
        reader_timeout: float = 1.0,
        on_client: Callable[[bool], object] | None = None,
    ) -> None:
        initial_size, mode = whole(initial_size, "initial_size"), whole(mode, "mode", 0, 0o777)
        self._timeout = real(reader_timeout, "reader_timeout", "seconds")
        if self._timeout < 0:
            raise ValueError(f"reader_timeout is {reader_timeout}, but must be at least 0 seconds")
        self.path = resolve(path, label, group)
        """Path of the socket."""
        if path is None:
            prepare_folder(self.path)
        self.datatype = score.type_text(datatype)
        """The type text that readers receive."""
        dialect.check_type(self.datatype)
        self._mode = mode
        self._on_client = on_client or (lambda _: None)
        listener, self._keys, self._segment, self._semaphores = claim(self.path, initial_size, mode)
        self._memory = self._segment.memory()
        self._inode = self.path.stat().st_ino
        self._process = os.getpid()
        self._writing = threading.Lock()
        self._closed = False
        self.evictions = 0
        """Number of times that the writer continued without readers that had not released a frame in time."""
        greeting = dialect.connect_message(self.datatype, self._segment.size)
        self._readers = Readers(listener, greeting, self._on_client)

    @property
    def clients(self) -> int:
        """Number of connected readers."""
        return self._readers.count()

    def write(self, frame: Any) -> int:
        """Copy a frame into the segment and announce it, once every reader has released the previous frame.

        Args:
            frame: Any object with a buffer, such as bytes, a memoryview or a numpy array. The rows of an array are
                packed without padding.

        Returns:
            Number of readers that received the announcement.

        Raises:
            FrameSizeError: The frame is larger than the kernel's limit for one segment.
            Sh4ltClosedError: The writer was closed.
        """
        data = memoryview(frame)
        if not data.c_contiguous or data.format != "B":
            data = np.ascontiguousarray(frame).reshape(-1).view(np.uint8).data
        flat = data if data.ndim == 1 else data.cast("B")
        return self._write(flat.nbytes, lambda target: _copy(flat, target))

    def write_with(self, size: int, fill: Callable[[npt.NDArray[np.uint8]], object]) -> int:
        """Write a frame like `write`, but let `fill` write it in place, without a copy.

        Args:
            size: Size of the frame in bytes.
            fill: Called with the writable segment as an array of shape (size,), uint8. The array is only valid during
                the call.

        Returns:
            Number of readers that received the announcement.

        Raises:
            FrameSizeError: `size` is above the kernel's limit for one segment.
            Sh4ltClosedError: The writer was closed.
            ValueError: `size` is negative.
            TypeError: `size` is not a whole number.
        """
        return self._write(whole(size, "size"), lambda target: fill(np.asarray(target)))

    def retyped(self, datatype: str) -> Writer:
        """Return a writer on the same path for frames of another type.

        Readers receive the type text when they connect, so a different type text requires a new writer.

        Args:
            datatype: The type text, as for a new writer.

        Returns:
            This writer, if it already has this type text. Otherwise, a new writer; this one is closed. Readers have had
            up to 0.3 seconds to reconnect, so that they do not miss the next frame.

        Raises:
            TypeTextError: The type text is too long or contains a NUL.
            OSError: The operating system refused a call.
        """
        text = score.type_text(datatype)
        if text == self.datatype:
            return self
        # Check this before closing, so that this writer stays usable if the type text is invalid.
        dialect.check_type(text)
        readers = self.clients
        self.close()
        new = Writer(self.path, datatype, mode=self._mode, reader_timeout=self._timeout, on_client=self._on_client)
        new._wait_for(readers)
        return new

    def close(self) -> None:
        """Leave the path: wait up to 0.2 seconds for the last frame to be read, then say good-bye to every reader."""
        if os.getpid() != self._process:
            # In a forked child, all objects belong to the parent.
            return
        with self._writing:
            if self._closed:
                return
            self._closed = True
            deadline = time.monotonic() + min(_CLOSE_TIMEOUT, self._timeout)
            while self._semaphores.operate(lockstep.ALL_READ) is Outcome.TIMED_OUT and time.monotonic() < deadline:
                self._readers.release_dead(self._semaphores)
            # Remove these before the socket. The next socket may get its inode and therefore the same keys.
            self._segment.discard()
            self._semaphores.discard()
            if self.path.exists() and self.path.stat().st_ino == self._inode:
                self.path.unlink()
        self._readers.stop()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy {self!r}: create a Writer on the same path in the process that writes")

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.clients} readers"
        return f"<Writer {os.fspath(self.path)!r} {state}>"

    def _write(self, size: int, fill: Callable[[memoryview], object]) -> int:
        if size > self._segment.size:
            check_size(self.path, size)
        with self._writing:
            if self._closed:
                raise Sh4ltClosedError(f"{self.path}: the writer was closed")
            self._enter()
            try:
                # If the segment is not owned, it was removed to create a larger one, but there was not enough memory.
                if size > self._segment.size or not self._segment.is_owned:
                    # The new segment is larger than all previous frames, so even readers that only compare frame sizes
                    # attach again.
                    self._replace_segment(size)
                fill(self._memory[:size])
                return self._readers.announce(size, self._semaphores)
            finally:
                self._semaphores.operate(lockstep.LEAVE)

    def _enter(self) -> None:
        """Take the write lock: wait for the readers of the previous frame, up to the timeout."""
        start = 0.0
        while (outcome := self._semaphores.operate(lockstep.ENTER)) is not DONE:
            start = start or time.monotonic()
            if outcome is Outcome.REMOVED:
                # Another process removed the semaphores because it mistook this writer for a dead one.
                self._renew()
                continue
            self._readers.release_dead(self._semaphores)
            limit = min(self._timeout, _DEAD_READER_TIMEOUT) if self._readers.reader_died else self._timeout
            if time.monotonic() - start > limit:
                readers = self.clients
                self._renew()
                self.evictions += 1
                self._wait_for(readers - 1)
                start = 0.0

    def _renew(self) -> None:
        """Continue without stuck readers: replace the segment and semaphores, and disconnect every reader.

        Live readers reconnect and find the new objects. It is not enough to lower the counter: a stopped reader may
        continue later and lower it again for a frame that it did not read.
        """
        with self._readers.lock:
            # Replace the objects before the good-bye, because a reader that reconnects immediately would find the old
            # ones.
            self._segment.discard()
            self._semaphores.discard()
            remove(self._keys)
            self._semaphores = Semaphores.create(self._keys.semaphores, self._mode)
            self._replace_segment(self._segment.size)
            self._readers.dismiss()

    def _replace_segment(self, size: int) -> None:
        self._segment.discard()
        self._segment = Segment.create(self._keys.segment, size, self._mode)
        self._memory = self._segment.memory()

    def _wait_for(self, readers: int) -> None:
        """Wait until this many readers are connected, so that reconnecting readers do not miss the next frame."""
        deadline = time.monotonic() + _RECONNECT_TIMEOUT
        while self.clients < readers and time.monotonic() < deadline:
            time.sleep(0.002)


def _copy(data: memoryview, target: memoryview) -> None:
    if len(data) < _SMALL:
        target[:] = data
    else:
        np.copyto(np.asarray(target), np.asarray(data))
