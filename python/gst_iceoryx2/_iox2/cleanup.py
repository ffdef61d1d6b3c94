"""What crashed participants leave behind: noticed without harm to the living, removed in a process of its own.

iceoryx2 decides by POSIX file locks whether a node lives, and these belong to the process: closing any descriptor of a
locked file drops the lock. Where two copies of iceoryx2 share a process (this package and the GStreamer plugin), a
clean-up, or just a listing of nodes, by one of them lets outside processes take the other's nodes for dead. Hence
nothing here opens a file of a node (`liveness` knows how), and `run_helper` starts a short-lived program for the work.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .._contract import seconds
from .domain import DOMAIN_VARIABLE, Domain
from .leftovers import dead_nodes, has_trap

_log: Final = logging.getLogger("gst_iceoryx2")

_HELPER: Final = Path(__file__).parents[1] / "plugins" / "iceoryx2-cleanup"
_HELPER_PATIENCE: Final = seconds("cleanup_helper")
_WATCH_INTERVAL: Final = 2.0

# How long until a second attempt to clean up behind the same node; each further pause is twice as long.
_FIRST_PAUSE: Final = seconds("cleanup_retry")


class _Watch:
    """What this process knows of the dead of one domain, whatever the number of its ports there."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._lock = threading.Lock()
        self._next = 0.0
        # For each dead node that was tried: when to try again, and the pause after that.
        self._attempts: dict[str, tuple[float, float]] = {}

    def look_if_due(self) -> None:
        """Clean up if nobody in this process has looked for a while."""
        if time.monotonic() >= self._next:
            self.look()

    def look(self) -> bool:
        """Run the helper if that is worth it; return whether it ran."""
        with self._lock:
            self._next = time.monotonic() + _WATCH_INTERVAL
            is_needed = self._are_due(dead_nodes(self._domain), time.monotonic()) or has_trap(self._domain)
        if is_needed:
            run_helper(self._domain)
        return is_needed

    def _are_due(self, names: list[str], now: float) -> bool:
        """Whether to try to remove these: new ones at once, what an earlier attempt did not remove ever more seldom."""
        is_due = False
        for gone in self._attempts.keys() - set(names):
            del self._attempts[gone]
        for name in names:
            due, pause = self._attempts.get(name, (now, _FIRST_PAUSE))
            if due <= now:
                is_due = True
                self._attempts[name] = (now + pause, 2 * pause)
        return is_due


_watches: dict[tuple[str, str, str], _Watch] = {}


def _watch_of(domain: Domain) -> _Watch:
    key = (domain.root, domain.prefix, domain.node_dir)
    return _watches.get(key) or _watches.setdefault(key, _Watch(domain))


def clean_up_if_stale(domain: Domain) -> bool:
    """Run the helper if dead nodes are there that this process has not just tried to remove.

    Looking for them costs one listing and some ten µs for each node of another process, running the helper a tenth of
    a second.

    Returns:
        Whether the helper ran.
    """
    return _watch_of(domain).look()


def watch(domain: Domain) -> None:
    """Do so if no port of this process has done it for two seconds. Call it as often as you like."""
    _watch_of(domain).look_if_due()


if hasattr(os, "register_at_fork"):
    # The parent's thread that held a lock does not exist in the child.
    os.register_at_fork(after_in_child=_watches.clear)


def run_helper(domain: Domain) -> bool:
    """Remove what dead participants left, in a process of its own, and wait for it.

    The compiled helper beside the GStreamer plugin is taken where it exists, else this package's own in Python.

    Returns:
        Whether it ran and succeeded; where it did not, a later process will clean up.
    """
    if os.access(_HELPER, os.X_OK):
        command = [str(_HELPER), domain.root, domain.prefix]
    elif sys.executable:
        command = [*_interpreter("gst_iceoryx2._iox2.helper"), domain.root, domain.prefix]
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
        _log.warning("the clean-up after crashed participants did not run: %s", exc)
        return False
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip()
        _log.warning("the clean-up after crashed participants ended with code %d: %s", done.returncode, words)
    return done.returncode == 0


def _interpreter(module: str) -> list[str]:
    """Command that runs `main(arguments)` of a module of this package in another interpreter.

    That interpreter takes its standard library first, then this package, then what this process has on its path. The
    working directory is not among these folders: anybody may have left a `tempfile.py` there.
    """
    iceoryx2 = find_spec("iceoryx2")
    own = [str(Path(__file__).absolute().parents[2])]
    if iceoryx2 is not None and iceoryx2.origin is not None:
        own.append(str(Path(iceoryx2.origin).absolute().parents[1]))
    folders = [own[0], *filter(_is_elsewhere, sys.path), *own[1:]]
    program = f"import sys; sys.path += {folders!r}; from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-I", "-S", "-c", program]


def _is_elsewhere(folder: str) -> bool:
    """Whether a folder is another one than the working directory, in whatever way that is written."""
    try:
        return os.path.isabs(folder) and not os.path.samefile(folder, os.curdir)
    except OSError:
        return False
