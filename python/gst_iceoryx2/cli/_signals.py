"""What signals do to a command: it always leaves its services before it ends."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, TypeAlias

_Handler: TypeAlias = Callable[[int, FrameType | None], object]


@contextlib.contextmanager
def _handled(handler: _Handler, *numbers: int) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def exiting_on_signals() -> contextlib.AbstractContextManager[None]:
    """Within the block, SIGTERM and SIGHUP (the terminal was closed) exit with code 128 + the signal's number."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    return _handled(leave, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block, Ctrl-C and SIGTERM call `stop`. After a Ctrl-C the block raises KeyboardInterrupt at its end.

    A second Ctrl-C raises KeyboardInterrupt at once.

    Args:
        stop: Stops the command's work; called by a signal handler.
    """
    is_interrupted = False

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal is_interrupted
        if number == signal.SIGINT:
            is_interrupted = True
            signal.signal(number, signal.default_int_handler)
        stop()

    with _handled(ask, signal.SIGINT, signal.SIGTERM):
        yield
    if is_interrupted:
        raise KeyboardInterrupt
