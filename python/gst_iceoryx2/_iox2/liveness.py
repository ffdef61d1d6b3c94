"""Check whether the process that created a node is still alive.

A node's ID contains a process ID, but that is meaningless across pid namespaces: in another container, the same number
denotes a different process or none at all. A live process holds a lock on its node's monitor file, and this lock can be
checked from everywhere.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import stat
import struct
import sys
import threading
import time
from collections.abc import Set
from pathlib import Path
from typing import Final

from ..contract import seconds
from .domain import Domain
from .files import names

# struct flock: type, whence, start, length, pid. Source: fcntl(2), on 64-bit Linux.
_FLOCK: Final = struct.Struct("hhqqi4x")
_QUESTION: Final = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

# Without open file description locks, checking a node of this process would drop its lock.
_HAS_OPEN_FILE_LOCKS: Final = sys.platform == "linux" and struct.calcsize("P") == 8

# Creating a file takes milliseconds, so a file that is unfinished after this time was left behind.
_FINISHES_WITHIN: Final = seconds("unfinished_file")

_own: dict[int, int] = {}
"""Nodes of this process, with an open descriptor of each monitor.

Closing any descriptor of a monitor drops the process's lock on it. So each descriptor stays open while its file exists.
"""
_own_lock = threading.Lock()


def is_gone(node: int, domain: Domain) -> bool:
    """Return whether the process that created a node has ended.

    This is safe in a process that has nodes, even with several copies of iceoryx2. For a node of this process, it makes
    no system calls after the first time.

    Returns:
        Whether it has ended. False if that is unknown because the monitor does not exist, is being created, or belongs
        to another user.
    """
    return holder_of(node, domain) is None


def holder_of(node: int, domain: Domain) -> int | None:
    """Return the process that created a node, as a process ID in the pid namespace of this process.

    Returns:
        The process ID; 0 if the process is in a pid namespace that cannot be seen from here, or if it is unknown
        whether the process has ended (see `is_gone`); None if it has ended.
    """
    if _HAS_OPEN_FILE_LOCKS:
        return _holder_of_lock(node, domain)
    return None if _has_no_process(node) else pid_of(node)


def dead_nodes(domain: Domain) -> list[int]:
    """Return the nodes whose process has ended.

    This takes one directory listing and about 10 µs per node of another process. An old node without a monitor counts
    as dead, because its process was killed before it could lock one.
    """
    found = node_ids(domain)
    forget_ended(found.keys())
    return [
        node
        for node, has_monitor in found.items()
        if (is_gone(node, domain) if has_monitor else _is_old_node(node, domain))
    ]


def node_ids(domain: Domain) -> dict[int, bool]:
    """Return a dict from node ID to whether its monitor exists, for all nodes that have a folder or a monitor file."""
    entries = names(domain.nodes)
    file = re.compile(rf"{re.escape(domain.prefix)}([0-9]+)\.node_monitor(_owner_lock|_context)?")
    found: dict[int, bool] = {}
    for match in filter(None, map(file.fullmatch, entries)):
        node = int(match[1])
        found[node] = found.get(node, False) or match[2] is None
    for name in entries:
        # Folder names do not contain the prefix, but two domains may share a root.
        is_folder = name.isascii() and name.isdecimal() and int(name) not in found
        if is_folder and all(one.startswith(domain.prefix) for one in names(domain.nodes / name)):
            found[int(name)] = False
    return dict(sorted(found.items()))


def monitor_of(node: int, domain: Domain) -> str:
    """Return the path of the monitor file, which the node's process keeps locked."""
    return f"{domain.root}/{domain.node_dir}/{domain.prefix}{node}.node_monitor"


def monitors(node: int, domain: Domain) -> list[Path]:
    """Return the paths of the monitor and its two companion files. Source: iceoryx2-bb/posix/src/process_state.rs."""
    return [Path(monitor_of(node, domain) + end) for end in ("", "_owner_lock", "_context")]


def folder_of(node: int, domain: Domain) -> Path:
    """Return the folder that contains a node's tags."""
    return domain.nodes / str(node)


def pid_of(number: int) -> int:
    """Return the process ID contained in the ID of a node, port or service."""
    # From the lowest bits: seconds, nanoseconds, pid and counter, 32 bits each. Source:
    # iceoryx2-bb/posix/src/unique_system_id.rs.
    return number >> 64 & 0xFFFFFFFF


def is_old(status: os.stat_result) -> bool:
    """Return whether an unfinished file is so old that it must have been left behind."""
    return time.time() - status.st_mtime > _FINISHES_WITHIN


def forget_ended(listed: Set[int]) -> None:
    """Close the monitors of those nodes of this process that no longer exist.

    Args:
        listed: Nodes that certainly exist, so they are not checked.
    """
    with _own_lock:
        # Unlisted nodes may still exist: they belong to another domain or are newer than the listing.
        for ended in [number for number in _own.keys() - listed if os.fstat(_own[number]).st_nlink == 0]:
            os.close(_own.pop(ended))


def _holder_of_lock(node: int, domain: Domain) -> int | None:
    """Return the process that has locked the monitor; 0 if unknown; None if the monitor is not locked."""
    with _own_lock:
        if node in _own:
            return os.getpid()
        try:
            monitor = monitor_of(node, domain)
            status = os.stat(monitor)
            if not status.st_mode & stat.S_IRUSR and not is_old(status):
                # It is being created, perhaps by another thread of this process, whose lock would be dropped.
                return 0
            file = os.open(monitor, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        # An open file description lock conflicts with the locks of all processes, including this one. Query only once,
        # because the process that holds the lock could end between two queries.
        kind, _, _, _, holder = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, _QUESTION))
        is_locked = bool(kind != fcntl.F_UNLCK)
        if is_locked and holder == os.getpid():
            _own[node] = file
        else:
            os.close(file)
        return max(holder, 0) if is_locked else None


def _has_no_process(node: int) -> bool:
    """Return whether a node's process has ended, on systems without pid namespaces (all except Linux)."""
    pid = pid_of(node)
    if not 0 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _is_old_node(node: int, domain: Domain) -> bool:
    """Return whether all files of a node without a monitor are old."""
    folder = folder_of(node, domain)
    own = [folder / name for name in names(folder)] or [folder]
    found = []
    for path in (*monitors(node, domain)[1:], *own):
        try:
            found.append(path.stat())
        except OSError:
            continue
    return bool(found) and all(map(is_old, found))


def _forget_parent() -> None:
    # A child does not inherit the parent's file locks, and `_own_lock` may be held by a thread that does not exist
    # here.
    global _own_lock
    _own_lock = threading.Lock()
    while _own:
        os.close(_own.popitem()[1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def start_time(pid: int) -> float | None:
    """Return the start time of a process in seconds of CLOCK_MONOTONIC.

    Returns:
        The time; inf if the process is a zombie or dead; None if /proc does not provide it.
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


def is_here(node: int) -> bool:
    """Return whether the process that created a node is visible here: its pid exists and is older than the node."""
    started = start_time(pid_of(node))
    # The lowest 32 bits are the creation time of the ID in seconds.
    return started is not None and started <= (node & 0xFFFFFFFF) + 1
