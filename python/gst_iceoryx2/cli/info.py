"""`iox2-video info`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.cli import _words as words
from gst_iceoryx2.cli._outcome import examples
from gst_iceoryx2.cli._params import LocalOrEncodedStream
from gst_iceoryx2.cli._screen import json_text, styled, table
from gst_iceoryx2.cli.list import stream_document
from gst_iceoryx2.discovery import full_name, names, require
from gst_iceoryx2.discovery.names import SH4LT, served_as
from gst_iceoryx2.discovery.served import Served
from gst_iceoryx2.discovery.sh4lt import sh4lt_paths, sh4lt_stream
from gst_iceoryx2.discovery.stream import Stream
from gst_iceoryx2.errors import FormatError, ServiceNotFoundError, printable

if TYPE_CHECKING:
    from gst_iceoryx2.discovery.details import Details

_SH4LT_LOOK = 1.0


@click.command(
    name="info",
    epilog=examples(
        "iox2-video info cam0",
        "iox2-video info video/cam0/frame/v2 --json | jq .memory",
        "iox2-video info cam0 --json | jq -r '.participants[].pid'",
    ),
)
@click.argument("name", type=LocalOrEncodedStream())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, as_json: bool) -> None:
    """Show one stream in detail: caps, QoS, strides, metas, processes, memory.

    Examines the frames that arrive within one second.
    """
    if name.startswith(SH4LT):
        stream, pid = _sh4lt(name)
        if as_json:
            click.echo(json_text(stream_document(stream) | {"pid": pid}, indent=2))
        else:
            click.echo("\n".join(_pairs([*_picture(stream), ("writer", f"pid {pid}")])))
        return
    existing = names()
    try:
        declared = served_as(current_domain(), full_name(name), existing)
    except FormatError:
        declared = None
    if declared is not None and declared.name not in existing:
        _show_off(declared, as_json)
        return
    full = require(name)
    from gst_iceoryx2.discovery.details import details

    found = details(full)
    if declared is not None:
        found = replace(found, stream=replace(found.stream, served=declared))
    click.echo(json_text(document(found), indent=2) if as_json else "\n".join(_lines(found)))


def _show_off(declared: Served, as_json: bool) -> None:
    """Print what a supervisor says about a stream that does not exist at present."""
    stream = Stream(declared.name, problem=declared.note(), served=declared)
    if as_json:
        click.echo(json_text(stream_document(stream), indent=2))
    else:
        click.echo("\n".join(_pairs([("stream", stream.name), *_served(declared)])))


def _served(declared: Served) -> list[tuple[str, str]]:
    where = "" if declared.file is None else f" ({declared.file})"
    state = declared.note()
    return [
        ("served by", f"process {declared.supervisor}{where}"),
        ("state", f"{state}; {words.counted(declared.readers, 'reader')}"),
        *([("source", declared.about)] if declared.about and declared.state != "off" else []),
    ]


def _sh4lt(name: str) -> tuple[Stream, int]:
    paths = {f"{SH4LT}{found.path}": found for found in sh4lt_paths()}
    if name not in paths:
        there = f"existing paths: {', '.join(paths)}" if paths else "no path on this machine has a writer"
        raise ServiceNotFoundError(f"no Sh4lt writer at {name.removeprefix(SH4LT)}; {there}")
    return sh4lt_stream(paths[name], _SH4LT_LOOK, is_measured=True), paths[name].pid


def document(found: Details) -> dict[str, Any]:
    """Return the document that `--json` prints; docs/cli.md explains each key."""
    return stream_document(found.stream) | {
        "iceoryx2_version": found.iceoryx2_version,
        "qos": {
            "buffer_size": found.buffer_size,
            "borrowed_max": found.borrowed_max,
            "history_size": found.history_size,
            "safe_overflow": found.safe_overflow,
        },
        "max_nodes": found.max_nodes,
        "planes": [asdict(plane) for plane in found.planes],
        "frame_bytes": found.frame_bytes,
        "frames_seen": found.frames_seen,
        "metas": found.metas,
        "memory": {"reserved": found.memory_reserved, "touched": found.memory_touched},
        "participants": [
            {key: value for key, value in asdict(one).items() if key != "node"} for one in found.participants
        ],
    }


def _lines(found: Details) -> list[str]:
    overflow = {True: "a full buffer drops its oldest frame", False: "a full buffer blocks the publisher", None: "-"}
    domain = current_domain()
    sources = [one.about for one in found.participants if one.about and "publisher" in one.roles]
    pairs = [
        *_picture(found.stream),
        *(_served(found.stream.served) if found.stream.served else [("source", about) for about in sources]),
        ("frame", f"{words.amount(found.frame_bytes)}" if found.frame_bytes is not None else words.UNKNOWN),
        ("planes", "; ".join(f"offset {p.offset}, stride {p.stride}" for p in found.planes) or words.UNKNOWN),
        ("metas", ", ".join(f"{name} on {n} of {found.frames_seen}" for name, n in found.metas.items()) or "none seen"),
        (
            "QoS",
            f"buffer_size {words.text(found.buffer_size)}, borrowed_max {words.text(found.borrowed_max)}, "
            f"history_size {words.text(found.history_size)}, safe_overflow {words.text(found.safe_overflow)} "
            f"({overflow[found.safe_overflow]})",
        ),
        ("memory", f"{words.amount(found.memory_reserved)} reserved, {words.amount(found.memory_touched)} touched"),
        ("created", f"by iceoryx2 {found.iceoryx2_version}, in {domain.root} (prefix {domain.prefix!r})"),
        ("processes", f"{len(found.participants)} of {words.text(found.max_nodes)} participants"),
    ]
    rows = [
        (
            str(one.pid),
            one.name,
            ", ".join(one.roles) or words.UNKNOWN,
            words.amount(one.memory_reserved) if "publisher" in one.roles else words.UNKNOWN,
            (one.command or words.UNKNOWN)
            if one.is_alive
            else "was killed; the next participant that starts removes it",
        )
        for one in found.participants
    ]
    listed = table(("PID", "NAME", "ROLE", "RESERVED", "COMMAND"), rows, right=("PID", "RESERVED")) if rows else []
    return [*_pairs(pairs), *(f"  {line}" for line in listed)]


def _picture(stream: Stream) -> list[tuple[str, str]]:
    fps = words.rate(stream.fps)
    stated = f" (caps state {stream.framerate})" if stream.framerate else ""
    pairs = [
        ("stream", stream.name),
        ("picture", f"{words.text(stream.format)} {words.size(stream.width, stream.height)}, {fps} fps{stated}"),
        ("newest", f"{words.age(stream.age)} old" if stream.age is not None else words.UNKNOWN),
        ("caps", words.text(stream.caps)),
        (
            "ports",
            f"publishers {words.share(stream.publishers, stream.max_publishers)}, "
            f"subscribers {words.share(stream.subscribers, stream.max_subscribers)}",
        ),
    ]
    if stream.has_ended:
        pairs.append(("ended", "the publisher ended the stream"))
    if stream.problem:
        pairs.append(("note", stream.problem))
    return pairs


def _pairs(pairs: list[tuple[str, str]]) -> list[str]:
    return [f"{styled(f'{key:<10}', bold=True)}{printable(value)}" for key, value in pairs]
