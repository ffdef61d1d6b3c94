"""The output of `iox2-video --version`: the versions of four components that must be compatible."""

from __future__ import annotations

from importlib.metadata import version

from gst_iceoryx2._plugin import gstreamer_version, plugin_version


def version_lines() -> list[str]:
    """Return one line each for the package, iceoryx2, the compiled plugin and the installed GStreamer."""
    try:
        plugin = plugin_version()
    except RuntimeError:
        plugin = "none (`iox2-video plugin-path` shows the reason)"
    parts = {
        "iox2-video": version("iox2-video"),
        "iceoryx2": version("iceoryx2"),
        "plugin": plugin,
        "GStreamer": gstreamer_version() or "not found",
    }
    return [f"{name} {value}" for name, value in parts.items()]
