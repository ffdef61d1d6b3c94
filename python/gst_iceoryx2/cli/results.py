"""`iox2-video results`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2._wire.results import results_service, source_name
from gst_iceoryx2.cli._outcome import Nothing, examples
from gst_iceoryx2.cli._params import DETECTOR, Above0, ServiceName
from gst_iceoryx2.cli._screen import json_text, say
from gst_iceoryx2.discovery import detectors
from gst_iceoryx2.errors import printable

if TYPE_CHECKING:
    from gst_iceoryx2.results import Results

_LONGEST_WAIT = 3600.0
# More boxes than this do not fit into a line that anybody reads.
_SHOWN = 20
# Labels can have 4096 bytes.
_LONGEST_LABEL = 60


@click.command(
    name="results",
    epilog=examples(
        "iox2-video results cam0 yolo",
        "iox2-video results cam0 yolo --json --count 100 | jq '.boxes[].label'",
    ),
)
@click.argument("name", metavar="SOURCE", type=ServiceName(is_source=True))
@click.argument("detector", metavar="DETECTOR", type=DETECTOR)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per result, each on one line.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Exit after N results.")
@click.option("--timeout", type=Above0(_LONGEST_WAIT), metavar="SECONDS", help="Exit if no result comes for this long.")
def command(name: str, detector: str, as_json: bool, count: int | None, timeout: float | None) -> None:
    """Print what a detector finds in the frames of a source.

    Each line is the result for one frame: its sequence number, the time since its capture, and the objects with label,
    score, position and size in pixels of the source. Begins with up to 16 earlier results.
    """
    from gst_iceoryx2.results import ResultsSubscriber

    source = source_name(name)
    with ResultsSubscriber(source, detector) as subscriber:
        if not subscriber.is_connected:
            known = [found for found in detectors(source) if found != detector]
            others = f"; {source} has {', '.join(known)}" if known else ""
            say(f"waiting for results of {detector} on {source}{others}")
        printed = 0
        while count is None or printed < count:
            began = time.monotonic()
            results = subscriber.receive_blocking(None if timeout is None else timeout * 1000)
            if results is None:
                waited = time.monotonic() - began
                service = results_service(source, detector)
                raise Nothing(f"no result arrived on {service} for {waited:.1f} s; check that the detector runs")
            click.echo(json_text(document(results)) if as_json else line_of(results))
            printed += 1


def document(results: Results) -> dict[str, Any]:
    """Return the JSON document of a result."""
    return results.as_dict() | {"age": results.age}


def line_of(results: Results) -> str:
    """Return the text of a result."""
    age = "age unknown" if results.age is None else f"{results.age * 1000:.0f} ms"
    parts = [
        f"{_label(label)} {score:.2f} ({x:.0f}, {y:.0f}) {width:.0f}x{height:.0f}{_track(track)}"
        for label, score, x, y, width, height, track in results.boxes[:_SHOWN]
    ]
    if len(results.boxes) > _SHOWN:
        parts.append(f"… {len(results.boxes)} objects in all")
    parts += [f"{_label(label)} {score:.2f}" for label, score, box in results.classifications if box is None]
    for what, number in (("keypoints", len(results.keypoints)), ("masks", len(results.masks))):
        parts += [f"{number} {what}"] if number else []
    tensor = results.tensor
    if tensor is not None:
        parts.append(f"tensor {printable(tensor.name)} {'x'.join(map(str, tensor.data.shape)) or 'scalar'}")
    return f"#{results.sequence}  {age}  {', '.join(parts) or 'nothing'}"


def _label(label: str | None) -> str:
    if label is None:
        return "object"
    return printable(label if len(label) <= _LONGEST_LABEL else f"{label[:_LONGEST_LABEL]}…")


def _track(track: int | None) -> str:
    return "" if track is None else f" track {track}"
