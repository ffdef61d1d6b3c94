"""Serves renditions of streams: other sizes and formats, converted once for all readers.

Each frame of a rendition tells which part of its source it shows:

    from gst_iceoryx2.serve import Rendition
    from gst_iceoryx2.video import VideoFrameSubscriber

    for frame in VideoFrameSubscriber("video/cam0@640x640-RGB/frame/v2"):
        rendition = Rendition.of(frame)
        if rendition is not None:
            print(rendition.to_source(320, 320), "in", rendition.service)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._wire.rendition import RenditionName, RenditionShape, codec_of
    from .mapping import Rendition, rendition_meta

__all__ = [
    "Rendition",
    "RenditionName",
    "RenditionShape",
    "codec_of",
    "rendition_meta",
]

# Imported on demand, because a process that only waits for readers needs neither numpy nor PyAV.
_MODULES = {
    "Rendition": ".mapping",
    "RenditionName": ".._wire.rendition",
    "RenditionShape": ".._wire.rendition",
    "codec_of": ".._wire.rendition",
    "rendition_meta": ".mapping",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_MODULES[name], __name__), name)
    # Help texts show the public module, not the one that defines the object.
    found.__module__ = __name__
    return found
