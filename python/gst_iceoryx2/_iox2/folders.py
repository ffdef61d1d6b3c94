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

from ..contract import message
from .domain import Domain
from .explain import Obstacle, words_of

# Content of a file that is written as a test: one page.
_PAGE: Final = bytes(4096)

_REFUSALS: Final = {
    errno.EROFS: "read_only_disk",
    errno.ENOTDIR: "not_a_folder",
    errno.EEXIST: "not_a_folder",
    errno.ELOOP: "circular_link",
}
"""Messages that name the nearest existing folder."""


def in_folders(domain: Domain) -> Obstacle | None:
    """Check that a domain's folders are real folders that belong to this user or root; missing folders are fine."""
    root = Path(domain.root)
    try:
        link = root.lstat()
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in _trusted():
            return _foreign(root, link)
        found = _unsuitable(root, root.stat())
    except FileNotFoundError:
        if not os.path.islink(root):
            return None
        return Obstacle("domain", message("dangling_link", path=root, target=os.readlink(root)))
    except OSError as exc:
        return _refused(root, exc)
    for folder in (domain.services, domain.nodes):
        try:
            found = found or _unsuitable(folder, folder.lstat())
        except OSError as exc:
            found = found or (None if exc.errno == errno.ENOENT else _refused(folder, exc))
    return found or next(_links(domain.nodes), None)


def _unsuitable(folder: Path, status: os.stat_result) -> Obstacle | None:
    if stat.S_ISLNK(status.st_mode):
        return Obstacle("domain", message("planted_link", path=folder))
    if not stat.S_ISDIR(status.st_mode):
        return Obstacle("domain", message("not_a_folder", path=folder))
    if status.st_uid not in _trusted():
        return _foreign(folder, status)
    return None if os.access(folder, os.R_OK | os.X_OK) else _closed(folder)


def _links(nodes: Path) -> Iterator[Obstacle]:
    """Yield an obstacle for each symbolic link in the folder in which iceoryx2 creates a folder for each node."""
    with contextlib.suppress(OSError), os.scandir(nodes) as found:
        for item in found:
            if item.is_symlink():
                yield from filter(None, (_unsuitable(Path(item.path), item.stat(follow_symlinks=False)),))


def _trusted() -> tuple[int, int]:
    """Return the trusted users: iceoryx2 follows links in their folders, and a clean-up removes their files."""
    return os.geteuid(), 0


def _foreign(path: Path, status: os.stat_result) -> Obstacle:
    return Obstacle("permission", message("foreign_path", path=path, owner=status.st_uid, user=os.geteuid()))


def writing(domain: Domain) -> Obstacle | None:
    """Try to create everything that a participant creates: the folders, a file in each folder, and a socket."""
    root = Path(domain.root)
    missing = [folder for folder in (root, *root.parents) if not os.path.lexists(folder)]
    for folder in (*reversed(missing), domain.services, domain.nodes):
        try:
            # The same mode as iceoryx2. Source: 0.10.0, on disk.
            folder.mkdir(0o750, exist_ok=True)
        except OSError as exc:
            return _refused(folder, exc)
    # iceoryx2 uses no such names, so no clean-up removes the file.
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
    """Check that this user can read a file; a missing file is fine."""
    try:
        status = file.lstat()
    except OSError as exc:
        return None if exc.errno == errno.ENOENT else _refused(file, exc)
    return None if os.access(file, os.R_OK) else _foreign(file, status)


def _refused(path: Path, error: OSError) -> Obstacle:
    """Explain why the operating system refused to create, enter or write a path."""
    number, near = error.errno or 0, _nearest(path)
    if number in (errno.EACCES, errno.EPERM):
        return _closed(path)
    if number == errno.ENOSPC:
        return Obstacle("domain", _fullness(near))
    if number in _REFUSALS:
        return Obstacle("domain", message(_REFUSALS[number], path=near))
    return Obstacle("domain", message("unusable_path", path=path, cause=words_of(number)))


def _fullness(path: Path) -> str:
    with contextlib.suppress(OSError):
        status = os.statvfs(path)
        if status.f_files and not status.f_favail:
            return message("no_more_files", path=path, limit=status.f_files)
    return message("full_disk", path=path)


def _nearest(path: Path) -> Path:
    """Return the path, or its nearest existing parent."""
    return next((one for one in (path, *path.parents) if os.path.lexists(one)), path)


def _closed(path: Path) -> Obstacle:
    """Name the first folder in a path that this user cannot enter, or else the last folder, which is not writable."""
    way = [*reversed(path.parents), path]
    # If all folders can be entered, the last one cannot be read or written.
    shut = next((one for one in way if os.path.isdir(one) and not os.access(one, os.X_OK)), _nearest(path))
    try:
        status = shut.stat()
    except OSError:
        return Obstacle("permission", message("closed_target", path=shut, user=os.geteuid()))
    if status.st_uid != os.geteuid():
        return _foreign(shut, status)
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    return Obstacle("permission", message("closed_folder", path=shut, mode=mode, user=status.st_uid))
