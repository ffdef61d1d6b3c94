"""Bytes of GstBuffers in place. PyGObject copies them, and its wrapper makes a buffer unwritable."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from benchmarks.gst_memory import MapInfo, library, map_buffer, unmap_buffer
from tests.chaos.pattern import Bytes

_READ, _WRITE = 1, 2
_DISCONT: Final = 1 << 6
# GST_PAD_PROBE_TYPE_BUFFER and GST_PAD_PROBE_OK. Source: gst/gstpad.h.
_PROBE_BUFFER, _PROBE_OK = 1 << 4, 1


class _ProbeInfo(ctypes.Structure):
    """Beginning of GstPadProbeInfo. Source: gst/gstpad.h."""

    _fields_ = (("type", ctypes.c_int), ("id", ctypes.c_ulong), ("data", ctypes.c_void_p))


class _MiniObject(ctypes.Structure):
    """Beginning of GstMiniObject. Source: gst/gstminiobject.h."""

    _fields_ = (
        ("type", ctypes.c_size_t),
        ("refcount", ctypes.c_int),
        ("lockstate", ctypes.c_int),
        ("flags", ctypes.c_uint),
    )


_Probe = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_ProbeInfo), ctypes.c_void_p)

_add_probe = library.gst_pad_add_probe
_add_probe.argtypes = (ctypes.c_void_p, ctypes.c_int, _Probe, ctypes.c_void_p, ctypes.c_void_p)
_add_probe.restype = ctypes.c_ulong
_ref, _unref = library.gst_mini_object_ref, library.gst_mini_object_unref
_ref.argtypes, _ref.restype = (ctypes.c_void_p,), ctypes.c_void_p
_unref.argtypes, _unref.restype = (ctypes.c_void_p,), None


@contextmanager
def mapped(buffer: int, *, write: bool = False) -> Iterator[Bytes]:
    """Map the bytes of the buffer at an address within the `with` block."""
    info = MapInfo()
    if not map_buffer(buffer, ctypes.byref(info), _READ | _WRITE if write else _READ):
        raise RuntimeError(f"the buffer cannot be mapped for {'writing' if write else 'reading'}")
    try:
        yield np.frombuffer((ctypes.c_uint8 * info.size).from_address(info.data), np.uint8)
    finally:
        unmap_buffer(buffer, ctypes.byref(info))


class MappedBuffer:
    """A buffer, held and mapped for reading while this object lives.

    Attributes:
        pixels: Its bytes.
    """

    def __init__(self, buffer: int) -> None:
        self._buffer = _ref(buffer)
        self._mapping = mapped(buffer)
        self.pixels = self._mapping.__enter__()

    def __del__(self) -> None:
        self._mapping.__exit__(None, None, None)
        _unref(self._buffer)


def is_discontinuity(buffer: int) -> bool:
    """Return whether the buffer at an address has the flag DISCONT."""
    return bool(_MiniObject.from_address(buffer).flags & _DISCONT)


def probe(pad: Any, look: Callable[[int], None]) -> object:
    """Call `look` with the address of each buffer that passes a pad, in the streaming thread.

    Returns:
        An object to keep while the pad is used.
    """

    def call(_pad: int, info: Any, _data: int) -> int:
        look(info.contents.data)
        return _PROBE_OK

    function = _Probe(call)
    assert _add_probe(hash(pad), _PROBE_BUFFER, function, None, None)
    return function
