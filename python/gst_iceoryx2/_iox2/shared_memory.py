"""Shared memory that keeps this process from taking part in a domain."""

from __future__ import annotations

import os
import stat
import struct
import time
from pathlib import Path
from typing import Final

from ..contract import message, seconds
from .domain import Domain
from .explain import RELEASE, Obstacle, words_of
from .limits import HOUSEKEEPING
from .objects import SHARED_MEMORY, node_counter

# Time that the first participant with a prefix may take to create the node counter.
_CREATION_TIMEOUT: Final = seconds("first_participant")
# Two 8-byte numbers. The first is the release: major, minor and patch, 16 bits each, from bit 32 down.
_COUNTER: Final = struct.Struct("<QQ")
_COUNTER_RELEASE: Final = 10 << 16


def in_shared_memory(domain: Domain) -> Obstacle | None:
    """Check that /dev/shm exists, is writable and not full, and that its node counter for this prefix is usable."""
    if os.uname().sysname != "Linux":
        return None
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError as exc:
        return Obstacle("memory", message("no_shared_memory", cause=words_of(exc.errno or 0)))
    if status.f_flag & os.ST_RDONLY:
        return Obstacle("memory", message("read_only_shared_memory"))
    if not os.access(SHARED_MEMORY, os.R_OK | os.W_OK | os.X_OK):
        return Obstacle("memory", message("closed_shared_memory", mode=_mode(SHARED_MEMORY.stat()), user=os.geteuid()))
    free = status.f_bavail * status.f_frsize
    # A tmpfs without a limit has neither blocks nor inodes.
    if status.f_blocks and free < HOUSEKEEPING:
        return Obstacle("memory", message("full_shared_memory", needed=HOUSEKEEPING, free=free))
    if status.f_files and not status.f_favail:
        return Obstacle("memory", message("no_more_shared_memory_files", limit=status.f_files))
    return _in_node_counter(domain)


def _in_node_counter(domain: Domain) -> Obstacle | None:
    """Check the object that all participants with a prefix open: iceoryx2 waits indefinitely while it is empty."""
    path = node_counter(domain)
    deadline = time.monotonic() + _CREATION_TIMEOUT
    while True:
        try:
            status = path.lstat()
        except OSError:
            return None
        fault = _fault_of(path, status)
        if fault is None:
            return None
        is_old = time.time() - status.st_mtime > _CREATION_TIMEOUT
        if is_old or not stat.S_ISREG(status.st_mode) or time.monotonic() > deadline:
            break
        # The first participant may be creating it.
        time.sleep(0.005)
    owner, user = status.st_uid, os.geteuid()
    text = message(
        "node_counter", path=path, prefix=domain.prefix, fault=fault, owner=owner, user=user, root=domain.root
    )
    return Obstacle("domain" if owner == user else "permission", text)


def _fault_of(path: Path, status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return message("counter_is_no_file")
    if status.st_size < _COUNTER.size:
        return message("counter_is_short", size=status.st_size, expected=_COUNTER.size)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        return message("counter_is_closed", mode=_mode(status))
    except OSError:
        # The file was removed, or there is another problem, such as too few file descriptors.
        return None
    try:
        content = os.read(descriptor, _COUNTER.size)
    finally:
        os.close(descriptor)
    is_whole = len(content) == _COUNTER.size and _COUNTER.unpack(content)[0] == _COUNTER_RELEASE
    return None if is_whole else message("counter_is_foreign", release=RELEASE)


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
