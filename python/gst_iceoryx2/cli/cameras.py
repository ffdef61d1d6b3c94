"""`iox2-video cameras`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gst_iceoryx2.cli import _words as words
from gst_iceoryx2.cli._outcome import examples
from gst_iceoryx2.cli._screen import json_text, say, styled, table

if TYPE_CHECKING:
    from gst_iceoryx2.feed import CameraControl, CameraFormat, CameraInfo, CameraSize

# Longest list of permitted values that is shown; `--json` has all of them.
_LONG = 80


@click.command(
    name="cameras",
    epilog=examples(
        "iox2-video cameras",
        "iox2-video cameras /dev/video0",
        "iox2-video cameras --json | jq -r '.cameras[].by_id'",
    ),
)
@click.argument("device", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(device: str | None, as_json: bool) -> None:
    """List the cameras of this machine, or what one camera offers.

    DEVICE is a path such as /dev/video0, or a number. STABLE NAME is a path that stays the same when cameras are
    plugged in in another order.
    """
    if device is not None:
        show_offer(device, as_json)
        return
    from gst_iceoryx2.feed import cameras

    found = cameras()
    if as_json:
        click.echo(json_text({"cameras": [asdict(camera) for camera in found]}, indent=2))
    elif found:
        _print(("DEVICE", "NAME", "DRIVER", "STABLE NAME", "NOTE"), [_camera(camera) for camera in found])
    else:
        from gst_iceoryx2.feed.v4l2.device import devices_here

        say(f"no cameras; {devices_here()}")


def show_offer(device: str, as_json: bool) -> None:
    """Print the formats, sizes, rates and controls of a camera."""
    from gst_iceoryx2.feed import camera_offer

    offer = camera_offer(device)
    if as_json:
        click.echo(json_text(_plain(asdict(offer)), indent=2))
        return
    click.echo(f"{styled('camera    ', bold=True)}{offer.path} ({offer.name})")
    _print(("FORMAT", "AS", "SIZE", "FPS"), [row for one in offer.formats for row in _format(one)])
    if offer.controls:
        click.echo()
        _print(("CONTROL", "VALUE", "DEFAULT", "RANGE", "NOTE"), [_control(one) for one in offer.controls])


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    head, *lines = table(heads, rows)
    click.echo("\n".join([styled(head, bold=True), *lines]))


def _camera(camera: CameraInfo) -> tuple[str, ...]:
    stable = camera.by_id or camera.by_path or words.UNKNOWN
    return camera.path, camera.name, camera.driver or words.UNKNOWN, stable, camera.problem or ""


def _format(one: CameraFormat) -> list[tuple[str, ...]]:
    published = one.format or ("RGB, decoded" if one.code in ("MJPG", "JPEG") else "cannot be published")
    head = (one.code.strip(), published)
    if one.size_range is not None:
        span = one.size_range
        sizes = f"{span.min_width}x{span.min_height} to {span.max_width}x{span.max_height}"
        return [(*head, sizes, words.UNKNOWN)]
    rows = [(f"{size.width}x{size.height}", _rates(size)) for size in one.sizes] or [(words.UNKNOWN, words.UNKNOWN)]
    return [(*(head if n == 0 else ("", "")), *row) for n, row in enumerate(rows)]


def _rates(size: CameraSize) -> str:
    rates = [f"{float(rate):.4g}" for rate in size.rates]
    if size.is_rate_range and len(rates) == 2:
        return f"{rates[1]} to {rates[0]}"
    return ", ".join(rates) or words.UNKNOWN


def _control(one: CameraControl) -> tuple[str, ...]:
    value = words.UNKNOWN if one.value is None else str(one.value)
    if one.value is not None and one.value in one.menu:
        value += f" ({one.menu[one.value]})"
    note = "read-only" if one.is_read_only else "another control decides it" if one.is_inactive else ""
    span = one.values()
    return one.name, value, str(one.default), span if len(span) <= _LONG else f"{span[: _LONG - 1]}…", note


def _plain(value: Any) -> Any:
    """Return a value with fractions as numbers, and keys as text, for JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return round(float(value), 3) if hasattr(value, "numerator") and not isinstance(value, int) else value
