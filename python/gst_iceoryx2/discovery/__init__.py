"""Finds video streams: services in this domain that carry frames, and Sh4lt paths with a running writer.

    from gst_iceoryx2.discovery import streams

    for stream in streams():
        print(stream.short_name, stream.format, stream.width, stream.height, stream.fps, stream.age)

Finding streams does not create services. Its temporary subscribers are closed when a function returns.
"""

from __future__ import annotations

from .detectors import detectors
from .encoded import encoded
from .listing import streams
from .names import full_name, names, nearest, require, short_name
from .stream import Stream

__all__ = [
    "Stream",
    "detectors",
    "encoded",
    "full_name",
    "names",
    "nearest",
    "require",
    "short_name",
    "streams",
]
