"""The common part of `Bridge`, `Feeder` and `Recorder`: they run until they end or are stopped, and report progress."""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Work"]

Report = TypeVar("Report")

_REPORT_INTERVAL: Final = 0.1


class Stop:
    """A flag to wait for, which a signal handler may set.

    `threading.Event` cannot be set by a signal handler: it would wait for a lock that the interrupted code holds.
    """

    __slots__ = ("_is_set", "_wake_ups")

    def __init__(self) -> None:
        self._is_set = False
        # SimpleQueue.put() is reentrant: the standard library made it for signal handlers and destructors.
        self._wake_ups: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Set the flag; it stays set."""
        self._is_set = True
        self._wake_ups.put(None)

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Sleep until the flag is set, for at most `timeout` seconds; return whether it is set."""
        if not self._is_set:
            try:
                self._wake_ups.get(timeout=max(0.0, timeout))
            except queue.Empty:
                return self._is_set
            # Other threads may wait, too.
            self._wake_ups.put(None)
        return self._is_set


class Work(ABC, Generic[Report]):
    """Base class of what runs once, from `run` until its natural end, a limit, or `stop`."""

    def __init__(self) -> None:
        self._stop = Stop()
        self._reported_at = time.monotonic()

    @abstractmethod
    def run(self, progress: Callable[[Report], None] | None = None) -> Report:
        """Do the work, then release everything.

        Args:
            progress: Called ten times a second with a report, by the thread that called `run`.

        Returns:
            The final report.
        """

    @abstractmethod
    def report(self) -> Report:
        """The progress so far; after `run`, the final report."""

    def stop(self) -> None:
        """Stop the work; `run` returns soon. Any thread and any signal handler may call this."""
        self._stop.set()

    def _report_to(self, progress: Callable[[Report], None] | None) -> None:
        """Report if it is time to."""
        now = time.monotonic()
        if progress is not None and now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            progress(self.report())
