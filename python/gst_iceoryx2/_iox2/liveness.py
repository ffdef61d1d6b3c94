"""Whether the process that made a node still lives.

A node's id contains a process id, which tells nothing across pid namespaces: in another container the same number is
another process, or none. The lock that a living process holds on its node's monitor tells everywhere.
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

# Without locks of open files, asking about a node of this process would drop its lock.
_HAS_OPEN_FILE_LOCKS: Final = sys.platform == "linux" and struct.calcsize("P") == 8

# Creating a file takes milliseconds; a file that is not finished after this long was left behind.
_FINISHES_WITHIN: Final = seconds("unfinished_file")

_own: dict[int, int] = {}
"""Nodes of this process, with an open descriptor of each monitor. Closing any descriptor of a monitor drops the
process's lock on it, so each one stays open as long as its file exists."""
_own_lock = threading.Lock()


def is_gone(node: int, domain: Domain) -> bool:
    """Return whether the process that made a node has ended.

    Safe in a process that has nodes, even of several copies of iceoryx2. For a node of this process it costs no system
    call after the first time.

    Returns:
        False if it cannot be known: the monitor does not exist, is being created, or belongs to another user.
    """
    return _is_unlocked(node, domain) if _HAS_OPEN_FILE_LOCKS else _has_no_process(node)


def dead_nodes(domain: Domain) -> list[int]:
    """Return the nodes whose process has ended; costs one listing, and some ten µs per node of another process.

    A node without a monitor counts as dead by its age: its process was killed before it locked one.
    """
    found = node_ids(domain)
    forget_ended(found.keys())
    return [
        node
        for node, has_monitor in found.items()
        if (is_gone(node, domain) if has_monitor else _is_old_node(node, domain))
    ]


def node_ids(domain: Domain) -> dict[int, bool]:
    """Return the ids of all nodes, known by a folder or by a file beside it, and whether each has its monitor."""
    entries = names(domain.nodes)
    file = re.compile(rf"{re.escape(domain.prefix)}([0-9]+)\.node_monitor(_owner_lock|_context)?")
    found: dict[int, bool] = {}
    for match in filter(None, map(file.fullmatch, entries)):
        node = int(match[1])
        found[node] = found.get(node, False) or match[2] is None
    for name in entries:
        # A folder's name has no prefix, and two domains may share a root.
        is_folder = name.isascii() and name.isdecimal() and int(name) not in found
        if is_folder and all(one.startswith(domain.prefix) for one in names(domain.nodes / name)):
            found[int(name)] = False
    return dict(sorted(found.items()))


def monitor_of(node: int, domain: Domain) -> str:
    """Return the path of the file that a node's process has locked."""
    return f"{domain.root}/{domain.node_dir}/{domain.prefix}{node}.node_monitor"


def monitors(node: int, domain: Domain) -> list[Path]:
    """Return the monitor and the two files beside it. Source: iceoryx2-bb/posix/src/process_state.rs."""
    return [Path(monitor_of(node, domain) + end) for end in ("", "_owner_lock", "_context")]


def folder_of(node: int, domain: Domain) -> Path:
    """Return the folder with a node's tags."""
    return domain.nodes / str(node)


def pid_of(number: int) -> int:
    """Return the process id in the id of a node, port or service."""
    # From the lowest: seconds, nanoseconds, pid and counter, 32 bits each.
    # Source: iceoryx2-bb/posix/src/unique_system_id.rs.
    return number >> 64 & 0xFFFFFFFF


def is_old(status: os.stat_result) -> bool:
    """Return whether an unfinished file was left behind, by its age."""
    return time.time() - status.st_mtime > _FINISHES_WITHIN


def forget_ended(listed: Set[int]) -> None:
    """Close the monitors of this process's nodes that have ended.

    Args:
        listed: Nodes that certainly exist; they are not checked.
    """
    with _own_lock:
        # A node of another domain, or a newer one, exists although it is not listed.
        for ended in [number for number in _own.keys() - listed if os.fstat(_own[number]).st_nlink == 0]:
            os.close(_own.pop(ended))


def _is_unlocked(node: int, domain: Domain) -> bool:
    """Whether the monitor exists and no process has locked it."""
    with _own_lock:
        if node in _own:
            return False
        try:
            monitor = monitor_of(node, domain)
            status = os.stat(monitor)
            if not status.st_mode & stat.S_IRUSR and not is_old(status):
                # It is being created, maybe by another thread of this process, whose lock would be dropped.
                return False
            file = os.open(monitor, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        # The lock of an open file conflicts with every process's lock, including this process's. Ask once: the process
        # that holds the lock could end between two questions.
        kind, _, _, _, holder = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, _QUESTION))
        is_locked = bool(kind != fcntl.F_UNLCK)
        if is_locked and holder == os.getpid():
            _own[node] = file
        else:
            os.close(file)
        return not is_locked


def _has_no_process(node: int) -> bool:
    """Whether the process of a node has ended, on a system without pid namespaces: only Linux has them."""
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
    """Whether all files of a node without a monitor are old."""
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
    # The parent's locks are not the child's, and the thread that held `_own_lock` does not exist here.
    global _own_lock
    _own_lock = threading.Lock()
    while _own:
        os.close(_own.popitem()[1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def start_time(pid: int) -> float | None:
    """Return when a process started, in seconds of CLOCK_MONOTONIC.

    Returns:
        inf if the process has ended and its parent has not waited for it yet; None if /proc does not tell.
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
    """Return whether this process can see the process that made a node: its pid, started before the node was made."""
    started = start_time(pid_of(node))
    # The lowest 32 bits are the second at which the id was made.
    return started is not None and started <= (node & 0xFFFFFFFF) + 1
