"""Shared memory that keeps this process from taking part in a domain."""

from __future__ import annotations

import os
import stat
import struct
import time
from pathlib import Path
from typing import Final

from ..contract import seconds
from .domain import DOMAIN_VARIABLE, Domain
from .explain import RELEASE, Obstacle, words_of
from .limits import HOUSEKEEPING
from .objects import SHARED_MEMORY, node_counter

# How long the first participant of a prefix may take to create the node counter.
_CREATION_TIMEOUT: Final = seconds("first_participant")
# Two counters of 8 bytes each; the first is the release: major, minor, patch, 16 bits each from bit 32 down.
_COUNTER: Final = struct.Struct("<QQ")
_COUNTER_RELEASE: Final = 10 << 16


def in_shared_memory(domain: Domain) -> Obstacle | None:
    """Check that /dev/shm exists, is writable, has room, and has a sound node counter for this prefix."""
    if os.uname().sysname != "Linux":
        return None
    try:
        status = os.statvfs(SHARED_MEMORY)
    except FileNotFoundError:
        return Obstacle("memory", "there is no /dev/shm; mount it: mount -t tmpfs tmpfs /dev/shm")
    except OSError as exc:
        return Obstacle("memory", f"/dev/shm cannot be used: {words_of(exc.errno or 0)}")
    if status.f_flag & os.ST_RDONLY:
        return Obstacle("memory", "/dev/shm is read-only; mount it writable: mount -o remount,rw /dev/shm")
    if not os.access(SHARED_MEMORY, os.R_OK | os.W_OK | os.X_OK):
        mode = stat.S_IMODE(SHARED_MEMORY.stat().st_mode)
        return Obstacle(
            "memory",
            f"/dev/shm has the mode {mode:04o}, and user {os.geteuid()} may not write there; chmod 1777 /dev/shm",
        )
    free = status.f_bavail * status.f_frsize
    # A tmpfs without a limit has neither blocks nor inodes.
    if status.f_blocks and free < HOUSEKEEPING:
        return Obstacle(
            "memory",
            f"it needs {HOUSEKEEPING} bytes of shared memory beside frames, /dev/shm has {free} free; enlarge it "
            "(docker run --shm-size=…, mount -o remount,size=… /dev/shm), or remove what fills it",
        )
    if status.f_files and not status.f_favail:
        return Obstacle(
            "memory",
            f"/dev/shm has its {status.f_files} files; raise the number (mount -o remount,nr_inodes=… /dev/shm), or "
            "remove some",
        )
    return _in_node_counter(domain)


def _in_node_counter(domain: Domain) -> Obstacle | None:
    """Check the object that every participant of a prefix opens first: iceoryx2 waits indefinitely for its size."""
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
    another = f"or use a prefix of your own ({DOMAIN_VARIABLE}={domain.root}:yours_)"
    return Obstacle(
        "permission" if status.st_uid != os.geteuid() else "domain",
        f"{path}, which every participant with the prefix {domain.prefix} opens, {fault} and belongs to user "
        f"{status.st_uid} (this process runs as {os.geteuid()}); remove it, {another}",
    )


def _fault_of(path: Path, status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_size < _COUNTER.size:
        return f"has {status.st_size} bytes instead of {_COUNTER.size}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError:
        return f"has the mode {stat.S_IMODE(status.st_mode):04o}"
    except OSError:
        # Not a fault of the object, such as too few descriptors.
        return None
    try:
        content = os.read(descriptor, _COUNTER.size)
    finally:
        os.close(descriptor)
    is_whole = len(content) == _COUNTER.size and _COUNTER.unpack(content)[0] == _COUNTER_RELEASE
    return None if is_whole else f"was not made by iceoryx2 {RELEASE}"
