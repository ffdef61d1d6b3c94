"""The output of `iox2-video --version`: four parts that must fit each other."""

from __future__ import annotations

from importlib.metadata import version

from gst_iceoryx2._plugin import gstreamer_version, plugin_version


def version_lines() -> list[str]:
    """Return a line for each of the package, iceoryx2, the compiled plugin and the host's GStreamer."""
    try:
        plugin = plugin_version()
    except RuntimeError:
        plugin = "none (`iox2-video plugin-path` and setup_gstreamer() say why)"
    parts = {
        "iox2-video": version("iox2-video"),
        "iceoryx2": version("iceoryx2"),
        "plugin": plugin,
        "GStreamer": gstreamer_version() or "not found",
    }
    return [f"{name} {value}" for name, value in parts.items()]
