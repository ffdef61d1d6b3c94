"""`iox2-video plugin-path`."""

from __future__ import annotations

import click

from gst_iceoryx2 import plugin_path
from gst_iceoryx2.cli._outcome import Failed, examples


@click.command(
    name="plugin-path",
    epilog=examples(
        "GST_PLUGIN_PATH=$(iox2-video plugin-path) gst-inspect-1.0 iceoryx2",
        "export GST_PLUGIN_PATH=$(iox2-video plugin-path)",
    ),
)
def command() -> None:
    """Print the folder that contains the GStreamer plugin, for GST_PLUGIN_PATH."""
    try:
        folder = plugin_path()
    except RuntimeError as exc:
        raise Failed(str(exc)) from exc
    click.echo(folder)
