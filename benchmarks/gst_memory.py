"""gst_buffer_map() and gst_buffer_unmap() by the address of a buffer, because PyGObject copies all bytes that it maps.

Only its addition for GStreamer (python3-gst-1.0) does not, and that is not everywhere.
"""

from __future__ import annotations

import ctypes

library = ctypes.CDLL("libgstreamer-1.0.so.0")


class MapInfo(ctypes.Structure):
    """GstMapInfo. Source: gst/gstmemory.h."""

    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("maxsize", ctypes.c_size_t),
        ("user_data", ctypes.c_void_p * 4),
        ("reserved", ctypes.c_void_p * 4),
    )


map_buffer, unmap_buffer = library.gst_buffer_map, library.gst_buffer_unmap
map_buffer.argtypes = (ctypes.c_void_p, ctypes.POINTER(MapInfo), ctypes.c_int)
map_buffer.restype = ctypes.c_int
unmap_buffer.argtypes = (ctypes.c_void_p, ctypes.POINTER(MapInfo))
unmap_buffer.restype = None
