"""Waiting for something to become true, and for frames, in tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Frame = TypeVar("_Frame")


def wait_until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Return when `condition()` is true; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not so after {timeout} s: {condition}"
        time.sleep(0.005)


def arrived(frame: _Frame | None) -> _Frame:
    """Return the frame that a call received; AssertionError if it received none."""
    assert frame is not None, "no frame arrived"
    return frame
