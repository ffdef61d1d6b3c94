"""What cannot be copied or sent to another process says so, and what to do instead."""

from __future__ import annotations

from typing import NoReturn


def refuse_to_copy(thing: object, instead: str) -> NoReturn:
    """Raise what `pickle` and `copy` are to raise.

    Args:
        thing: What was to be copied; its `repr` names it.
        instead: What to do.

    Raises:
        TypeError: Always.
    """
    raise TypeError(f"cannot pickle or copy {thing!r}: {instead}")
