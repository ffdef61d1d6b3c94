"""A frame on its way over a bridge, and the bridges that it has crossed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy.typing as npt

from .._wire.metas import CustomMeta
from ..video.frame import VideoFrame
from ..video.loan import Meta

HOPS_META: Final = "Iox2VideoBridge"
"""Name of the custom meta that carries the hops through a service."""

_HOP: Final = re.compile(r"[0-9a-f]{16}")
_HOPS: Final = re.compile(r"[0-9a-f]{16}(-[0-9a-f]{16})*")

HOPS_MAX: Final = 16
"""Limit of hops in one frame."""

Hops: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class Parcel:
    """One frame, or the end of a stream.

    Attributes:
        format: GStreamer's name of the format.
        width: Pixels.
        height: Rows.
        planes: One array a plane, as `VideoFrame.planes`; borrowed until `release`.
        caps: Caps; None = unknown.
        pts: Presentation time, nanoseconds; None = unknown.
        dts: Decoding time, nanoseconds; None = unknown.
        duration: Nanoseconds; None = unknown.
        offset: Frame counter; None = unknown.
        flags: GstBufferFlags.
        captured_at: Capture time, nanoseconds of this machine's CLOCK_MONOTONIC; None = unknown.
        metas: All metas but the hops.
        hops: Ids of the bridges that the frame has crossed, oldest first; 16 hex digits each.
        is_end: Whether this is the end of the stream, without a picture.
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
    hops: Hops = ()
    is_end: bool = False
    frame: VideoFrame | None = None
    give_back: Callable[[], None] | None = None

    def release(self) -> None:
        """Give back what is borrowed. Idempotent."""
        give_back, self.give_back = self.give_back, None
        self.planes, self.frame = (), None
        if give_back is not None:
            give_back()


def split_hops(metas: Sequence[Meta]) -> tuple[list[Meta], Hops]:
    """Separate the hops from the other metas; a malformed list of hops counts as empty."""
    rest: list[Meta] = []
    hops: Hops = ()
    for meta in metas:
        if isinstance(meta, CustomMeta) and meta.name == HOPS_META:
            # Any program can publish a meta of this name.
            value = meta.fields.get("hops")
            hops = tuple(_HOP.findall(value)) if isinstance(value, str) and _HOPS.fullmatch(value) else ()
        else:
            rest.append(meta)
    return rest, hops


def hops_meta(hops: Hops) -> CustomMeta:
    """The meta that carries hops through a service."""
    return CustomMeta(HOPS_META, {"hops": "-".join(hops)})
