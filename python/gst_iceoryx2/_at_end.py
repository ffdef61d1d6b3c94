"""Free resources at the end of an object without losing Ctrl-C.

Python discards exceptions in `__del__`, even the KeyboardInterrupt of a signal that arrives while `__del__` runs. The
program then continues as if nobody had pressed Ctrl-C. Python handles signals only while it runs Python code, so a
`__del__` that calls a C function directly cannot lose one.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Final

CALL_AT_END: Final = property(attrgetter("_at_end"))
"""Assign this to `__del__` of a class whose objects have a function without arguments in `_at_end`.

The function must not refer to its object. In normal use it must be a C function, or a `functools.partial` of one; only
for an object that was forgotten without a call to its `close()`, it may be a Python function.
"""

NOTHING: Final[Callable[[], object]] = bool
"""A C function for an object that has nothing to free."""
