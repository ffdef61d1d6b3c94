"""Folders that keep this process from taking part in a domain."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .domain import DOMAIN_VARIABLE, Domain
from .explain import Obstacle, words_of
from .limits import HOUSEKEEPING, descriptors, file_size

# Bytes written to see whether a file can be written: one page.
_PAGE: Final = bytes(4096)

_USE_ANOTHER: Final = f"use another domain ({DOMAIN_VARIABLE}=/path/of/yours)"
_ANOTHER: Final = f"or {_USE_ANOTHER}"


def in_folders(domain: Domain) -> Obstacle | None:
    """Check that the folders of a domain are real folders of this user or root; missing ones are fine."""
    root = Path(domain.root)
    try:
        link = root.lstat()
        if stat.S_ISLNK(link.st_mode):
            if link.st_uid not in _trusted():
                return _foreign(root, link)
            if not os.path.lexists(os.path.realpath(root)):
                target = os.readlink(root)
                return Obstacle("domain", f"{root} is a symbolic link to {target}, which does not exist; {_make(root)}")
        found = _unsuitable(root, root.stat())
    except OSError as exc:
        return None if exc.errno == errno.ENOENT else _refused(root, exc)
    for folder in (domain.services, domain.nodes):
        try:
            found = found or _unsuitable(folder, folder.lstat())
        except OSError as exc:
            found = found or (None if exc.errno == errno.ENOENT else _refused(folder, exc))
    return found or next(_links(domain.nodes), None)


def _unsuitable(folder: Path, status: os.stat_result) -> Obstacle | None:
    if stat.S_ISLNK(status.st_mode):
        return Obstacle("domain", f"{folder} is a symbolic link, where iceoryx2 makes a folder; remove it, {_ANOTHER}")
    if not stat.S_ISDIR(status.st_mode):
        return Obstacle("domain", f"{folder} is not a folder; remove it, {_ANOTHER}")
    if status.st_uid not in _trusted():
        return _foreign(folder, status)
    return None if os.access(folder, os.R_OK | os.X_OK) else _closed(folder)


def _links(nodes: Path) -> Iterator[Obstacle]:
    """Symbolic links where iceoryx2 creates a folder for each node."""
    with contextlib.suppress(OSError), os.scandir(nodes) as found:
        for item in found:
            if item.is_symlink():
                yield from filter(None, (_unsuitable(Path(item.path), item.stat(follow_symlinks=False)),))


def _trusted() -> tuple[int, int]:
    """Users whose folders may be used: their links are followed, and their files are removed after a crash."""
    return os.geteuid(), 0


def _foreign(folder: Path, status: os.stat_result) -> Obstacle:
    return Obstacle(
        "permission",
        f"{folder} belongs to user {status.st_uid} (this process runs as {os.geteuid()}); "
        f"run all participants as one user, {_ANOTHER}",
    )


def _make(folder: Path) -> str:
    return f"make it, remove {folder}, {_ANOTHER}"


def writing(domain: Domain) -> Obstacle | None:
    """Try to create what a participant creates: the folders, a file in each, a socket."""
    root = Path(domain.root)
    missing = [folder for folder in (root, *root.parents) if not os.path.lexists(folder)]
    for folder in (*reversed(missing), domain.services, domain.nodes):
        try:
            # Source: iceoryx2's own mode, on disk.
            folder.mkdir(0o750, exist_ok=True)
        except OSError as exc:
            return _refused(folder, exc)
    # Not a name of iceoryx2's, so no clean-up takes the file for iceoryx2's.
    name = f"probe{os.getpid()}_{time.monotonic_ns()}"
    for folder in (domain.services, domain.nodes, root):
        probe = folder / name
        try:
            with contextlib.ExitStack() as made:
                descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
                made.callback(os.unlink, probe)
                made.callback(os.close, descriptor)
                os.write(descriptor, _PAGE)
        except OSError as exc:
            return _refused(folder, exc)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.bind(str(root / name))
            os.unlink(root / name)
    except OSError as exc:
        return _refused(root, exc)
    return None


def reading(file: Path) -> Obstacle | None:
    """Check that this user can read a file; a file that does not exist is fine."""
    try:
        status = file.lstat()
    except OSError as exc:
        return None if exc.errno == errno.ENOENT else _refused(file, exc)
    return None if os.access(file, os.R_OK) else _foreign(file, status)


def _refused(path: Path, error: OSError) -> Obstacle:
    """Explain why the operating system refused to create, enter or write a path."""
    number = error.errno or 0
    if number in (errno.EACCES, errno.EPERM):
        return _closed(path)
    if number in (errno.EMFILE, errno.ENFILE):
        return descriptors() or Obstacle("limit", f"{path} cannot be opened: {words_of(number)}")
    if number == errno.EFBIG:
        return file_size(HOUSEKEEPING) or Obstacle("limit", f"{path} cannot be written: {words_of(number)}")
    text = {
        errno.EROFS: f"{_nearest(path)} is on a read-only file system; mount it writable, {_ANOTHER}",
        errno.ENOSPC: f"the file system of {_nearest(path)} {_fullness(_nearest(path))}, {_ANOTHER}",
        errno.EDQUOT: f"the disk quota of user {os.geteuid()} on {_nearest(path)} is used up; remove files, {_ANOTHER}",
        errno.ENOTDIR: f"{_nearest(path)} is not a folder; remove it, {_ANOTHER}",
        errno.EEXIST: f"{_nearest(path)} is not a folder; remove it, {_ANOTHER}",
        errno.ELOOP: f"{path} is a symbolic link that leads to itself; remove it, {_ANOTHER}",
        errno.ENAMETOOLONG: f"a name in {path} is longer than its file system takes; {_USE_ANOTHER}",
    }.get(number)
    if text is None:
        text = f"{path} cannot be used: {words_of(number)}; {_USE_ANOTHER} on a local disk where sockets can be made"
    return Obstacle("domain", text)


def _fullness(path: Path) -> str:
    with contextlib.suppress(OSError):
        status = os.statvfs(path)
        if status.f_files and not status.f_favail:
            return f"has its {status.f_files} files; remove some"
    return "is full; remove what fills it"


def _nearest(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    return next((one for one in (path, *path.parents) if os.path.lexists(one)), path)


def _closed(path: Path) -> Obstacle:
    """Name the first folder of a path that this user cannot enter, or the last folder if it cannot be written."""
    way = [*reversed(path.parents), path]
    # If all folders can be entered, the last one cannot be read or written.
    shut = next((one for one in way if os.path.isdir(one) and not os.access(one, os.X_OK)), _nearest(path))
    try:
        status = shut.stat()
    except OSError:
        shut, status = Path("/"), Path("/").stat()
    if status.st_uid != os.geteuid():
        return _foreign(shut, status)
    return Obstacle(
        "permission",
        f"{shut} has the mode {stat.S_IMODE(status.st_mode):04o}, which keeps its own user {status.st_uid} out; "
        f"chmod 0700 {shut}, {_ANOTHER}",
    )
