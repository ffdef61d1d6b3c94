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
"""Bytes of shared memory that must be free for a participant to start. It is several times what nodes, services and
connections take, because a write of iceoryx2's into a full file system would be an uncatchable SIGBUS."""

# Descriptors of a subscriber with one publisher, its node included; counted in /proc/self/fd.
_DESCRIPTORS: Final = limit("start_descriptors")


def file_size(needed: int) -> Obstacle | None:
    """Check the limit on the size of files, which holds for shared memory, too: beyond it SIGXFSZ ends the program."""
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
    """Check that this process can map so many bytes."""
    try:
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return Obstacle("limit", message("no_more_memory", needed=needed, cause=words_of(errno.ENOMEM)))
        return Obstacle("limit", message("address_space_limit", limit=limit, needed=needed))
    return None
