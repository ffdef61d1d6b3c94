"""A frame in transit over a bridge, and the bridges that it has crossed."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy.typing as npt

from .._wire.clock import CLOCK_META, Origin
from .._wire.metas import CustomMeta
from .._wire.packet import VideoPacketHeader
from .._wire.results import VideoResultsHeader
from ..video.frame import VideoFrame
from ..video.loan import Meta

HOPS_META: Final = "Iox2VideoBridge"
"""Name of the custom meta that carries the hops through a service."""

_HOP: Final = re.compile(r"[0-9a-f]{16}")
_HOPS: Final = re.compile(r"[0-9a-f]{16}(-[0-9a-f]{16})*")

HOPS_KIND: Final = 256
"""Kind of the section that carries the hops in results (SPEC.md section 11)."""

HOPS_MAX: Final = 16
"""Maximum number of hops in one frame."""

_SECTION: Final = struct.Struct("<IIQ")
_ID_BYTES: Final = 8

Hops: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class Parcel:
    """One frame, one packet, the results for one frame, or the end of a stream.

    Attributes:
        format: GStreamer's name for the format.
        width: Width in pixels.
        height: Height in rows.
        planes: One array per plane, like `VideoFrame.planes`; borrowed until `release`.
        caps: Caps; None means unknown.
        pts: Presentation time in nanoseconds; None means unknown.
        dts: Decoding time in nanoseconds; None means unknown.
        duration: Duration in nanoseconds; None means unknown.
        offset: Frame counter; None means unknown.
        flags: GstBufferFlags.
        captured_at: Capture time, in nanoseconds of this machine's CLOCK_MONOTONIC; None means unknown.
        origin: Stamp of the frame's first publisher, and the error of `captured_at`; None means that the frame had no
            stamp and came from this machine.
        metas: All metas except the hops and the origin.
        hops: IDs of the bridges that the frame has crossed, oldest first, each with 16 hex digits.
        is_end: Whether this marks the end of the stream. Such a parcel does not have a picture.
        frame: The received frame, if the parcel comes from a service.
        header: The header of a packet, with times of this machine; None for frames. A packet has no planes.
        results: The header of results, with times of this machine, and the numbers of the detector's publisher; None
            for frames and packets. Results have no planes.
        data: The bytes of the packet, borrowed until `release`; or the payload of the results.
        give_back: Function that releases the borrowed planes; None if they are not borrowed.
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
    origin: Origin | None = None
    metas: Sequence[Meta] = ()
    hops: Hops = ()
    is_end: bool = False
    frame: VideoFrame | None = None
    header: VideoPacketHeader | None = None
    results: VideoResultsHeader | None = None
    data: bytes | memoryview = b""
    give_back: Callable[[], None] | None = None

    def release(self) -> None:
        """Release the borrowed planes. Idempotent."""
        give_back, self.give_back = self.give_back, None
        self.planes, self.frame, self.data = (), None, b""
        if give_back is not None:
            give_back()


def split_own(metas: Sequence[Meta]) -> tuple[list[Meta], Hops, Origin | None]:
    """Separate the hops and the origin from the other metas. A malformed list of hops counts as empty."""
    rest: list[Meta] = []
    hops: Hops = ()
    for meta in metas:
        name = meta.name if isinstance(meta, CustomMeta) else None
        if isinstance(meta, CustomMeta) and name == HOPS_META:
            # Any program can publish a meta with this name.
            value = meta.fields.get("hops")
            hops = tuple(_HOP.findall(value)) if isinstance(value, str) and _HOPS.fullmatch(value) else ()
        elif name != CLOCK_META:
            rest.append(meta)
    return rest, hops, Origin.find(metas)


def own_metas(hops: Hops, origin: Origin | None) -> list[CustomMeta]:
    """Create the metas that carry hops and origin through a service."""
    metas = [CustomMeta(HOPS_META, {"hops": "-".join(hops)})]
    return metas if origin is None else [*metas, origin.meta()]


def add_hops(payload: bytes, hops: Hops) -> bytes:
    """Put the section that carries hops before the sections of results."""
    ids = b"".join(bytes.fromhex(hop) for hop in hops)
    return _SECTION.pack(HOPS_KIND, len(hops), len(ids)) + ids + payload


def cut_hops(payload: bytes) -> tuple[bytes, Hops] | None:
    """Separate the hops from the other sections of results; None if the first section does not carry hops."""
    if len(payload) < _SECTION.size:
        return None
    kind, count, size = _SECTION.unpack_from(payload)
    end = _SECTION.size + size
    # Any program can publish such a section.
    if kind != HOPS_KIND or count > HOPS_MAX or size != count * _ID_BYTES or end > len(payload):
        return None
    hops = tuple(payload[at : at + _ID_BYTES].hex() for at in range(_SECTION.size, end, _ID_BYTES))
    return payload[end:], hops
