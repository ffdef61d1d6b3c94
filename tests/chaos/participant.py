"""A process of a chaos run: ``python -m tests.chaos.participant ROLES``, with one or more roles as JSON.

It reports lines of JSON on standard output, and ends after a line (or the end) of standard input. On SIGUSR1 it prints
the stacks of its threads to standard error.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from typing import Any, Final

from tests.chaos.role import Role

# Kind of role -> module: GStreamer is loaded only if a role needs it.
_KINDS: Final = {
    "publisher": "tests.chaos.sdk:Publisher",
    "subscriber": "tests.chaos.sdk:Subscriber",
    "sink": "tests.chaos.elements:Sink",
    "source": "tests.chaos.elements:Source",
    "server": "tests.chaos.served:Server",
    "reader": "tests.chaos.served:Reader",
    "packet reader": "tests.chaos.encoded:PacketReader",
    "detector": "tests.chaos.joined:Detector",
    "joined reader": "tests.chaos.joined:JoinedReader",
}
_BEAT: Final = 0.2
# Less than the conductor waits, so that the log says which role does not end.
_CLOSE_TIMEOUT: Final = 60.0


class _Lines:
    """Standard output for reports; other prints go to standard error."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def write(self, index: int, line: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps({"role": index, "at": time.monotonic()} | line) + "\n")
            self._file.flush()


def main(specs: list[dict[str, Any]]) -> int:
    """Play the roles until told to end; return 0 if no guarantee was broken."""
    faulthandler.register(signal.SIGUSR1)
    lines = _Lines()
    roles = [_role(index, spec, lines) for index, spec in enumerate(specs)]
    failed = threading.Event()

    def play(role: Role) -> None:
        try:
            role.run()
        except BaseException:
            failed.set()
            role.fault(traceback.format_exc())

    threads = [threading.Thread(target=play, args=(role,), daemon=True) for role in roles]
    for thread in threads:
        thread.start()
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
    while not told.wait(_BEAT) and not failed.is_set():
        _beat(roles, lines)
    for role in roles:
        role.stop.set()
        role.interrupt()
    deadline = time.monotonic() + _CLOSE_TIMEOUT
    for role, thread in zip(roles, threads, strict=True):
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            failed.set()
            role.fault(f"does not end: {role.beat()['phase']}")
            faulthandler.dump_traceback()
    _beat(roles, lines)
    return 1 if failed.is_set() else 0


def _role(index: int, spec: dict[str, Any], lines: _Lines) -> Role:
    module, _, name = _KINDS[spec["kind"]].partition(":")
    kind: type[Role] = getattr(importlib.import_module(module), name)
    return kind(spec, lambda line: lines.write(index, line))


def _beat(roles: list[Role], lines: _Lines) -> None:
    for index, role in enumerate(roles):
        lines.write(index, role.beat())


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
