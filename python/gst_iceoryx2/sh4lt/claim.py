"""Claim a path for a writer: remove a dead writer's socket, segment and semaphores, then create new ones."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from . import dialect
from .errors import FrameSizeError, WriterIsAliveError
from .paths import error_of_use, is_socket
from .sysv import Segment, Semaphores, max_segment, remove, remove_if_dead

# Longest time to wait for the greeting of another writer on the path, in seconds.
_PROBE_TIMEOUT: Final = 1.0
# Number of attempts to get a socket file whose keys are not used by another writer.
_KEY_ATTEMPTS: Final = 16


def claim(path: Path, size: int, mode: int) -> tuple[socket.socket, dialect.Keys, Segment, Semaphores]:
    """Bind the path, and create the segment and semaphores with the keys derived from it.

    Raises:
        AddressError: Something other than a socket exists at the path.
        WriterIsAliveError: Another writer is alive on the path.
        FrameSizeError: `size` is above the kernel's limit.
        OSError: The operating system refused a call.
    """
    check_size(path, size)
    return _attempt(path, size, mode, 0)


def _attempt(path: Path, size: int, mode: int, number: int) -> tuple[socket.socket, dialect.Keys, Segment, Semaphores]:
    _remove_dead_writer(path)
    listener = _listen(path, mode)
    keys = dialect.keys_of(path)
    remove_if_dead(keys)
    segment = None
    try:
        segment = Segment.create(keys.segment, size, mode)
        return listener, keys, segment, Semaphores.create(keys.semaphores, mode)
    except OSError as error:
        listener.close()
        if segment is not None:
            segment.discard()
        if not isinstance(error, FileExistsError) or number == _KEY_ATTEMPTS:
            path.unlink()
            raise
    # A writer on another path has the same keys, because keys contain only 16 bits of the inode number. Renaming the
    # socket keeps its inode in use, so that the next socket gets a different inode.
    aside = path.rename(f"{path}.{number}")
    try:
        return _attempt(path, size, mode, number + 1)
    finally:
        aside.unlink()


def check_size(path: Path, size: int) -> None:
    """Check that `size` bytes fit into one segment.

    Raises:
        FrameSizeError: `size` is above the kernel's limit.
    """
    limit = max_segment()
    if size > limit:
        raise FrameSizeError(
            f"{path}: a frame of {size} bytes exceeds the size limit for a shared memory segment "
            f"({limit} bytes); raise kernel.shmmax"
        )


def _remove_dead_writer(path: Path) -> None:
    """Remove a dead writer's socket, segment and semaphores. Raise an error if anything else exists at the path."""
    if not is_socket(path):
        return
    # Compute the keys before the file is removed, because they contain its inode number.
    keys = dialect.keys_of(path)
    alive = WriterIsAliveError(f"{path} already has a writer; stop it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            remove(keys)
            return
        except BlockingIOError:
            # The connection queue is full, so the writer is alive but stopped.
            raise alive from None
        except OSError as error:
            raise error_of_use(path, error) from None
        # Read the greeting, because a Shmdata 1.3.77 writer never recovers if it stays unread. Do not acknowledge it,
        # because the writer would then wait for this process at its next frame.
        with suppress(OSError):
            dialect.receive_greeting(probe)
    raise alive


def _listen(path: Path, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The socket's mode becomes the file's mode, so the file is never accessible to more users. The umask can only
        # restrict it further.
        os.fchmod(listener.fileno(), mode)
        listener.bind(os.fspath(path))
        # Set the mode before `listen`, because connections are refused until then.
        path.chmod(mode)
        listener.listen(10)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise error_of_use(path, error) from None
    return listener
