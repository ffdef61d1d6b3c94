"""Clean up after crashed participants, always in a separate process.

iceoryx2 uses POSIX file locks to decide whether a node is alive. These locks belong to the process, and closing any
descriptor of a locked file drops the lock. Two copies of iceoryx2 may share a process (this package and the GStreamer
plugin). If one copy cleans up, or just lists nodes, it drops the locks of the other copy, whose nodes then look dead to
other processes. So this module does not open node files (`liveness` checks them safely), and `run_helper` starts a
short-lived program for the clean-up.
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
# Timeout for the helper; longer than the helper waits for its turn.
_HELPER_TIMEOUT: Final = seconds("cleanup_helper")
# Time between two checks for dead nodes, in seconds.
_INTERVAL: Final = 2.0
# Time until the second attempt to clean up after a node. Each further pause is twice as long.
_FIRST_PAUSE: Final = seconds("cleanup_retry")


class CleanupSchedule:
    """Decides when this process checks a domain for dead nodes and when it retries to remove them."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._lock = threading.Lock()
        self._next_look = 0.0
        # For each dead node, the time of the next attempt and the pause after it.
        self._planned: dict[int, tuple[float, float]] = {}

    def run_if_due(self) -> None:
        """Check for dead nodes and clean up, unless this process has already checked within the interval."""
        if time.monotonic() >= self._next_look:
            self.run()

    def run(self) -> bool:
        """Check for dead nodes, and run the helper if necessary; return whether it ran."""
        with self._lock:
            self._next_look = time.monotonic() + _INTERVAL
            is_needed = self._is_due(dead_nodes(self._domain)) or has_unfinished_counter(self._domain)
        if is_needed:
            run_helper(self._domain)
        return is_needed

    def _is_due(self, nodes: Collection[int]) -> bool:
        """Return whether to try to remove any of these nodes: new ones immediately, others after their pauses."""
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
    """Return the schedule shared by all ports of this process in a domain."""
    key = (domain.root, domain.prefix, domain.node_dir)
    return _schedules.get(key) or _schedules.setdefault(key, CleanupSchedule(domain))


def clean_up_if_stale(domain: Domain) -> bool:
    """Run the helper if there are dead nodes, except for those that this process has recently tried to remove.

    The check takes one directory listing and about 10 µs per node of another process. Running the helper takes a tenth
    of a second.

    Returns:
        Whether the helper ran.
    """
    return schedule_of(domain).run()


def clean_up_if_due(domain: Domain) -> None:
    """Call `clean_up_if_stale` at most every two seconds per process and domain. You may call this at any rate."""
    schedule_of(domain).run_if_due()


if hasattr(os, "register_at_fork"):
    # A lock may be held by a thread of the parent, which does not exist in the child.
    os.register_at_fork(after_in_child=_schedules.clear)


def run_helper(domain: Domain) -> bool:
    """Remove the leftovers of dead participants in a separate process, and wait for it.

    This uses the compiled helper next to the GStreamer plugin if it exists, otherwise this package's Python helper.

    Returns:
        Whether the helper ran and succeeded. If not, a later process will clean up.
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
    """Return a command that runs `main(arguments)` from a module of this package in another interpreter.

    That interpreter searches its standard library first, then this package, then the module path of this process. The
    working directory is excluded, because another user may have left a `tempfile.py` there.
    """
    iceoryx2 = find_spec("iceoryx2")
    own = [str(Path(__file__).absolute().parents[2])]
    if iceoryx2 is not None and iceoryx2.origin is not None:
        own.append(str(Path(iceoryx2.origin).absolute().parents[1]))
    folders = [own[0], *filter(_is_elsewhere, sys.path), *own[1:]]
    program = f"import sys; sys.path += {folders!r}; from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-I", "-S", "-c", program]


def _is_elsewhere(folder: str) -> bool:
    """Return whether a folder is not the working directory, however its path is written."""
    try:
        return os.path.isabs(folder) and not os.path.samefile(folder, os.curdir)
    except OSError:
        return False
