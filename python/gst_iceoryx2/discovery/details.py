"""One stream in full: what its frames look like, how its service is laid out, who takes part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .._iox2.description import ServiceRecord
from .._iox2.domain import current_domain
from .._wire.auxblob import parse_aux
from ..errors import ServiceNotFoundError, printable
from ..video.frame import VideoFrame
from .names import require, short_name, video_records
from .participants import Participant, participants
from .probe import probe
from .stream import Stream

_LOOK: Final = 1.0
_REFERENCE_TIMESTAMP: Final = "GstReferenceTimestampMeta"
# Bytes of a name that are shown.
_NAME_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a plane of the newest frame lies.

    Attributes:
        offset: Bytes from the beginning of the pixels.
        stride: Bytes from row to row.
    """

    offset: int
    stride: int


@dataclass(frozen=True, slots=True)
class Details:
    """A stream in full.

    Attributes:
        stream: What `streams()` says of it, after a longer look.
        iceoryx2_version: Release that made the service.
        buffer_size: As in `Qos`.
        borrowed_max: As in `Qos`.
        history_size: As in `Qos`.
        safe_overflow: As in `Qos`.
        max_nodes: Participants that the service admits, whatever they do.
        planes: Planes of the newest frame; empty if there was none, or where it has no rows.
        frame_bytes: Pixel bytes of the newest frame.
        metas: Names of the metas that travelled with the frames seen, and with how many of them.
        frames_seen: How many frames the look saw.
        participants: Who takes part, this look left out.
        memory_reserved: Bytes of shared memory laid out by its publishers; None if that cannot be told.
        memory_touched: Bytes of it that were written to at least once.
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


def details(name: str, seconds: float = _LOOK) -> Details:
    """Look at one video service for a while.

    Args:
        name: Short or in full.
        seconds: How long to look for frames.

    Raises:
        ServiceNotFoundError: There is no video service of this name; the message names what is near.
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: It belongs to another user.
    """
    full = require(name)
    domain = current_domain()
    seen = _Seen()
    present = participants(domain, full)
    records = [record for record in video_records(domain) if record.name == full]
    found = probe(domain, records, seconds, seen.note)
    if not found:
        raise ServiceNotFoundError(f'the stream "{short_name(full)}" has just gone, or was what a crash left')
    (stream,), (record,) = found, records
    # Again, for those who came meanwhile and for memory that was written to.
    known = {one.node for one in present}
    now = [one for one in participants(domain, full) if one.node in known]
    publishers = [one for one in now if "publisher" in one.roles]
    is_told = bool(publishers) and all(one.roles for one in now)
    return Details(
        stream,
        record.version,
        _number(record, "subscriber_max_buffer_size"),
        _number(record, "subscriber_max_borrowed_samples"),
        _number(record, "history_size"),
        _flag(record, "enable_safe_overflow"),
        _number(record, "max_nodes"),
        seen.planes,
        seen.frame_bytes,
        dict(sorted(seen.metas.items())),
        seen.frames,
        tuple(now),
        sum(one.memory_reserved or 0 for one in publishers) if is_told else None,
        sum(one.memory_touched or 0 for one in publishers) if is_told else None,
    )


class _Seen:
    """What the frames of a look have in common."""

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
    """Name of a meta, read without decoding the meta; of a reference timestamp also the name of its clock."""
    # u32 total size, u32 length of the name, name, NUL, version, payload. Source: SPEC.md section 3.
    length = int.from_bytes(record[4:8], "little")
    name = printable(record[8 : 8 + min(length, _NAME_MAX)].decode("utf-8", "replace")) or "?"
    if name != _REFERENCE_TIMESTAMP:
        return name
    # Timestamp, duration, caps of the clock.
    caps = record[8 + length + 2 + 16 :][:_NAME_MAX].replace(b"\0", b",")
    clock = caps.partition(b",")[0].decode("utf-8", "replace")
    return f"{name} ({printable(clock)})"


def _value(record: ServiceRecord, key: str) -> object:
    return record.values.get(f"messaging_pattern.PublishSubscribe.{key}")


def _number(record: ServiceRecord, key: str) -> int | None:
    value = _value(record, key)
    return value if isinstance(value, int) else None


def _flag(record: ServiceRecord, key: str) -> bool | None:
    value = _value(record, key)
    return value if isinstance(value, bool) else None
