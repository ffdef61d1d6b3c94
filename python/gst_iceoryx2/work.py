"""Base classes for long-running work that reports progress and can be stopped: bridges, feeds, recordings."""

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
    """A flag that threads can wait for and that a signal handler can set.

    A signal handler cannot safely set a `threading.Event`, because it would wait for a lock that the interrupted code
    may hold.
    """

    __slots__ = ("_is_set", "_wake_ups")

    def __init__(self) -> None:
        self._is_set = False
        # SimpleQueue.put() is reentrant, so signal handlers and destructors may call it.
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
            # Wake the next thread, because several may be waiting.
            self._wake_ups.put(None)
        return self._is_set


class Work(ABC, Generic[Report]):
    """Work that runs once: from `run` until it is finished, reaches a limit, or is stopped."""

    def __init__(self) -> None:
        self._stop = Stop()
        self._reported_at = time.monotonic()

    @abstractmethod
    def run(self, progress: Callable[[Report], None] | None = None) -> Report:
        """Do the work, then release all resources.

        Args:
            progress: Called ten times per second with a report, from the thread that called `run`.

        Returns:
            The final report.
        """

    @abstractmethod
    def report(self) -> Report:
        """Return the progress so far; after `run`, the final report."""

    def stop(self) -> None:
        """Stop the work, so that `run` returns soon. Any thread or signal handler may call this."""
        self._stop.set()

    def _report_to(self, progress: Callable[[Report], None] | None) -> None:
        """Report progress if the next report is due."""
        now = time.monotonic()
        if progress is not None and now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            progress(self.report())
