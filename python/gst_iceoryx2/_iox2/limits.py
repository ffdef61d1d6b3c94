"""Limits of this process that keep it from taking part in a domain."""

from __future__ import annotations

import errno
import mmap
import os
import resource
from typing import Final

from ..contract import limit, message
from .explain import Obstacle, words_of

HOUSEKEEPING: Final = limit("start_memory_bytes")
"""Bytes of shared memory that must be free before a participant starts. They are several times the size of nodes,
services and connections, because if iceoryx2 writes to a full file system, SIGBUS ends the program."""

# File descriptors of a subscriber with one publisher, including its node; counted in /proc/self/fd.
_DESCRIPTORS: Final = limit("start_descriptors")


def file_size(needed: int) -> Obstacle | None:
    """Check the limit on file sizes, which also applies to shared memory: beyond it, SIGXFSZ ends the program."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return None
    return Obstacle("limit", message("file_size_limit", limit=limit, needed=needed))


def descriptors() -> Obstacle | None:
    """Check that this process can open as many files as a participant needs."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    try:
        while len(opened) < _DESCRIPTORS:
            opened.append(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno == errno.ENFILE:
            return Obstacle("limit", message("machine_descriptor_limit"))
        if exc.errno != errno.EMFILE:
            return None
        return Obstacle("limit", message("descriptor_limit", limit=limit, more=len(opened), needed=_DESCRIPTORS))
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return None


def address_space(needed: int) -> Obstacle | None:
    """Check that this process can map this many bytes."""
    try:
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return Obstacle("limit", message("no_more_memory", needed=needed, cause=words_of(errno.ENOMEM)))
        return Obstacle("limit", message("address_space_limit", limit=limit, needed=needed))
    return None
