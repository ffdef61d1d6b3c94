"""What happens to ports and frames in a forked child: they stay the parent's.

A child that ends normally would run iceoryx2's destructors, and these remove the parent's node, services and shared
memory. So right after a fork every native object gets a reference that is never given back, and whoever holds it says
so when it is used.
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
    """In a forked child, call the port's `_abandon()`; it must `leak` what is native."""
    _ports.add(port)


def guard_kind(kind: _G) -> _G:
    """Class decorator: in a forked child, call `_abandon()` of every instance.

    For what is made for every frame: the search through all objects of the interpreter, once a fork, costs less than
    registering every frame would.
    """
    _kinds.add(kind)
    return kind


def leak(native: object) -> None:
    """Keep a native object until the process ends, whoever lets go of it. None is nothing to keep."""
    if native is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


def _abandon_all() -> None:
    # The list keeps everything alive until all of it has leaked what is native.
    things = gc.get_objects()
    for thing in things:
        if type(thing) in _kinds:
            thing._abandon()
    for port in list(_ports):
        port._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
