"""Ports and frames in a forked child: they stay the parent's.

When a child exits, iceoryx2's destructors would remove the parent's node, services and shared memory. So right after a
fork every native object gets a reference that is never given back, and its owner raises an error when it is used.
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
    """Call the port's `_abandon()` in a forked child; it must `leak` its native objects."""
    _ports.add(port)


def guard_kind(kind: _G) -> _G:
    """Class decorator: call `_abandon()` of every instance in a forked child.

    For objects that are made for every frame: one search through all objects of the interpreter per fork costs less
    than registering every frame.
    """
    _kinds.add(kind)
    return kind


def leak(native: object) -> None:
    """Keep a native object until the process ends; None is ignored."""
    if native is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


def _abandon_all() -> None:
    # This list keeps every object alive until all of them have leaked their native objects.
    things = gc.get_objects()
    for thing in things:
        if type(thing) in _kinds:
            thing._abandon()
    for port in list(_ports):
        port._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
