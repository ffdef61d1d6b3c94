"""The processes of a supervisor's streams, which are killed and stopped by the conductor."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path
from typing import Final, NamedTuple

_WORKER: Final = "gst_iceoryx2.serve.worker"


class _Child(NamedTuple):
    """A process: its descriptor, which never refers to another process, and its kind."""

    descriptor: int
    kind: str


class Children:
    """All processes that supervisors have started in a run."""

    def __init__(self) -> None:
        self._known: dict[int, _Child] = {}

    def look(self, supervisor: int) -> None:
        """Note the present children of a supervisor."""
        for task in Path(f"/proc/{supervisor}/task").glob("*"):
            with contextlib.suppress(OSError):
                for pid in map(int, (task / "children").read_text().split()):
                    self._note(pid)

    def _note(self, pid: int) -> None:
        if pid in self._known and self.is_there(pid):
            return
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            # Before `execve`, it is a copy of its parent.
            if _WORKER in words:
                self._known[pid] = _Child(descriptor, words[words.index(_WORKER) + 1])
            else:
                os.close(descriptor)

    @property
    def there(self) -> list[int]:
        """The processes that run or are stopped."""
        return [pid for pid in self._known if self.is_there(pid)]

    def is_there(self, pid: int) -> bool:
        """Return whether a process has not ended."""
        return not select.select([self._known[pid].descriptor], [], [], 0)[0]

    def kind(self, pid: int) -> str:
        """Return what a process serves."""
        return self._known[pid].kind

    def send(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process that may have ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._known[pid].descriptor, number)

    def end(self) -> None:
        """Kill what is left, and close the descriptors."""
        for pid, child in self._known.items():
            self.send(pid, signal.SIGKILL)
            os.close(child.descriptor)
        self._known.clear()
