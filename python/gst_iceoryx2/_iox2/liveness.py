"""Whether the process that made a node still lives.

A node's id has a process id in it, which says nothing across pid namespaces: in another container the same number is
somebody else, or nobody. What says it everywhere is the lock that a living process holds on its node's monitor.
"""

from __future__ import annotations

import fcntl
import math
import os
import stat
import struct
import sys
import threading
import time
from collections.abc import Set
from pathlib import Path
from typing import Final

from .._contract import seconds

# struct flock: type, whence, start, length, pid. Source: fcntl(2), on 64-bit Linux.
_FLOCK: Final = struct.Struct("hhqqi4x")
_QUESTION: Final = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

# Without locks of open files, asking about a node of this process would end it.
_LOCKS_TELL: Final = sys.platform == "linux" and struct.calcsize("P") == 8

_own: dict[int, int] = {}
"""Nodes of this process, and a descriptor of each one's monitor. Closing any of a file would drop the process's lock on
it, so they stay open as long as the file is there."""
_own_lock = threading.Lock()


# Making a file takes milliseconds; one that is not finished after this long was left behind.
_FINISHES_WITHIN: Final = seconds("unfinished_file")


def is_gone(node: int, monitor: str | Path) -> bool:
    """Whether the process that made a node has ended; safe in a process that has nodes, of several copies of iceoryx2.

    Args:
        node: Id of the node.
        monitor: File that its process has locked.

    Returns:
        False if it cannot be known: the file is not there, is being made, or belongs to another user.
        For a node of this process, once known, without a system call.
    """
    return _is_unlocked(node, monitor) if _LOCKS_TELL else _has_no_process(node)


def forget_ended(listed: Set[int]) -> None:
    """Close what is kept of nodes of this process that have ended.

    Args:
        listed: Ids of nodes that were just seen. They are not looked at.
    """
    with _own_lock:
        # A node of another domain, or one that was made since, is not listed and still there.
        for ended in [number for number in _own.keys() - listed if os.fstat(_own[number]).st_nlink == 0]:
            os.close(_own.pop(ended))


def is_old(status: os.stat_result) -> bool:
    """Whether a file that is not finished was left behind, by its age."""
    return time.time() - status.st_mtime > _FINISHES_WITHIN


def _is_unlocked(node: int, monitor: str | Path) -> bool:
    """Whether the file is there, and no process has locked it."""
    with _own_lock:
        if node in _own:
            return False
        try:
            status = os.stat(monitor)
            if not status.st_mode & stat.S_IRUSR and not is_old(status):
                # It is being made, maybe by another thread of this process, whose lock would be dropped.
                return False
            file = os.open(monitor, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        # A lock of an open file is in the way of everybody's lock, this process's included. Asked once: between two
        # questions the process that holds the lock can end.
        kind, _, _, _, holder = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, _QUESTION))
        is_locked = bool(kind != fcntl.F_UNLCK)
        if is_locked and holder == os.getpid():
            _own[node] = file
        else:
            os.close(file)
        return not is_locked


def _has_no_process(node: int) -> bool:
    """Whether the process of a node has ended, where there are no pid namespaces: only Linux has them."""
    # Seconds, nanoseconds, pid and counter, 32 bits each. Source: iceoryx2-bb/posix/src/unique_system_id.rs.
    pid = node >> 64 & 0xFFFFFFFF
    if not 0 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _start_anew() -> None:
    # What the parent has locked is nothing of the child's, and the owner of the lock does not exist here.
    global _own_lock
    _own_lock = threading.Lock()
    while _own:
        os.close(_own.popitem()[1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def start_time(pid: int) -> float | None:
    """When a process started, in seconds of CLOCK_MONOTONIC; inf if it has ended and nobody has waited for it yet.

    None where /proc does not tell.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X"):
            return math.inf
        ticks = int(fields[19])
        suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    except (OSError, IndexError, ValueError, AttributeError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") - suspended
