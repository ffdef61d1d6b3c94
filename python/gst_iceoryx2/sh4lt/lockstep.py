"""The semaphore operations of the protocol.

A path has two semaphores: `READERS` counts the readers that have not finished with the frame, and `WRITER` is 1 while a
writer writes. A writer counts as a reader while it writes. The kernel reverts steps with `UNDO` if the process dies.
"""

from __future__ import annotations

import functools
from typing import Final

from .dialect import READERS, WRITER
from .sysv import AT_ONCE, UNDO, Operation, Step

ENTER: Final = Operation(Step(READERS, 0), Step(WRITER, 1, UNDO), Step(READERS, 1, UNDO))
"""A writer begins: all readers have finished."""
LEAVE: Final = Operation(Step(READERS, -1, UNDO | AT_ONCE), Step(WRITER, -1, UNDO | AT_ONCE))
"""A writer ends."""
ALL_READ: Final = Operation(Step(READERS, 0))
"""Every reader has finished."""
PROMISE: Final = Operation(Step(READERS, 1, UNDO), Step(READERS, -1, AT_ONCE))
"""A reader promises to finish with the announced frame.

The counter stays as it is, but if the reader dies, the kernel subtracts 1.
"""
PROMISE_AND_LOCK: Final = Operation(Step(READERS, 1, UNDO), Step(READERS, -1, AT_ONCE), Step(WRITER, 0, AT_ONCE))
"""`PROMISE` and `LOCK` in one operation; possible if the writer has left already."""
LOCK: Final = Operation(Step(WRITER, 0))
"""A reader begins: the writer has left."""
FINISH: Final = Operation(Step(READERS, -1, UNDO | AT_ONCE))
"""A reader finishes, which fulfils its promise."""


@functools.cache
def count(readers: int) -> Operation:
    """A writer adds the readers to which it announced a frame."""
    return Operation(Step(READERS, readers))


def discount(readers: int) -> Operation:
    """A writer finishes in place of dead readers."""
    return Operation(Step(READERS, -readers, AT_ONCE))
