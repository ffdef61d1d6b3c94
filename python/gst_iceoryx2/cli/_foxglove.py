"""`iox2-video view --foxglove`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
from click.core import ParameterSource

from gst_iceoryx2.cli._outcome import Misused
from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.discovery.names import SCHEMES

# Options of the page and of snapshots.
_OTHERS: Final = ("host", "tls", "token_file", "max_fps", "quality", "results_wait", "snapshot", "timeout")


def show(names: Sequence[str], port: int | None, detectors: Sequence[str], absent: Sequence[str]) -> None:
    """Offer streams to Foxglove until Ctrl-C.

    Args:
        names: Full names of the streams.
        port: TCP port; None = Foxglove's usual one.
        detectors: Names of detectors.
        absent: A line for each stream that does not exist yet.
    """
    _check_options(names)
    from gst_iceoryx2.foxglove import DEFAULT_PORT, FoxgloveView

    with FoxgloveView(names, port=DEFAULT_PORT if port is None else port, results=detectors) as view:
        click.echo(view.url)
        for line in absent:
            say(line)
        say(f"Topics: {', '.join(view.topics)}. In Foxglove, choose Open connection and enter this address.")
        say(
            "Warning: the address has no token. Every user of this machine, and every web page that is open in a "
            "browser on it, can see the video. Other machines cannot."
        )
        say("Press Ctrl-C to stop.")
        view.wait(say)


def _check_options(names: Sequence[str]) -> None:
    context = click.get_current_context()
    for option in _OTHERS:
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise Misused(f"--{option.replace('_', '-')} cannot be used with --foxglove")
    for name in names:
        if name.startswith(SCHEMES):
            raise Misused(f"--foxglove shows services, not {name}; first run `iox2-video bridge {name} NAME`")
