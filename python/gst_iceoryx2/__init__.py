"""Live raw video between processes, passed by reference through Eclipse iceoryx2 shared memory.

`gst_iceoryx2.video` publishes and receives frames in plain Python, without GStreamer. This module gives access to the
GStreamer elements: `setup_gstreamer()` registers ``iceoryx2sink`` and ``iceoryx2src`` in the running program, and
`plugin_path()` returns the folder for GST_PLUGIN_PATH. Importing this module loads neither GStreamer nor the plugin.
"""

from __future__ import annotations

import logging

from gst_iceoryx2._namesake import warn as _warn_of_namesake
from gst_iceoryx2._plugin import (
    ELEMENT_NAME,
    ELEMENT_NAMES,
    PLUGIN_NAME,
    SINK_ELEMENT_NAME,
    SRC_ELEMENT_NAME,
    plugin_path,
    setup_gstreamer,
)
from gst_iceoryx2.errors import printable as _printable

__all__ = [
    "ELEMENT_NAME",
    "ELEMENT_NAMES",
    "PLUGIN_NAME",
    "SINK_ELEMENT_NAME",
    "SRC_ELEMENT_NAME",
    "__version__",
    "plugin_path",
    "setup_gstreamer",
]

__version__: str
"""Version of the installed distribution `iox2-video`."""

_warn_of_namesake()


def _print_in_one_line(record: logging.LogRecord) -> bool:
    record.msg, record.args = _printable(record.getMessage()), None
    return True


# Escape control characters, because messages may quote names and texts from other programs.
logging.getLogger(__name__).addFilter(_print_in_one_line)


def __getattr__(name: str) -> str:
    # Looked up on demand, because importing importlib.metadata would take most of this module's import time.
    if name == "__version__":
        from importlib.metadata import version

        return version("iox2-video")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
