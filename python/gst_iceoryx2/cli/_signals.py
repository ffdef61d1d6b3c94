"""Handles signals, so that a command always leaves its services before it exits."""

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
    """Within the block, exit on SIGTERM and SIGHUP (terminal closed) with the code 128 + signal number."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    return _handled(leave, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block, call `stop` on Ctrl-C and SIGTERM.

    After Ctrl-C, the block raises KeyboardInterrupt at its end. A second Ctrl-C raises KeyboardInterrupt immediately.

    Args:
        stop: Stops the command's work. It is called from a signal handler.
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


@contextlib.contextmanager
def clipping_on_signals(clip: Callable[[], None]) -> Iterator[None]:
    """Within the block, call `clip` on SIGUSR1. Afterwards the signal is ignored, because it would kill the process."""
    signal.signal(signal.SIGUSR1, lambda *_: clip())
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def reloading_on_signals(reload: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Within the block, call `reload` on SIGHUP, as services do."""
    return _handled(lambda *_: reload(), signal.SIGHUP)
