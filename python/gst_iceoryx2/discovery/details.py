"""Describes one stream in full: frames, quality of service, participants, memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .._iox2.domain import current_domain
from .._wire.auxblob import parse_aux
from ..errors import ServiceNotFoundError, printable
from ..video.frame import VideoFrame
from .names import require, short_name, video_records
from .participants import Participant, participants
from .probe import probe, setting
from .stream import Stream

__all__ = ["Details", "Plane", "details"]

_SECONDS: Final = 1.0
_REFERENCE_TIMESTAMP: Final = "GstReferenceTimestampMeta"
# Limit on the bytes of a meta's name to show.
_NAME_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Plane:
    """The position of a plane in the newest frame.

    Attributes:
        offset: Bytes from the start of the pixels.
        stride: Bytes from one row to the next.
    """

    offset: int
    stride: int


@dataclass(frozen=True, slots=True)
class Details:
    """All known facts about a stream; None means unknown.

    Attributes:
        stream: The state of the stream.
        iceoryx2_version: Release of iceoryx2 that created the service.
        buffer_size: Maximum number of frames waiting for a subscriber.
        borrowed_max: Maximum number of frames that a subscriber can hold.
        history_size: Number of past frames that a late subscriber receives.
        safe_overflow: Whether a new frame replaces the oldest one in a full buffer.
        max_nodes: Maximum number of participants of any kind.
        planes: Planes of the newest frame; empty if no frame arrived, or if the format is tiled or uses a palette.
        frame_bytes: Pixel bytes of the newest frame.
        metas: Names of the metas, each with the number of frames that carried it.
        frames_seen: Number of frames that arrived.
        participants: All participants except this probe.
        memory_reserved: Bytes of shared memory that the publishers have reserved.
        memory_touched: Bytes of the reserved memory that were written at least once.
    """

    stream: Stream
    iceoryx2_version: str
    buffer_size: int | None = None
    borrowed_max: int | None = None
    history_size: int | None = None
    safe_overflow: bool | None = None
    max_nodes: int | None = None
    planes: tuple[Plane, ...] = ()
    frame_bytes: int | None = None
    metas: dict[str, int] = field(default_factory=dict)
    frames_seen: int = 0
    participants: tuple[Participant, ...] = ()
    memory_reserved: int | None = None
    memory_touched: int | None = None


def details(name: str, seconds: float = _SECONDS) -> Details:
    """Describe one video service in full.

    Args:
        name: Name of the service, short or in full.
        seconds: Seconds for which to receive frames.

    Raises:
        ServiceNotFoundError: There is no video service with this name; the message suggests a similar name.
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    full = require(name)
    domain = current_domain()
    seen = _Seen()
    present = participants(domain, full)
    records = [record for record in video_records(domain) if record.name == full]
    found = probe(domain, records, seconds, seen.note)
    if not found and not records:
        raise ServiceNotFoundError(f'the stream "{short_name(full)}" does not run, because nobody reads it')
    if not found:
        raise ServiceNotFoundError(f'the stream "{short_name(full)}" has just ended, or is left over from a crash')
    (stream,), (record,) = found, records
    # Read the memory again, now that frames were written. The first list does not include this probe's own node.
    known = {one.node for one in present}
    now = [one for one in participants(domain, full) if one.node in known]
    publishers = [one for one in now if "publisher" in one.roles]
    is_told = bool(publishers) and all(one.roles for one in now)
    return Details(
        stream,
        record.version,
        setting(record, "subscriber_max_buffer_size", int),
        setting(record, "subscriber_max_borrowed_samples", int),
        setting(record, "history_size", int),
        setting(record, "enable_safe_overflow", bool),
        setting(record, "max_nodes", int),
        seen.planes,
        seen.frame_bytes,
        dict(sorted(seen.metas.items())),
        seen.frames,
        tuple(now),
        sum(one.memory_reserved or 0 for one in publishers) if is_told else None,
        sum(one.memory_touched or 0 for one in publishers) if is_told else None,
    )


class _Seen:
    """Collects facts about the frames of a probe."""

    def __init__(self) -> None:
        self.frames = 0
        self.planes: tuple[Plane, ...] = ()
        self.frame_bytes: int | None = None
        self.metas: dict[str, int] = {}

    def note(self, _: str, frame: VideoFrame) -> None:
        self.frames += 1
        header = frame.header
        self.planes = tuple(Plane(header.plane_offsets[n], header.stride[n]) for n in range(header.n_planes))
        self.frame_bytes = frame.pixel_size
        for name in {_meta_name(record) for record in parse_aux(frame.aux).metas}:
            self.metas[name] = self.metas.get(name, 0) + 1


def _meta_name(record: bytes) -> str:
    """Return the name of a meta without decoding the meta. A reference timestamp's name includes its clock."""
    # u32 total size, u32 name length, name, NUL, version, payload. Source: SPEC.md section 3.
    length = int.from_bytes(record[4:8], "little")
    name = printable(record[8 : 8 + min(length, _NAME_MAX)].decode("utf-8", "replace")) or "?"
    if name != _REFERENCE_TIMESTAMP:
        return name
    # The payload is the timestamp, the duration and the clock's caps.
    caps = record[8 + length + 2 + 16 :][:_NAME_MAX].replace(b"\0", b",")
    clock = caps.partition(b",")[0].decode("utf-8", "replace")
    return f"{name} ({printable(clock)})"
