"""Finds Sh4lt paths with a running writer: ossia score, `sh4ltsink` or another program that uses the Shmdata protocol.

A path is found without connecting to it. The kernel's socket table lists a listening socket on the path, and the
listening process has created a SysV segment with the path's keys. Only then is the writer queried for its caps.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from .names import SH4LT
from .pace import Pace
from .stream import Stream

_SOCKETS: Final = Path("/proc/net/unix")
_ROW: Final = re.compile(
    rb"[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ (?P<flags>[0-9A-F]+) [0-9A-F]+ [0-9A-F]+ +(?P<inode>[0-9]+) (?P<path>/.*)"
)
"""A row for a socket with a path: number, references, protocol, flags, type, state, inode, path."""

_LISTENS: Final = 1 << 16
"""The flag __SO_ACCEPTCON of a listening socket. Source: Linux, net/unix/af_unix.c."""


class Sh4ltPath(NamedTuple):
    """A path with a running writer.

    Attributes:
        path: Path of the socket.
        pid: Process ID of the writer.
        size: Size of its segment, in bytes.
        readers: Number of processes that have attached the segment, not counting the writer.
    """

    path: Path
    pid: int
    size: int
    readers: int


def sh4lt_paths() -> list[Sh4ltPath]:
    """Return all paths on which a writer of this user is running, sorted. Does not connect to any writer."""
    if sys.platform != "linux":
        return []
    # Imported here, because these modules import numpy, which most callers do not need.
    from ..sh4lt.dialect import keys_of
    from ..sh4lt.sysv import segment_status

    found = []
    for path, inode in _listening():
        try:
            if not stat.S_ISSOCK(path.stat().st_mode):
                continue
            status = segment_status(keys_of(path).segment)
        except OSError:
            continue
        # Only 24 bits of a key depend on the path, so another path can have the same key.
        if _has_socket(status.creator, inode):
            found.append(Sh4ltPath(path, status.creator, status.size, max(0, status.attached - 1)))
    return sorted(found)


def writers_without_memory() -> list[Path]:
    """Return named paths with a listening writer whose memory is in another IPC namespace."""
    if sys.platform != "linux":
        return []
    from ..sh4lt.dialect import keys_of
    from ..sh4lt.paths import runtime_folder
    from ..sh4lt.sysv import segment_status

    found = []
    for path, _ in _listening():
        if not path.is_relative_to(runtime_folder()):
            continue
        try:
            keys = keys_of(path)
        except OSError:
            continue
        try:
            segment_status(keys.segment)
        except FileNotFoundError:
            found.append(path)
        except OSError:
            continue
    return sorted(found)


class Sh4ltProbe:
    """Probes all paths with a running writer at the same time, in the background.

    Only writers in the folder of named streams are queried for their caps.

    Args:
        seconds: Seconds to wait for an answer; 0 means that no writer is queried.
    """

    def __init__(self, seconds: float) -> None:
        self._streams: dict[Sh4ltPath, Stream] = {}
        self._paths = sh4lt_paths()
        self._threads = [
            threading.Thread(target=self._probe, args=(path, seconds), name=f"probe {path.path}")
            for path in self._paths
        ]
        for thread in self._threads:
            thread.start()

    def _probe(self, found: Sh4ltPath, seconds: float) -> None:
        from ..sh4lt.paths import runtime_folder

        is_named = found.path.is_relative_to(runtime_folder())
        self._streams[found] = sh4lt_stream(found, seconds if is_named else 0)

    def result(self) -> list[Stream]:
        """Wait for the probes, and return the streams sorted by path."""
        for thread in self._threads:
            thread.join()
        return [self._streams[path] for path in self._paths if path in self._streams]


def sh4lt_stream(found: Sh4ltPath, seconds: float, *, is_measured: bool = False) -> Stream:
    """Probe one path.

    Args:
        found: A path from `sh4lt_paths()`.
        seconds: Seconds to wait for the writer's answer; 0 means that the writer is not queried. Answering does not
            block the writer.
        is_measured: Whether to read frames for `seconds` to measure the rate. The writer then waits for this reader as
            for any other.
    """
    name = f"{SH4LT}{found.path}"
    caps = _type_text(found.path, seconds) if seconds > 0 else None
    if caps is None:
        problem = "its writer did not answer" if seconds > 0 else f"not queried; run `iox2-video info {name}`"
        return Stream(name, "sh4lt", publishers=1, subscribers=found.readers, problem=problem)
    from .._wire.caps import parse_caps
    from ..errors import FormatError
    from .probe import stated_framerate

    fields = {}
    with contextlib.suppress(FormatError):
        fields = parse_caps(caps).fields
    form, width, height = (fields.get(key) for key in ("format", "width", "height"))
    return Stream(
        name,
        "sh4lt",
        format=form if isinstance(form, str) else None,
        width=width if isinstance(width, int) else None,
        height=height if isinstance(height, int) else None,
        fps=_pace(found.path, seconds).fps if is_measured else None,
        framerate=stated_framerate(caps),
        publishers=1,
        subscribers=found.readers,
        caps=caps,
        problem=None if isinstance(form, str) else f"not raw video: {caps[:80]}",
    )


def _type_text(path: Path, seconds: float) -> str | None:
    """Return the writer's type text; None if the writer does not answer."""
    from ..sh4lt import dialect

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(seconds)
        probe.connect(os.fspath(path))
        # Do not acknowledge the greeting: the writer waits only for readers that acknowledge it.
        return dialect.type_text_of(dialect.receive_greeting(probe))
    return None


def _pace(path: Path, seconds: float) -> Pace:
    """Measure the rate of the frames that arrive within `seconds`."""
    from ..sh4lt.follower import Follower

    pace = Pace()
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError), Follower(path) as follower:
        while (left := deadline - time.monotonic()) > 0:
            with follower.borrow(left) as frame:
                arrived = time.monotonic_ns()
            if frame is not None:
                pace.note(arrived, None)
    return pace


def _listening() -> Iterator[tuple[Path, str]]:
    """Yield the paths and inodes of listening sockets."""
    try:
        lines = _SOCKETS.read_bytes().split(b"\n")
    except OSError:
        return
    for line in lines:
        # A path can contain a newline. The text after it does not match, or looks like a row but is not one.
        row = _ROW.fullmatch(line)
        if row is not None and int(row["flags"], 16) & _LISTENS:
            yield Path(os.fsdecode(row["path"])), row["inode"].decode()


def _has_socket(pid: int, inode: str) -> bool:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as links:
        for link in links:
            with contextlib.suppress(OSError):
                if os.readlink(link.path) == f"socket:[{inode}]":
                    return True
    return False
