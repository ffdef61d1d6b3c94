"""Publishes a test pattern, video file, picture or camera as a service.

    from gst_iceoryx2.feed import Feeder, TestPattern

    print(Feeder("cam0", TestPattern(1280, 720), duration=10).run())

`VideoFile`, `Image` and `Camera` need PyAV (`pip install 'iox2-video[record]'`). The test pattern needs only numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import FeedError, SettingError, SourceError
from .feeder import Fed, Feeder
from .pattern import TestPattern, read_number
from .source import Picture, Shape, Source

if TYPE_CHECKING:
    from .decoder import Camera, Image, VideoFile

__all__ = [
    "Camera",
    "Fed",
    "FeedError",
    "Feeder",
    "Image",
    "Picture",
    "SettingError",
    "Shape",
    "Source",
    "SourceError",
    "TestPattern",
    "VideoFile",
    "read_number",
]


def __getattr__(name: str) -> Any:
    if name in ("Camera", "Image", "VideoFile"):
        from . import decoder

        return getattr(decoder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
