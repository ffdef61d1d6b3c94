"""Finding Python code that runs while an object is freed: an interrupt in such code would be lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def python_calls(action: Callable[[], object]) -> list[str]:
    """Return the names of all Python functions that `action` runs, apart from itself."""
    names: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name)

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return names[1:]
