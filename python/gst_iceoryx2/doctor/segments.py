"""Checks for SysV memory that dead Sh4lt writers left behind, and removes it on request."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from .._iox2.domain import Domain
from .finding import Finding, note, ok, problem

if TYPE_CHECKING:
    from ..sh4lt.dialect import Keys


_TABLES: Final = Path("/proc/sysvipc")
# Age in seconds from which an unattached segment counts as left behind; creating and attaching one is much faster.
_YOUNG: Final = 5.0


class _Segment(NamedTuple):
    key: int
    size: int
    creator: int
    attached: int
    owner: int
    made_at: int

    @property
    def is_alive(self) -> bool:
        """Whether the writer may still be running. A writer keeps its segment attached."""
        if not self.attached:
            return time.time() - self.made_at < _YOUNG
        # 0 means a process in another pid namespace. Source: ipc/shm.c in Linux.
        return self.creator == 0 or Path(f"/proc/{self.creator}").exists()


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Find Shmdata segments whose writer has exited, and remove them if `fix` is set."""
    if sys.platform != "linux" or not _TABLES.is_dir():
        yield ok("this system does not list its SysV memory; Sh4lt runs only on Linux")
        return
    segments = _shmdata_segments()
    dead = [one for one in segments if not one.is_alive]
    mine = [one for one in dead if one.owner == os.geteuid() or os.geteuid() == 0]
    attached = [one for one in mine if one.attached]
    free = [one for one in mine if not one.attached]
    alive = len(segments) - len(dead)
    if attached:
        yield note(
            f"readers still have {_count(len(attached))} of dead Sh4lt writers attached",
            "no action needed: they are removed when their readers exit, or by the next writer on the path",
        )
    if not free:
        if not attached:
            yield ok(f"{_count(alive)} from running Sh4lt writers, none from dead ones")
        return
    keys = ", ".join(f"{one.key:#010x}" for one in free[:8])
    text = f"{_count(len(free))} from dead Sh4lt writers, {sum(one.size for one in free) / 1e6:.1f} MB, keys {keys}"
    if not fix:
        yield problem(text, "iox2-video doctor --fix, or ipcrm -M KEY", can_fix=True)
        return
    from ..sh4lt.sysv import remove_if_dead

    for one in free:
        remove_if_dead(_keys(one.key))
    left = {one.key for one in _shmdata_segments()} & {one.key for one in free}
    if left:
        listed = ", ".join(f"{key:#010x}" for key in sorted(left))
        yield problem(f"{text}; could not be removed: {listed}", "run ipcrm -M KEY as their owner", can_fix=True)
    else:
        yield problem(f"{text}: removed", None, can_fix=True, was_fixed=True)


def _count(number: int) -> str:
    return f"{number} segment{'' if number == 1 else 's'}"


def _keys(segment: int) -> Keys:
    from ..sh4lt import dialect

    return dialect.Keys(segment, dialect.SEMAPHORE_PROJECT << 24 | segment & 0xFFFFFF)


def _shmdata_segments() -> list[_Segment]:
    """Return segments with a Shmdata key and the protocol's two semaphores. Other programs may use such keys, too."""
    from ..sh4lt.dialect import SEGMENT_PROJECT

    semaphores = {int(row["key"]) for row in _rows("sem") if row["nsems"] == "2"}
    found = []
    for row in _rows("shm"):
        key = int(row["key"])
        if key >> 24 == SEGMENT_PROJECT and _keys(key).semaphores in semaphores:
            found.append(
                _Segment(
                    key, int(row["size"]), int(row["cpid"]), int(row["nattch"]), int(row["uid"]), int(row["ctime"])
                )
            )
    return found


def _rows(table: str) -> Iterator[dict[str, str]]:
    heads, *lines = (_TABLES / table).read_text().splitlines()
    for line in lines:
        yield dict(zip(heads.split(), line.split(), strict=False))
