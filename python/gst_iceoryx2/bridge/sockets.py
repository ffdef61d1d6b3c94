"""Unix sockets that connect the bridges of one user if no endpoints are given.

Each bridge listens on its own socket in a common folder, and connects to all other sockets in the folder. It locks the
folder from before it searches until it listens, so a later bridge always finds an earlier one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .errors import NetworkError

_NAME: Final = re.compile(r"([0-9a-f]{16})(\.lock)?")
# Zenoh creates a lock file next to each socket.
_LOCK: Final = ".lock"
# Starting takes milliseconds, but a bridge that is suspended while it starts keeps the lock.
_PATIENCE: Final = 20.0
_LOOK: Final = 0.02
_REMEDY: Final = "or give all bridges endpoints (--listen, --connect)"


def own_folder() -> Path:
    """Return the folder for this user's sockets. It is the same in all sessions and domains.

    The name is short, because socket paths have a length limit.
    """
    return Path(f"/tmp/iox2-video-bridges-{os.geteuid()}")


@contextlib.contextmanager
def meeting(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Lock the folder and find the running bridges. The caller opens the Zenoh session within the block.

    Sockets left by killed bridges are removed.

    Args:
        folder: Folder that contains the sockets; created if it does not exist.

    Yields:
        The Zenoh endpoint to listen on, and the endpoints to connect to.

    Raises:
        NetworkError: The folder cannot be used, or another bridge has kept it locked for 20 s.
    """
    descriptor = _open(folder)
    try:
        _lock(descriptor, folder)
        living = _living(folder)
        yield _endpoint(folder / secrets.token_hex(8)), [_endpoint(path) for path in living]
    finally:
        os.close(descriptor)


def _endpoint(path: Path) -> str:
    return f"unixsock-stream/{path}"


def _open(folder: Path) -> int:
    """Open the folder. Raises NetworkError if other users can enter it."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        fault = _fault(status, folder)
        if fault is None:
            return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as exc:
        fault = f"{exc.strerror}; make it a folder that you can write to"
    raise NetworkError(f"bridges of user {os.geteuid()} cannot use {folder}: {fault}, {_REMEDY}")


def _fault(status: os.stat_result, folder: Path) -> str | None:
    """Return why a folder cannot be used and what to do; None if it can be used."""
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}; ask that user or root to remove it"
    if not stat.S_ISDIR(status.st_mode):
        return "it is a file or a symbolic link; remove it"
    if mode & 0o077:
        return f"other users can enter it (mode {mode:03o}); run `chmod 700 {folder}`"
    return None


def _lock(descriptor: int, folder: Path) -> None:
    """Lock the folder until the descriptor is closed or the process ends."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise NetworkError(
                    f"bridges of user {os.geteuid()} cannot use {folder}: a bridge that is starting has locked it for "
                    f"{_PATIENCE:g} s; find the process with `fuser {folder}` and end it"
                ) from None
            time.sleep(_LOOK)
        else:
            return


def _living(folder: Path) -> list[Path]:
    """Return the sockets of running bridges, and remove all other sockets."""
    found = {match[1] for name in os.listdir(folder) if (match := _NAME.fullmatch(name))}
    living = [path for path in (folder / name for name in sorted(found)) if _is_listening(path)]
    for name in found - {path.name for path in living}:
        for path in (folder / name, folder / f"{name}{_LOCK}"):
            path.unlink(missing_ok=True)
    return living


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            # The process is suspended, and its queue is full.
            return True
    return True
