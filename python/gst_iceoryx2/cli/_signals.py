"""Ctrl-C and a service manager's SIGTERM: what runs is asked to end in order, not torn apart."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Signals:
    """While entered, signals call `stop`. Left after a Ctrl-C, it raises KeyboardInterrupt: exit code 130.

    A second Ctrl-C does not wait.

    Args:
        stop: Asks the command's work to end; called in a signal handler.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._interrupted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self._interrupted = True
            signal.signal(number, signal.default_int_handler)
        self._stop()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._interrupted and kind is None:
            raise KeyboardInterrupt
