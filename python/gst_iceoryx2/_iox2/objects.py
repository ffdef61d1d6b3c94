"""Find and remove iceoryx2's shared memory objects."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ..contract import seconds
from .domain import Domain
from .explain import RELEASE
from .files import remove
from .liveness import is_old

SHARED_MEMORY: Final = Path("/dev/shm")

# Mode of an object that is being created. Source: iceoryx2-cal/src/dynamic_storage/posix_shared_memory.rs.
_UNFINISHED_MODE: Final = 0o200
# Longest wait for an unfinished node counter; longer than the age at which it counts as left behind.
_COUNTER_TIMEOUT: Final = seconds("node_counter_timeout")
# Name of a prefix's node counter in iceoryx2's default configuration. The hash is the SHA-1 of
# `iceoryx2::node::global_management_segment::State`. Source: iceoryx2-cal/src/dynamic_storage/mod.rs.
_COUNTER: Final = f"9204dd183d1c4d8e1ff592a30766ffa6765aa8b5_node.{RELEASE.replace('.', '_')}.global_mgmt"


class Object(NamedTuple):
    """A shared memory object whose name has exactly iceoryx2's form.

    Attributes:
        path: Path of the object.
        status: File status of the object.
        ids: IDs of the service or ports in the name; empty for the node counter.
    """

    path: Path
    status: os.stat_result
    ids: tuple[int, ...]

    @property
    def is_finished(self) -> bool:
        return stat.S_IMODE(self.status.st_mode) != _UNFINISHED_MODE

    @property
    def is_left_behind(self) -> bool:
        """Whether the object is empty and was created by a process of this user that has died."""
        is_empty = not self.is_finished and (self.status.st_size == 0 or not self.ids)
        return is_empty and self.status.st_uid == os.geteuid() and is_old(self.status)


def objects(domain: Domain) -> Iterator[Object]:
    """Yield all objects whose names have the domain's prefix and exactly iceoryx2's form, for every folder."""
    # <prefix><hash of the type>_<id>.dynamic, _<port>.data, _<port>__<segment>.data, _<port>_<port>.connection, …
    name = re.compile(
        re.escape(domain.prefix) + r"[0-9a-f]{40}_(?:(\d+)(?:_(\d+)|__(?:\d+|mgmt))?|node\.\d+_\d+_\d+)\.[a-z_]+",
        re.ASCII,
    )
    with contextlib.suppress(OSError), os.scandir(SHARED_MEMORY) as found:
        for item in found:
            match = name.fullmatch(item.name)
            if match is not None:
                with contextlib.suppress(OSError):
                    status = item.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield Object(Path(item.path), status, tuple(map(int, filter(None, match.groups()))))


def node_counter(domain: Domain) -> Path:
    """Return the path of the object that counts the nodes with a prefix. Every participant opens it first."""
    return SHARED_MEMORY / f"{domain.prefix}{_COUNTER}"


def has_unfinished_counter(domain: Domain) -> bool:
    """Return whether this user's node counter is unfinished, in which case no participant can start."""
    try:
        found = [os.lstat(node_counter(domain))]
    except OSError:
        # It does not exist, or the configuration uses a different name.
        found = [item.status for item in objects(domain) if not item.ids]
    me = os.geteuid()
    return any(stat.S_IMODE(status.st_mode) == _UNFINISHED_MODE and status.st_uid == me for status in found)


def remove_left_behind(domain: Domain) -> None:
    """Remove unfinished objects whose creator died.

    Wait for a recently created node counter to be finished or to expire, because no participant can start without it.
    """
    deadline = time.monotonic() + _COUNTER_TIMEOUT
    while True:
        remove(item.path for item in objects(domain) if item.is_left_behind)
        if not has_unfinished_counter(domain) or time.monotonic() > deadline:
            return
        time.sleep(0.01)
