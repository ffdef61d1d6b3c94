"""Limits of this process that keep it from taking part in a domain."""

from __future__ import annotations

import errno
import mmap
import os
import resource
from typing import Final

from ..contract import limit
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
    return Obstacle(
        "limit",
        f"this process may write files of {limit} bytes, and {needed} are needed; raise the limit "
        "(ulimit -f unlimited, LimitFSIZE=infinity in a systemd unit)",
    )


def descriptors() -> Obstacle | None:
    """Check that this process can open as many files as a participant needs."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    try:
        while len(opened) < _DESCRIPTORS:
            opened.append(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno == errno.ENFILE:
            return Obstacle(
                "limit", "this machine has as many files open as it may; raise the limit (sysctl fs.file-max)"
            )
        if exc.errno != errno.EMFILE:
            return None
        return Obstacle(
            "limit",
            f"this process may open {limit} files, {len(opened)} more than it has open now, and a participant needs up "
            f"to {_DESCRIPTORS}; raise the limit (ulimit -n 65536, LimitNOFILE=65536 in a systemd unit, "
            "docker run --ulimit nofile=65536)",
        )
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
            return Obstacle("limit", f"this process cannot map {needed} more bytes of memory: {words_of(errno.ENOMEM)}")
        return Obstacle(
            "limit",
            f"this process may use {limit} bytes of address space, and cannot map {needed} more; raise the limit "
            "(ulimit -v unlimited, LimitAS=infinity in a systemd unit)",
        )
    return None
