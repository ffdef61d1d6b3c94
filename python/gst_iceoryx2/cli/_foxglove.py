"""`iox2-video view --foxglove`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from gst_iceoryx2.cli._outcome import refuse_options
from gst_iceoryx2.cli._params import only_services
from gst_iceoryx2.cli._screen import say

# Options of the page, of snapshots and of other viewers.
_OTHERS: Final = (
    *("host", "tls", "token_file", "no_browser", "max_fps", "quality", "results_wait", "snapshot", "timeout"),
    *("rerun", "rerun_file"),
)


def show(names: Sequence[str], port: int | None, detectors: Sequence[str], absent: Sequence[str]) -> None:
    """Offer streams to Foxglove until Ctrl-C.

    Args:
        names: Full names of the streams.
        port: TCP port; None = Foxglove's usual one.
        detectors: Names of detectors.
        absent: A line for each stream that does not exist yet.
    """
    refuse_options(_OTHERS, "--foxglove")
    only_services(names, "--foxglove")
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
