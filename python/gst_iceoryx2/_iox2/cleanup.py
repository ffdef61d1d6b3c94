"""Clean-up after crashed participants, always in a process of its own.

iceoryx2 decides by POSIX file locks whether a node lives. These locks belong to the process: closing any descriptor of
a locked file drops the lock. If two copies of iceoryx2 share a process (this package and the GStreamer plugin), a
clean-up by one copy, or just a listing of nodes, makes other processes take the other copy's nodes for dead. So nothing
here opens a file of a node (`liveness` knows how), and `run_helper` starts a short-lived program for the work.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ..contract import seconds
from .domain import DOMAIN_VARIABLE, Domain
from .liveness import dead_nodes
from .objects import has_unfinished_counter

_log: Final = logging.getLogger("gst_iceoryx2")

_HELPER: Final = Path(__file__).parents[1] / "plugins" / "iceoryx2-cleanup"
# How long the helper may take; longer than it waits for its turn.
_HELPER_TIMEOUT: Final = seconds("cleanup_helper")
# How often a process looks for dead nodes.
_INTERVAL: Final = 2.0
# Pause until the second clean-up of a node; each further pause is twice as long.
_FIRST_PAUSE: Final = seconds("cleanup_retry")


class CleanupSchedule:
    """When this process looks for dead nodes of a domain, and when it tries again to remove one."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._lock = threading.Lock()
        self._next_look = 0.0
        # For each dead node: when the next clean-up is due, and the pause after it.
        self._planned: dict[int, tuple[float, float]] = {}

    def run_if_due(self) -> None:
        """Clean up if no port of this process has looked within the interval."""
        if time.monotonic() >= self._next_look:
            self.run()

    def run(self) -> bool:
        """Look, and run the helper if that is worth it; return whether it ran."""
        with self._lock:
            self._next_look = time.monotonic() + _INTERVAL
            is_needed = self._is_due(dead_nodes(self._domain)) or has_unfinished_counter(self._domain)
        if is_needed:
            run_helper(self._domain)
        return is_needed

    def _is_due(self, nodes: Collection[int]) -> bool:
        """Whether to try to remove any of these nodes: a new one at once, others after their pauses."""
        now = time.monotonic()
        former, self._planned = self._planned, {}
        is_due = False
        for node in nodes:
            due, pause = former.get(node, (now, _FIRST_PAUSE))
            if due <= now:
                is_due = True
                due, pause = now + pause, 2 * pause
            self._planned[node] = due, pause
        return is_due


_schedules: dict[tuple[str, str, str], CleanupSchedule] = {}


def schedule_of(domain: Domain) -> CleanupSchedule:
    """Return the schedule that all ports of this process in a domain share."""
    key = (domain.root, domain.prefix, domain.node_dir)
    return _schedules.get(key) or _schedules.setdefault(key, CleanupSchedule(domain))


def clean_up_if_stale(domain: Domain) -> bool:
    """Run the helper if there are dead nodes that this process has not just tried to remove.

    Looking costs one listing and some ten µs per node of another process, running the helper a tenth of a second.

    Returns:
        Whether the helper ran.
    """
    return schedule_of(domain).run()


def clean_up_if_due(domain: Domain) -> None:
    """Do `clean_up_if_stale` if no port of this process has done it for two seconds. Call it as often as you like."""
    schedule_of(domain).run_if_due()


if hasattr(os, "register_at_fork"):
    # The parent's thread that held a lock does not exist in the child.
    os.register_at_fork(after_in_child=_schedules.clear)


def run_helper(domain: Domain) -> bool:
    """Remove what dead participants left behind, in a process of its own, and wait for it.

    Uses the compiled helper beside the GStreamer plugin if it exists, else this package's own in Python.

    Returns:
        Whether it ran and succeeded; if not, a later process will clean up.
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
            timeout=_HELPER_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        _log.warning("the clean-up after crashed participants did not run: %s", exc)
        return False
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip()
        _log.warning("the clean-up after crashed participants failed with exit code %d: %s", done.returncode, reason)
    return done.returncode == 0


def _interpreter(module: str) -> list[str]:
    """Command that runs `main(arguments)` of a module of this package in another interpreter.

    That interpreter searches its standard library first, then this package, then the path of this process without the
    working directory: another user may have left a `tempfile.py` there.
    """
    iceoryx2 = find_spec("iceoryx2")
    own = [str(Path(__file__).absolute().parents[2])]
    if iceoryx2 is not None and iceoryx2.origin is not None:
        own.append(str(Path(iceoryx2.origin).absolute().parents[1]))
    folders = [own[0], *filter(_is_elsewhere, sys.path), *own[1:]]
    program = f"import sys; sys.path += {folders!r}; from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-I", "-S", "-c", program]


def _is_elsewhere(folder: str) -> bool:
    """Whether a folder is not the working directory, however its path is written."""
    try:
        return os.path.isabs(folder) and not os.path.samefile(folder, os.curdir)
    except OSError:
        return False
