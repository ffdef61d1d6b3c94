"""What crashed participants leave behind: noticed without harm to the living, removed in a process of its own.

iceoryx2 decides by POSIX file locks whether a node lives, and these belong to the process: closing any descriptor of a
locked file drops the lock. Where two copies of iceoryx2 share a process (this package and the GStreamer plugin), a
clean-up, or just a listing of nodes, by one of them lets outside processes take the other's nodes for dead. Hence
nothing here opens a file of a node (`_liveness` knows how), and `run_helper` starts a short-lived program for the work.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ._domain import DOMAIN_VARIABLE, FINISHED_MODE, Domain
from ._liveness import is_gone
from ._log import log
from ._remains import SHARED_MEMORY, segments
from ._text import decoded

_HELPER: Final = Path(__file__).parent / "plugins" / "iceoryx2-cleanup"
# Creating a file takes milliseconds; one that stays unfinished this long was left behind.
_STALE_AGE: Final = 5.0
_HELPER_PATIENCE: Final = 20.0
_WATCH_INTERVAL: Final = 2.0

# How long until a second attempt to clean up behind the same node; each further pause is twice as long.
_FIRST_PAUSE: Final = 4.0

_attempts: dict[str, tuple[float, float]] = {}
_attempts_lock = threading.Lock()


def stale_nodes(domain: Domain) -> list[str]:
    """What nodes have left whose process has gone; some ten µs a node.

    Returns:
        Names in the folder of nodes; of one that died while it started or ended, those that are there.
    """
    return [name for name in _names(domain.nodes) if _is_stale(_node_id(name, domain.prefix), domain)]


def _node_id(name: str, prefix: str) -> str:
    """Id of the node to whom a file or a folder of that name belongs."""
    return name[len(prefix) :].partition(".node_monitor")[0] if name.startswith(prefix) else name


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_stale(digits: str, domain: Domain) -> bool:
    """Whether the process of a node with this id has gone."""
    monitor = domain.nodes / f"{domain.prefix}{digits}.node_monitor"
    return digits.isdecimal() and is_gone(int(digits), monitor)


def clean_up_if_stale(domain: Domain) -> bool:
    """Run the helper if nodes of dead processes are there that this process has not just tried to remove.

    Returns:
        Whether the helper ran.
    """
    is_due = _are_due(stale_nodes(domain), time.monotonic())
    is_trapped = _has_trap(domain)
    if is_due or is_trapped:
        run_helper(domain)
    if is_trapped:
        remove_unsized_segments(domain)
    return is_due or is_trapped


def _are_due(names: list[str], now: float) -> bool:
    """Whether to try to remove these: what is new at once, what an earlier attempt did not remove ever more seldom."""
    is_due = False
    with _attempts_lock:
        for gone in _attempts.keys() - set(names):
            del _attempts[gone]
        for name in names:
            due, pause = _attempts.get(name, (now, _FIRST_PAUSE))
            if due <= now:
                is_due = True
                _attempts[name] = (now + pause, 2 * pause)
    return is_due


class Watch:
    """Cleans up behind the dead of a domain now and then, for a port that is looked after.

    Looking for them costs some ten µs a node, running the helper a tenth of a second.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._next = time.monotonic() + _WATCH_INTERVAL

    def look(self) -> None:
        """Clean up if it is time."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _WATCH_INTERVAL
            clean_up_if_stale(self._domain)


def run_helper(domain: Domain) -> bool:
    """Remove what dead participants left, in a process of its own, and wait for it.

    The compiled helper beside the GStreamer plugin is taken where it exists, else this package's own in Python.

    Returns:
        Whether it ran and succeeded; where it did not, a later process will clean up.
    """
    if os.access(_HELPER, os.X_OK):
        command = [str(_HELPER), domain.root, domain.prefix]
    elif sys.executable:
        command = [*_interpreter("gst_iceoryx2._cleanup"), domain.root, domain.prefix]
    else:
        return False
    try:
        done = subprocess.run(
            command,
            env=os.environ | {DOMAIN_VARIABLE: f"{domain.root}:{domain.prefix}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_HELPER_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        log.warning("the clean-up after crashed participants did not run: %s", exc)
        return False
    if done.returncode != 0:
        words = decoded(done.stderr).strip()
        log.warning("the clean-up after crashed participants ended with code %d: %s", done.returncode, words)
    return done.returncode == 0


def _interpreter(module: str) -> list[str]:
    """Command that runs `main(arguments)` of a module of this package in another interpreter.

    That interpreter takes its standard library first, then this package, then what this process has on its path. The
    working directory is not among these folders: anybody may have left a `tempfile.py` there.
    """
    iceoryx2 = find_spec("iceoryx2")
    own = [str(Path(spec).absolute().parents[1]) for spec in (__file__, iceoryx2 and iceoryx2.origin) if spec]
    folders = [own[0], *filter(_is_elsewhere, sys.path), *own[1:]]
    program = f"import sys; sys.path += {folders!r}; from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-I", "-S", "-c", program]


def _is_elsewhere(folder: str) -> bool:
    """Whether a folder is another one than the working directory, in whatever way that is written."""
    try:
        return os.path.isabs(folder) and not os.path.samefile(folder, os.curdir)
    except OSError:
        return False


def _has_trap(domain: Domain) -> bool:
    """Whether there is shared memory without a size: iceoryx2, as root alone, waits for the size for ever."""
    return os.geteuid() == 0 and any(status.st_size == 0 for status in segments(domain))


def remove_unsized_segments(domain: Domain) -> int:
    """Unlink shared memory objects whose creator died before it gave them a size; for where not everybody can be seen.

    A young one may be in the making, so this waits until it is finished, gone or old.

    Returns:
        How many were removed.
    """
    deadline = time.monotonic() + _STALE_AGE + 1
    while _has_trap(domain) and time.monotonic() < deadline:
        unsized = [
            (path, status)
            for path, status in _files(SHARED_MEMORY, domain.prefix)
            if status.st_size == 0 and stat.S_IMODE(status.st_mode) == 0o200
        ]
        if all(_is_old(status) for _, status in unsized):
            return _remove(path for path, _ in unsized)
        time.sleep(0.01)
    return 0


def remove_unfinished_services(domain: Domain) -> int:
    """Unlink service descriptions that are unfinished, old, and open in no process that can be seen.

    Returns:
        How many were removed; 0 where open files of others cannot be seen.
    """
    found = [
        (path, status)
        for path, status in _files(domain.services, domain.prefix, ".service")
        if stat.S_IMODE(status.st_mode) != FINISHED_MODE and _is_old(status)
    ]
    if not found or not os.path.isdir("/proc/self/fd"):
        return 0
    in_use = _open_files(str(domain.services))
    return _remove(path for path, status in found if (status.st_dev, status.st_ino) not in in_use)


def _is_old(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime > _STALE_AGE


def _files(folder: Path, prefix: str, suffix: str = "") -> list[tuple[str, os.stat_result]]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not (entry.name.startswith(prefix) and entry.name.endswith(suffix)):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    found.append((entry.path, status))
    except OSError:
        return []
    return found


def _remove(paths: Iterable[str]) -> int:
    removed = 0
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            continue
        removed += 1
    return removed


def _open_files(folder: str) -> set[tuple[int, int]]:
    """Device and inode of every file below `folder` that a process visible here has open."""
    found = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            path = f"/proc/{pid}/fd/{descriptor}"
            try:
                if os.readlink(path).startswith(folder):
                    status = os.stat(path)
                    found.add((status.st_dev, status.st_ino))
            except OSError:
                continue
    return found
