"""The files of rings (SPEC.md section 12): for each ring, a socket and a lock file in the domain's folder.

A ring holds the lock as long as it lives, also for processes in other containers. The files of a ring that was killed
are removed by the next ring of its name, by a reader that finds it dead, by the next supervisor, and by `doctor --fix`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .domain import Domain
from .files import names, remove

_SOCKET: Final = ".sock"
_LOCK: Final = ".lock"
_BACKLOG: Final = 16
# A process that removes the files of a dead ring holds its lock for a moment. Both in seconds.
_PATIENCE: Final = 0.2
_LOOK: Final = 0.01


def ring_socket(domain: Domain, service: str) -> Path:
    """Return the path of the socket on which the ring of a service of packets answers."""
    digest = hashlib.sha1(service.encode(), usedforsecurity=False).hexdigest()[:16]
    return Path(domain.root, f"{_start_of(domain)}{digest}{_SOCKET}")


@contextlib.contextmanager
def listening(domain: Domain, service: str) -> Iterator[socket.socket | None]:
    """Listen as the ring of a service, and remove its files at the end of the block.

    Yields:
        The socket, which does not block and belongs to the caller; None if another process keeps this ring.

    Raises:
        OSError: The folder cannot be written, or its path is too long for a socket.
    """
    path = ring_socket(domain, service)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + _PATIENCE
    while (lock := _locked(path.with_suffix(_LOCK))) is None and time.monotonic() < deadline:
        time.sleep(_LOOK)
    if lock is None:
        yield None
        return
    try:
        # A ring that was killed has left it.
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as server:
            # The mode of the socket decides the mode of its file.
            os.fchmod(server.fileno(), 0o600)
            server.bind(os.fspath(path))
            server.listen(_BACKLOG)
            server.setblocking(False)
            yield server
    finally:
        _dispose(path, lock)


def dead_rings(domain: Domain) -> list[Path]:
    """Return the sockets of rings that were killed; a path may be missing if only the lock file is left."""
    pattern = re.compile(rf"({re.escape(_start_of(domain))}[0-9a-f]{{16}})(?:{_SOCKET}|{_LOCK})")
    stems = {match[1] for match in map(pattern.fullmatch, names(domain.root)) if match is not None}
    return [path for path in (Path(domain.root, stem + _SOCKET) for stem in sorted(stems)) if not _is_kept(path)]


def remove_dead_ring(path: Path) -> None:
    """Remove the files of a ring, given its socket, unless a process keeps it. Errors are ignored."""
    with contextlib.suppress(OSError):
        if path.exists() or path.with_suffix(_LOCK).exists():
            lock = _locked(path.with_suffix(_LOCK))
            if lock is not None:
                _dispose(path, lock)


def remove_dead_rings(domain: Domain) -> None:
    """Remove the files of all rings that were killed."""
    for path in dead_rings(domain):
        remove_dead_ring(path)


def _dispose(path: Path, lock: int) -> None:
    """Remove the files of a ring whose lock this process holds, and release the lock."""
    remove((path, path.with_suffix(_LOCK)))
    os.close(lock)


def _is_kept(path: Path) -> bool:
    """Return whether a process holds the lock of a ring, or whether that cannot be found out."""
    try:
        lock = _locked(path.with_suffix(_LOCK), create=0)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    if lock is not None:
        os.close(lock)
    return lock is None


def _locked(path: Path, create: int = os.O_CREAT) -> int | None:
    """Lock a file, which is created if necessary; return its descriptor, or None if another process has locked it."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | create, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its former owner may have removed it in between.
            if os.fstat(lock).st_nlink:
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _start_of(domain: Domain) -> str:
    return f"{domain.prefix}ring_"
