"""Checks that shared memory is large enough for the streams on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from .._iox2.domain import Domain
from .._iox2.objects import SHARED_MEMORY, node_counter
from .._iox2.shared_memory import in_shared_memory
from .finding import Finding, note, ok, problem

# Source: stat(2).
_BLOCK: Final = 512
# Initial memory of a publisher: 24 frames of 1080p in BGR (docs/operations.md).
_ONE_STREAM: Final = 24 * 1920 * 1080 * 3
_LARGER: Final = (
    "enlarge it: docker run --shm-size=2g …, compose: shm_size: 2g, "
    "or sudo mount -o remount,size=4g /dev/shm (docs/operations.md)"
)


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Compare the size of /dev/shm with the memory that its files may use."""
    obstacle = in_shared_memory(domain)
    if obstacle is not None:
        yield problem(*obstacle.parts())
        return
    if not SHARED_MEMORY.is_dir():
        yield ok(f"this system does not have {SHARED_MEMORY}, because its shared memory is not a file system")
        return
    yield from _shared_by_users(domain)
    status = os.statvfs(SHARED_MEMORY)
    size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    promised, _ = _laid_out("")
    ours, touched = _laid_out(domain.prefix)
    text = (
        f"{SHARED_MEMORY} has {_words(size)}, {_words(free)} free; streams in this domain use {_words(touched)} and "
        f"may use {_words(ours)} more; all files together may use {_words(promised)} more"
    )
    if promised > free:
        yield problem(f"{text}. A publisher that uses all its memory will be killed by SIGBUS", _LARGER)
    elif free - promised < _ONE_STREAM:
        yield problem(f"{text}. Another 1080p stream in BGR ({_words(_ONE_STREAM)}) does not fit", _LARGER)
    else:
        yield ok(text)


def _shared_by_users(domain: Domain) -> Iterator[Finding]:
    """Report a node counter that belongs to another user. Every participant with this prefix opens it."""
    with contextlib.suppress(OSError):
        owner = node_counter(domain).lstat().st_uid
        if owner != os.geteuid():
            yield note(
                f"user {owner} was the first to use the prefix {domain.prefix} on this machine, and can prevent other "
                "users from starting with it",
                f"use a separate prefix for each user: export IOX2_VIDEO_DOMAIN={domain.root}:yours_ "
                "(docs/operations.md)",
            )


def _laid_out(prefix: str) -> tuple[int, int]:
    """Return how many more bytes the files with a prefix may use, and how many they use now, over all users."""
    more = taken = 0
    with os.scandir(SHARED_MEMORY) as files:
        for file in (file for file in files if file.name.startswith(prefix)):
            with contextlib.suppress(OSError):
                status = file.stat(follow_symlinks=False)
                used = status.st_blocks * _BLOCK
                taken += used
                more += max(0, status.st_size - used)
    return more, taken


def _words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
