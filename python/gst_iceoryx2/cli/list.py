"""`iox2-video list`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.cli import _words as words
from gst_iceoryx2.cli._outcome import examples
from gst_iceoryx2.cli._screen import Painter, is_terminal, json_text, rounded, say, styled, table
from gst_iceoryx2.discovery import Stream, streams
from gst_iceoryx2.errors import printable

_INTERVAL = 1.0
_HEADS = ("NAME", "FORMAT", "SIZE", "FPS", "PUB", "SUB", "AGE", "NOTE")
_NUMBERS = ("SIZE", "FPS", "PUB", "SUB", "AGE")


@click.command(
    name="list",
    epilog=examples(
        "iox2-video list",
        "iox2-video list --watch",
        "iox2-video list --json | jq -r '.streams[] | select(.fps != null) | .name'",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, one document per line.")
@click.option("--watch", is_flag=True, help="Repeat every second until Ctrl-C.")
def command(as_json: bool, watch: bool) -> None:
    """List the video streams in this domain, and Sh4lt paths.

    FPS is the measured frame rate. AGE is the age of the newest frame. "-" means that a value is unknown.
    """
    if watch and not as_json and is_terminal():
        with Painter() as painter:
            while True:
                painter.draw(_lines(streams()) or [_nothing()])
                time.sleep(_INTERVAL)
    while True:
        found = streams()
        if as_json:
            click.echo(json_text(document(found), indent=None if watch else 2))
        else:
            _print(found)
        if not watch:
            return
        time.sleep(_INTERVAL)


def document(found: Sequence[Stream]) -> dict[str, Any]:
    """Return the document that `--json` prints; docs/cli.md explains each key."""
    domain = current_domain()
    return {
        "domain": {"root": domain.root, "prefix": domain.prefix},
        "streams": [stream_document(stream) for stream in found],
    }


def stream_document(stream: Stream) -> dict[str, Any]:
    """Return the JSON object of one stream."""
    return {"name": stream.name, "short_name": stream.short_name} | rounded(asdict(stream), fps=3, age=6)


def _lines(found: Sequence[Stream]) -> list[str]:
    if not found:
        return []
    rows = [
        (
            stream.short_name,
            words.text(stream.format),
            words.size(stream.width, stream.height),
            words.rate(stream.fps),
            words.text(stream.publishers),
            words.share(stream.subscribers, stream.max_subscribers),
            words.age(stream.age),
            words.note(stream.problem, has_ended=stream.has_ended),
        )
        for stream in found
    ]
    return table(_HEADS, rows, right=_NUMBERS)


def _print(found: Sequence[Stream]) -> None:
    if not found:
        say(_nothing())
        return
    head, *lines = _lines(found)
    click.echo("\n".join([styled(head, bold=True), *lines]))


def _nothing() -> str:
    domain = current_domain()
    return printable(
        f"no video streams in {domain.root} (prefix {domain.prefix!r}); "
        "set IOX2_VIDEO_DOMAIN to use another domain, or run `iox2-video doctor` to find the reason"
    )
