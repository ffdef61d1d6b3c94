"""Protect the parent's ports and frames in a forked child.

When a child exits, iceoryx2's destructors would remove the parent's node, services and shared memory. So right after a
fork, every native object gets an extra reference that is never released. Its Python owner raises an error when it is
used in the child.
"""

from __future__ import annotations

import ctypes
import gc
import os
import weakref
from typing import Final, Protocol, TypeVar


class _Guarded(Protocol):
    def _abandon(self) -> None: ...


_G = TypeVar("_G", bound=type[_Guarded])

_ports: Final[weakref.WeakSet[_Guarded]] = weakref.WeakSet()
_kinds: Final[set[type]] = set()


def guard_port(port: _Guarded) -> None:
    """Make forked children call the port's `_abandon()`, which must `leak` its native objects."""
    _ports.add(port)


def guard_kind(kind: _G) -> _G:
    """Class decorator that makes forked children call `_abandon()` on every instance.

    Use it for objects that are created for every frame. Searching all objects of the interpreter once per fork costs
    less than registering every frame.
    """
    _kinds.add(kind)
    return kind


def leak(native: object) -> None:
    """Keep a native object until the process ends; None is ignored."""
    if native is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


def _abandon_all() -> None:
    # This list keeps all objects alive until they have leaked their native objects.
    things = gc.get_objects()
    for thing in things:
        if type(thing) in _kinds:
            thing._abandon()
    for port in list(_ports):
        port._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
