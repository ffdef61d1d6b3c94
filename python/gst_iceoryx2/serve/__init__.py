"""Serves streams on demand: each starts with its first reader, in the shape that each reader wants.

    from gst_iceoryx2.serve import Supervisor, load

    config = load("streams.toml")
    for problem in config.problems:
        print(problem.text)
    Supervisor(config).run()

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
    from ..video.rendition import Rendition, rendition_meta
    from .config import Config, ConfigError, Problem, load
    from .notify import Notifier
    from .stream import StreamConfig, feed_of, source_of
    from .supervisor import ServeError, ServeStatus, StreamStatus, Supervisor
    from .unit import Installed, UnitError, install, unit_name, unit_text

__all__ = [
    "Config",
    "ConfigError",
    "Installed",
    "Notifier",
    "Problem",
    "Rendition",
    "RenditionName",
    "RenditionShape",
    "ServeError",
    "ServeStatus",
    "StreamConfig",
    "StreamStatus",
    "Supervisor",
    "UnitError",
    "codec_of",
    "feed_of",
    "install",
    "load",
    "rendition_meta",
    "source_of",
    "unit_name",
    "unit_text",
]

# Imported on demand, because a process that only waits for readers needs neither numpy nor PyAV.
_MODULES = {
    "Config": ".config",
    "ConfigError": ".config",
    "Installed": ".unit",
    "Notifier": ".notify",
    "Problem": ".config",
    "Rendition": "..video.rendition",
    "RenditionName": ".._wire.rendition",
    "RenditionShape": ".._wire.rendition",
    "ServeError": ".supervisor",
    "ServeStatus": ".supervisor",
    "StreamConfig": ".stream",
    "StreamStatus": ".supervisor",
    "Supervisor": ".supervisor",
    "UnitError": ".unit",
    "codec_of": ".._wire.rendition",
    "feed_of": ".stream",
    "install": ".unit",
    "load": ".config",
    "rendition_meta": "..video.rendition",
    "source_of": ".stream",
    "unit_name": ".unit",
    "unit_text": ".unit",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_MODULES[name], __name__), name)
    # Help texts show the public module, not the one that defines the object.
    found.__module__ = __name__
    return found
