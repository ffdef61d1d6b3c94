"""Asking something that runs to end, also from a signal handler."""

from __future__ import annotations

import queue


class Stop:
    """A flag that can be waited for.

    `threading.Event` must not be set by a signal handler: it would wait for a lock that the interrupted code holds.
    """

    __slots__ = ("_bell", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        # Its put() is made for signal handlers and destructors.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Raise it, for good."""
        self._is_set = True
        self._bell.put(None)

    def is_set(self) -> bool:
        """Whether it was raised."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Sleep until it is raised, for so many seconds at most; return whether it was."""
        if not self._is_set:
            try:
                self._bell.get(timeout=max(0.0, timeout))
            except queue.Empty:
                return self._is_set
            # For whoever else waits.
            self._bell.put(None)
        return self._is_set
