"""A frame on its way over a bridge, whatever it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy.typing as npt

from .._wire.metas import CustomMeta
from ..video.frame import VideoFrame
from ..video.loan import Meta

TRAIL_META: Final = "Iox2VideoBridge"
"""Name of the meta that carries the trail through services."""

_HOP: Final = re.compile(r"[0-9a-f]{16}")
_TRAIL: Final = re.compile(r"[0-9a-f]{16}(-[0-9a-f]{16})*")

HOPS_MAX: Final = 16
"""Bridges that a frame may have crossed."""

Trail: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class Parcel:
    """One frame, or the end of a stream.

    Attributes:
        format: GStreamer's name of the format.
        width: Pixels.
        height: Rows.
        planes: One array a plane; borrowed while the parcel is in hand. Empty if there is a JPEG picture instead.
        caps: Caps; None = unknown.
        pts: Nanoseconds; None = none.
        dts: Nanoseconds; None = none.
        duration: Nanoseconds; None = none.
        offset: Frame counter; None = none.
        flags: GstBufferFlags.
        captured_at: Nanoseconds of this machine's CLOCK_MONOTONIC; None = unknown.
        metas: Further metas.
        trail: Bridges that it crossed, 16 hex digits each, the first first.
        is_end: Whether it is the end of the stream, and has no picture.
        frame: The received frame, if the parcel comes from a service.
        give_back: Ends borrowing the planes; None if they are not borrowed.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    planes: tuple[npt.NDArray[Any], ...] = ()
    caps: str | None = None
    pts: int | None = None
    dts: int | None = None
    duration: int | None = None
    offset: int | None = None
    flags: int = 0
    captured_at: int | None = None
    metas: Sequence[Meta] = ()
    trail: Trail = ()
    is_end: bool = False
    frame: VideoFrame | None = None
    give_back: Callable[[], None] | None = None

    def release(self) -> None:
        """Give back what is borrowed. Idempotent."""
        give_back, self.give_back = self.give_back, None
        self.planes, self.frame = (), None
        if give_back is not None:
            give_back()


def split_trail(metas: Sequence[Meta]) -> tuple[list[Meta], Trail]:
    """The metas without that of bridges, and the trail in it."""
    rest: list[Meta] = []
    trail: Trail = ()
    for meta in metas:
        if isinstance(meta, CustomMeta) and meta.name == TRAIL_META:
            # Any program may publish such a meta.
            value = meta.fields.get("trail")
            trail = tuple(_HOP.findall(value)) if isinstance(value, str) and _TRAIL.fullmatch(value) else ()
        else:
            rest.append(meta)
    return rest, trail


def trail_meta(trail: Trail) -> CustomMeta:
    """The meta that carries a trail."""
    return CustomMeta(TRAIL_META, {"trail": "-".join(trail)})
