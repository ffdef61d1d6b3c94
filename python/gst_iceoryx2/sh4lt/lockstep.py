"""The semaphore operations that the protocol consists of.

A path has two semaphores: `READERS` counts the readers that have not released the frame, and `WRITER` is 1 while a
writer is writing. A writer also counts as a reader while it is writing. If a process dies, the kernel reverts its steps
that have the flag `UNDO`.
"""

from __future__ import annotations

import functools
from typing import Final

from .dialect import READERS, WRITER
from .sysv import AT_ONCE, UNDO, Operation, Step

ENTER: Final = Operation(Step(READERS, 0), Step(WRITER, 1, UNDO), Step(READERS, 1, UNDO))
"""A writer begins, once all readers have released the previous frame."""
LEAVE: Final = Operation(Step(READERS, -1, UNDO | AT_ONCE), Step(WRITER, -1, UNDO | AT_ONCE))
"""A writer has finished writing."""
ALL_READ: Final = Operation(Step(READERS, 0))
"""Wait until every reader has released the frame."""
PROMISE: Final = Operation(Step(READERS, 1, UNDO), Step(READERS, -1, AT_ONCE))
"""A reader promises to release the announced frame.

This does not change the counter. But if the reader dies, the kernel subtracts 1.
"""
PROMISE_AND_LOCK: Final = Operation(Step(READERS, 1, UNDO), Step(READERS, -1, AT_ONCE), Step(WRITER, 0, AT_ONCE))
"""`PROMISE` and `LOCK` in one operation. It succeeds only if the writer has already left."""
LOCK: Final = Operation(Step(WRITER, 0))
"""A reader begins, once the writer has left."""
FINISH: Final = Operation(Step(READERS, -1, UNDO | AT_ONCE))
"""A reader releases the frame that it promised to release."""


@functools.cache
def count(readers: int) -> Operation:
    """Return the operation with which a writer adds the readers that it announced a frame to."""
    return Operation(Step(READERS, readers))


def discount(readers: int) -> Operation:
    """Return the operation with which a writer releases a frame on behalf of dead readers."""
    return Operation(Step(READERS, -readers, AT_ONCE))
