"""Sh4lt paths with a live writer: of ossia score, of `sh4ltsink`, of every program that speaks the Shmdata protocol.

They are found without touching them: a socket that somebody listens on, in the kernel's table, and a SysV segment at
the keys that belong to its path, made by the very process that listens. Only then its writer is asked what the stream
is.
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
"""A socket with a path: number, references, protocol, flags, type, state, inode, path."""

_LISTENS: Final = 1 << 16
"""__SO_ACCEPTCON among a socket's flags. Source: proc_net_unix of Linux, net/unix/af_unix.c."""


class Sh4ltPath(NamedTuple):
    """A socket with a live writer.

    Attributes:
        path: Where it is.
        pid: Process that made its segment.
        size: Bytes of the segment.
        readers: Processes that have the segment attached, the writer not counted.
    """

    path: Path
    pid: int
    size: int
    readers: int


def sh4lt_paths() -> list[Sh4ltPath]:
    """Every path with a live writer of this user, by name; reads the kernel's tables alone."""
    if sys.platform != "linux":
        return []
    # Here, because these bring numpy, and most who ask for names have no such socket.
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
        # Keys have 24 bits: one of another path can be the same.
        if _has_socket(status.creator, inode):
            found.append(Sh4ltPath(path, status.creator, status.size, max(0, status.attached - 1)))
    return sorted(found)


def writers_without_memory() -> list[Path]:
    """Named paths on which somebody listens whose memory is not here: it is in another IPC namespace."""
    if sys.platform != "linux":
        return []
    from ..sh4lt.dialect import keys_of, runtime_folder
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
    """A look at every path with a live writer, at the same time and in the background.

    Only writers in the folder of named streams are asked what they carry: a path of somebody's own choice is somebody's
    own business.

    Args:
        seconds: How long an answer may take; 0 asks no writer.
    """

    def __init__(self, seconds: float) -> None:
        self._streams: dict[Sh4ltPath, Stream] = {}
        self._paths = sh4lt_paths()
        self._threads = [
            threading.Thread(target=self._look, args=(path, seconds), name=f"look at {path.path}")
            for path in self._paths
        ]
        for thread in self._threads:
            thread.start()

    def _look(self, found: Sh4ltPath, seconds: float) -> None:
        from ..sh4lt.dialect import runtime_folder

        is_named = found.path.is_relative_to(runtime_folder())
        self._streams[found] = sh4lt_stream(found, seconds if is_named else 0)

    def result(self) -> list[Stream]:
        """What was seen, by path; waits for it."""
        for thread in self._threads:
            thread.join()
        return [self._streams[path] for path in self._paths if path in self._streams]


def sh4lt_stream(found: Sh4ltPath, seconds: float, *, is_measured: bool = False) -> Stream:
    """A look at one path.

    Args:
        found: From `sh4lt_paths()`.
        seconds: How long its writer may take to answer, which does not hold it up; 0 does not ask it.
        is_measured: Read frames for so many seconds to measure their rate. The writer waits for one reader more.
    """
    name = f"{SH4LT}{found.path}"
    caps = _type_text(found.path, seconds) if seconds > 0 else None
    if caps is None:
        problem = "its writer did not answer" if seconds > 0 else f"not asked: iox2-video info {name}"
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
        problem=None if isinstance(form, str) else f"it carries no raw video: {caps[:80]}",
    )


def _type_text(path: Path, seconds: float) -> str | None:
    """What the writer says it writes; None if it does not answer."""
    from ..sh4lt import dialect

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(seconds)
        probe.connect(os.fspath(path))
        # Unacknowledged: the writer waits for acknowledged readers only.
        return dialect.type_text_of(dialect.receive_greeting(probe))
    return None


def _pace(path: Path, seconds: float) -> Pace:
    """The pace of the frames that come in so many seconds."""
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
    """Paths and inodes of the sockets that somebody listens on."""
    try:
        lines = _SOCKETS.read_bytes().split(b"\n")
    except OSError:
        return
    for line in lines:
        # A path may contain anything, a new line too: what follows it there is no row, or a row that lies.
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
