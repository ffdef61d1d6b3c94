"""Which of a camera's formats to capture in, for the format, size and rate that somebody wants."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from ..._wire.formats import FORMATS
from ..errors import SettingError
from .device import CameraFormat, CameraSize, Device
from .pixel_formats import JPEG, code_of

# Without a wish for a rate, a format that reaches this many frames per second comes before one that does not: USB
# cameras send uncompressed HD pictures at five.
_FLUENT: Final = 24
_SHOWN: Final = 6


class Choice(NamedTuple):
    """What to set the camera to.

    Attributes:
        code: Four-character code of the format to capture in.
        captured: GStreamer's name for it; None for JPEG.
        format: GStreamer's name for the format to publish.
        width: Width in pixels.
        height: Height in rows.
        rate: Frames per second; None keeps the camera's choice.
    """

    code: str
    captured: str | None
    format: str
    width: int
    height: int
    rate: Fraction | None


def choose(device: Device, format: str | None, size: tuple[int, int] | None, rate: Fraction | None) -> Choice:
    """Choose the format to capture in: uncompressed and without a conversion, if the camera has that.

    Args:
        device: The camera.
        format: Four-character code of the camera's format, or GStreamer's name for the format to publish; None means
            the best one.
        size: Width and height; None keeps the camera's.
        rate: Frames per second; None keeps the camera's, or the driver's choice for the format.

    Raises:
        SettingError: The camera does not have the format, size or rate; the error lists what it has, nearest first.
        SourceError: The camera was unplugged.
    """
    usable = [one for one in device.formats() if one.format or one.code in JPEG]
    if not usable:
        codes = ", ".join(one.code for one in device.formats()) or "nothing"
        raise SettingError(f"the camera {device.path} offers {codes}; none of these is a raw video format or JPEG")
    pix = device.mode().pix
    now = code_of(pix.pixelformat)
    pool, target = _matching(device, usable, format)
    width, height = size or (pix.width, pix.height)
    sized = [(one, found) for one in pool if (found := _size_of(device, one, width, height)) is not None]
    if not sized:
        raise SettingError(_no_size(device, pool, width, height))
    timed = [(one, found) for one, found in sized if rate is None or found.has_rate(rate)]
    if not timed:
        assert rate is not None
        raise SettingError(_no_rate(device, sized, rate))
    best = max((found.rates[0] for _, found in timed if found.rates), default=Fraction(0))
    enough = min(best, Fraction(_FLUENT))

    def rank(entry: tuple[CameraFormat, CameraSize]) -> tuple[bool, bool, bool, bool]:
        one, found = entry
        is_slow = rate is None and bool(found.rates) and found.rates[0] < enough
        return is_slow, target is not None and one.format != target, one.code in JPEG, one.code != now

    chosen, _ = min(timed, key=rank)
    published = target or chosen.format or "RGB"
    return Choice(chosen.code, chosen.format, published, width, height, rate)


def _matching(
    device: Device, usable: Sequence[CameraFormat], format: str | None
) -> tuple[Sequence[CameraFormat], str | None]:
    """Return the formats to choose from, and GStreamer's name for the one to publish if that is settled."""
    if format is None:
        return usable, None
    named = [one for one in usable if one.code.strip().casefold() == format.strip().casefold()]
    if named:
        return named, None
    target = next((name for name in FORMATS if name.casefold() == format.casefold()), None)
    if target is None:
        offered = ", ".join(one.code.strip() for one in usable)
        if any(one.code.strip().casefold() == format.strip().casefold() for one in device.formats()):
            raise SettingError(
                f"the camera {device.path} has the format {format!r}, but only raw video and JPEG can be captured; "
                f"use {offered}"
            )
        raise SettingError(
            f"the camera {device.path} has no format {format!r}, and GStreamer has no raw video format of this name; "
            f"the camera has {offered}"
        )
    return usable, target


def _size_of(device: Device, one: CameraFormat, width: int, height: int) -> CameraSize | None:
    if one.size_range is not None:
        fits = one.size_range.nearest(width, height) == (width, height)
        return device.rates(one.code, width, height) if fits else None
    if not one.sizes:
        # The driver does not list sizes; it refuses a wrong one when it is set.
        return CameraSize(width, height, ())
    return next((size for size in one.sizes if (size.width, size.height) == (width, height)), None)


def _no_size(device: Device, pool: Sequence[CameraFormat], width: int, height: int) -> str:
    sizes = {(size.width, size.height) for one in pool for size in one.sizes}
    sizes |= {one.size_range.nearest(width, height) for one in pool if one.size_range is not None}
    nearest = sorted(sizes, key=lambda size: (abs(size[0] - width) + abs(size[1] - height), size))
    there = _some([f"{width}x{height}" for width, height in nearest])
    return f"the camera {device.path} has no size {width}x{height}{_in(pool)}; it has {there}"


def _no_rate(device: Device, sized: Sequence[tuple[CameraFormat, CameraSize]], rate: Fraction) -> str:
    # The slowest and the fastest rate of each range; both are the same for a single rate.
    ranges = {(size.rates[-1], size.rates[0]) for _, size in sized if size.is_rate_range}
    ranges |= {(one, one) for _, size in sized if not size.is_rate_range for one in size.rates}
    nearest = sorted(ranges, key=lambda ends: (min(abs(end - rate) for end in ends), ends))
    texts = [f"{float(low):.4g}" if low == high else f"{float(low):.4g} to {float(high):.4g}" for low, high in nearest]
    size, pool = sized[0][1], [one for one, _ in sized]
    wanted = f"{float(rate):.4g} fps at {size.width}x{size.height}{_in(pool)}"
    return f"the camera {device.path} has no {wanted}; it has {_some(texts)}"


def _in(pool: Sequence[CameraFormat]) -> str:
    return f" in {pool[0].code.strip()}" if len(pool) == 1 else ""


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return f"{', '.join(texts[:_SHOWN])}{more} (nearest first)"
