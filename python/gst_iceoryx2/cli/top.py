"""`iox2-video top`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2.cli import _words as words
from gst_iceoryx2.cli._outcome import Misused, examples
from gst_iceoryx2.cli._params import LocalStream
from gst_iceoryx2.cli._screen import Painter, is_terminal, json_text, rounded, table
from gst_iceoryx2.discovery import require
from gst_iceoryx2.discovery.names import SH4LT
from gst_iceoryx2.errors import printable

if TYPE_CHECKING:
    from gst_iceoryx2.discovery.meter import Meters, Reading

_INTERVAL = 1.0
_HEADS = ("NAME", "FORMAT", "SIZE", "FPS", "JITTER", "MB/S", "GAPS", "P50", "P99", "PUB", "SUB", "NOTE")
_NUMBERS = _HEADS[2:-1]
_KEYS = (
    *("name", "short_name", "format", "width", "height", "fps", "jitter", "bytes_per_second", "gaps"),
    *("latency_p50", "latency_p99", "publishers", "subscribers", "max_subscribers", "has_ended", "problem"),
)


@click.command(
    name="top",
    epilog=examples(
        "iox2-video top",
        "iox2-video top cam0 cam1",
        "iox2-video top cam0 --json --count 10 | jq '.streams[0].latency_p99'",
    ),
)
@click.argument("names", metavar="[NAME]...", type=LocalStream(), nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per second, each on one line.")
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Exit after N seconds; the default is to run until Ctrl-C."
)
def command(names: tuple[str, ...], as_json: bool, count: int | None) -> None:
    """Show live statistics of streams: rate, jitter, gaps, latency.

    Receives every frame, like any subscriber. Without NAME, it shows all streams, including those that start later. P50
    and P99 are percentiles of the latency from capture to arrival: 50 % and 99 % of the frames took no longer. If the
    output is not a terminal, it prints one line per second for each stream.
    """
    for name in names:
        if name.startswith(SH4LT):
            raise Misused(
                f"{name} cannot be watched, because its writer waits for every reader; use `iox2-video info {name}`"
            )
    wanted = [require(name) for name in names]
    rounds: Iterable[int] = itertools.count() if count is None else range(count)
    from gst_iceoryx2.discovery.meter import Meters

    with Meters(wanted) as meters:
        if as_json or not is_terminal():
            for readings in _every_second(meters, rounds):
                for line in [json_text(document(readings))] if as_json else map(_line, readings):
                    click.echo(line)
        else:
            with Painter() as painter:
                painter.draw([_heading([]), "measuring …"])
                for readings in _every_second(meters, rounds):
                    lines = table(_HEADS, [_row(reading) for reading in readings], right=_NUMBERS)
                    painter.draw(lines if readings else [_heading([]), "no streams; they appear here when they start"])


def _every_second(meters: Meters, rounds: Iterable[int]) -> Iterator[list[Reading]]:
    due = time.monotonic()
    for _ in rounds:
        due += _INTERVAL
        time.sleep(max(0.0, due - time.monotonic()))
        yield meters.readings()


def document(readings: Sequence[Reading]) -> dict[str, Any]:
    """Return the document that `--json` prints each second; docs/cli.md explains each key."""
    digits = {"fps": 3, "jitter": 6, "bytes_per_second": 0, "latency_p50": 6, "latency_p99": 6}
    return {"streams": [rounded({key: getattr(one, key) for key in _KEYS}, **digits) for one in readings]}


def _heading(rows: Sequence[Sequence[str]]) -> str:
    return table(_HEADS, rows)[0]


def _row(reading: Reading) -> tuple[str, ...]:
    return (
        reading.short_name,
        words.text(reading.format),
        words.size(reading.width, reading.height),
        words.rate(reading.fps),
        words.milliseconds(reading.jitter),
        words.megabytes(reading.bytes_per_second),
        words.text(reading.gaps),
        words.milliseconds(reading.latency_p50),
        words.milliseconds(reading.latency_p99),
        words.text(reading.publishers),
        words.share(reading.subscribers, reading.max_subscribers),
        words.note(reading.problem, has_ended=reading.has_ended),
    )


def _line(reading: Reading) -> str:
    """Format one reading for an output that is not a terminal."""
    pairs = zip(_HEADS, _row(reading), strict=True)
    name, *rest = ((head.lower(), printable(value)) for head, value in pairs)
    return "  ".join([name[1], *(f"{head} {value}" for head, value in rest if value)])
