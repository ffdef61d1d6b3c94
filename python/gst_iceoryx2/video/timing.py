"""When a frame is due, when it was captured and which one of its publisher it is (SPEC.md section 5).

Three reference timestamps on each frame say so. They are written and read for every frame, so both ways have a short
cut: all but three numbers is the same from frame to frame, and is compared or copied in one piece.
"""

from __future__ import annotations

import re
import secrets
import struct
import time
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from .._errors import FormatError
from .auxblob import build_aux, parse_aux
from .caps import parse_caps
from .header import NONE_U64
from .metas import ReferenceTimestamp, decode_meta, encode_meta

_BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_BOOT_ID: Final = re.compile(r"[0-9a-fA-F-]{36}")
_PUBLISHER_ID: Final = re.compile(r"[0-9a-f]{16}")

_MONOTONIC: Final = "timestamp/x-monotonic"
_SEQUENCE: Final = "timestamp/x-iceoryx2-sequence"

_U32: Final = struct.Struct("<I")
_TIMESTAMP: Final = slice(8 + len("GstReferenceTimestampMeta") + 2, 8 + len("GstReferenceTimestampMeta") + 10)
# Stands where a number goes: text holds no such bytes, and no length is as large.
_HOLE: Final = 0xA5A5A5A5A5A5A5A5
_HOLE_BYTES: Final = _HOLE.to_bytes(8, "little")

_RECORD_MAX: Final = 512
"""Bytes of a time record at most (SPEC.md section 5): a longer record is not read, so that other metas cost nothing."""

# What any process wrote ends up in the caches: they hold few entries.
_CACHE_ENTRIES: Final = 64


class FrameTimes(NamedTuple):
    """What is known of a frame's moments; None = unknown, or of a clock of another boot or host.

    Attributes:
        due: When to show it, nanoseconds of CLOCK_MONOTONIC.
        capture: When it was captured, or else published, nanoseconds of CLOCK_MONOTONIC.
        publisher: The id that its publisher drew, 16 hex digits.
        sequence: How many frames that publisher had sent before it.
    """

    due: int | None = None
    capture: int | None = None
    publisher: str | None = None
    sequence: int | None = None


@cache
def boot_id() -> str:
    """Return the kernel's boot id, 36 characters; "" where there is none: then no times are written or understood.

    Source: proc_sys_kernel(5).
    """
    try:
        text = _BOOT_ID_FILE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _BOOT_ID.fullmatch(text) else ""


def monotonic_ns() -> int:
    """Return the nanoseconds of CLOCK_MONOTONIC, the clock of `FrameTimes`."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class TimeRecords:
    """Writes the records of one publisher's frames.

    Args:
        publisher_id: 16 lower-case hex digits; None draws new ones.
        boot: Boot id of the clock; None for this machine's.

    Attributes:
        publisher_id: The id in use.

    Raises:
        FormatError: One of them has another form.
    """

    def __init__(self, publisher_id: str | None = None, boot: str | None = None) -> None:
        publisher_id = secrets.token_hex(8) if publisher_id is None else publisher_id
        if not _PUBLISHER_ID.fullmatch(publisher_id):
            raise FormatError(f"publisher_id: {publisher_id!r} is not 16 lower-case hex digits")
        boot = boot_id() if boot is None else boot
        if boot and not _BOOT_ID.fullmatch(boot):
            raise FormatError(f"boot: {boot!r} is no boot id of 36 characters")
        self.publisher_id: Final = publisher_id
        self._clock = (*_around(_monotonic(boot, "due")), *_around(_monotonic(boot, "capture"))) if boot else None
        self._sequence_head, self._sequence_tail = _around(_sequence(publisher_id))

    def records(self, due: int | None, capture: int | None, sequence: int) -> list[bytes]:
        """Return a frame's records, for `build_aux`.

        Args:
            due: Nanoseconds of CLOCK_MONOTONIC; None = unknown, no record.
            capture: Nanoseconds of CLOCK_MONOTONIC; None = unknown, no record.
            sequence: Frames sent before this one.

        Returns:
            Up to three records, new bytes.

        Raises:
            OverflowError: A number below 0 or beyond 64 bits.
        """
        records = []
        if self._clock is not None:
            due_head, due_tail, capture_head, capture_tail = self._clock
            if due is not None:
                records.append(due_head + due.to_bytes(8, "little") + due_tail)
            if capture is not None:
                records.append(capture_head + capture.to_bytes(8, "little") + capture_tail)
        records.append(self._sequence_head + sequence.to_bytes(8, "little") + self._sequence_tail)
        return records


class AuxTemplate:
    """Writes the aux blobs of one publisher's frames while their caps stay the same.

    Args:
        caps: Caps of the frames, as `video_caps` writes them; None for none.
        publisher_id: As in `TimeRecords`.
        boot: As in `TimeRecords`.

    Attributes:
        size: Bytes of a blob with all times and without further metas.
        publisher_id: The id in use.

    Raises:
        FormatError: The caps contain NUL, or an id has another form.
    """

    def __init__(self, caps: str | None, publisher_id: str | None = None, boot: str | None = None) -> None:
        self._caps = caps
        self._times = TimeRecords(publisher_id, boot)
        self.publisher_id: Final = self._times.publisher_id
        blob = build_aux(caps, self._times.records(_HOLE, _HOLE, _HOLE))
        self.size: Final = len(blob)
        self._parts = blob.split(_HOLE_BYTES)
        self._pack = struct.Struct("<" + "Q".join(f"{len(part)}s" for part in self._parts)).pack

    def blob(
        self,
        due: int | None,
        capture: int | None,
        sequence: int,
        extra_metas: Sequence[bytes] = (),
        limit: int | None = None,
    ) -> bytes:
        """Return the blob of one frame.

        Args:
            due: Nanoseconds of CLOCK_MONOTONIC; None = unknown.
            capture: Nanoseconds of CLOCK_MONOTONIC; None = unknown.
            sequence: Frames sent before this one.
            extra_metas: Further records, behind the times.
            limit: Bytes that the blob may have, as in `build_aux`; None for no limit.

        Returns:
            New bytes: what `build_aux` makes of caps, time records and further records.

        Raises:
            OverflowError: A number below 0 or beyond 64 bits.
        """
        parts = self._parts
        usual = len(parts) == 4 and due is not None and capture is not None
        if not usual or extra_metas or (limit is not None and limit < self.size):
            return build_aux(self._caps, [*self._times.records(due, capture, sequence), *extra_metas], limit)
        try:
            return self._pack(parts[0], due, parts[1], capture, parts[2], sequence, parts[3])
        except struct.error as error:
            raise OverflowError(f"due {due}, capture {capture} or sequence {sequence}: {error}") from error


def read_times(metas: Sequence[bytes], boot: str | None = None) -> FrameTimes:
    """Read a frame's times out of its records.

    Args:
        metas: Records, as from `parse_aux`; others than these may be among them.
        boot: Boot id of the clock in which the reader thinks; None for this machine's.

    Returns:
        What is known. Never raises on any content.
    """
    own = boot_id() if boot is None else boot
    if own and len(metas) >= 3:
        usual = _usual_form(own)
        if (len(metas[0]), len(metas[1]), len(metas[2])) == usual.lengths:
            times = usual.records.match(b"".join(metas[:3]), 0)
            if times is not None:
                return times
    return _read_one_by_one(metas, own)


def read_times_from_aux(aux: bytes | bytearray | memoryview, boot: str | None = None) -> FrameTimes:
    """Read a frame's times out of its aux blob, without parsing it where one of our own publishers wrote it.

    Args:
        aux: The blob: bytes, or a memoryview of bytes.
        boot: As in `read_times`.

    Returns:
        What `read_times(parse_aux(aux).metas)` returns.
    """
    own = boot_id() if boot is None else boot
    size = len(aux)
    if own and size >= 2 * _U32.size:
        count_at = _U32.size + _U32.unpack_from(aux)[0]
        if count_at + _U32.size <= size and _U32.unpack_from(aux, count_at)[0] >= 3:
            times = _usual_form(own).framed.match(aux, count_at + _U32.size)
            if times is not None:
                return times
    return _read_one_by_one(parse_aux(aux).metas, own)


class LazyTimes:
    """A frame's times, read out of its aux blob when somebody asks for the first time."""

    __slots__ = ("_aux", "_times")

    def __init__(self, aux: bytes) -> None:
        self._aux = aux
        self._times: FrameTimes | None = None

    def read(self) -> FrameTimes:
        """As `read_times_from_aux`."""
        times = self._times
        if times is None:
            times = self._times = read_times_from_aux(self._aux) if self._aux else FrameTimes()
        return times


def _monotonic(boot: str, kind: str) -> str:
    return f"{_MONOTONIC}, boot-id=(string){boot}, kind=(string){kind}"


def _sequence(publisher_id: str) -> str:
    return f"{_SEQUENCE}, publisher=(string){publisher_id}"


def _around(reference: str) -> tuple[bytes, bytes]:
    """Return what stands before and behind the timestamp of a record."""
    head, tail = encode_meta(ReferenceTimestamp(reference, _HOLE)).split(_HOLE_BYTES)
    return head, tail


def _read_one_by_one(metas: Sequence[bytes], boot: str) -> FrameTimes:
    """Read records in any order and spelling; the first of a kind counts."""
    found: dict[str, int] = {}
    publisher: str | None = None
    for record in metas:
        if not _TIMESTAMP.stop <= len(record) <= _RECORD_MAX:
            continue
        timestamp = int.from_bytes(record[_TIMESTAMP], "little")
        kind, whose = _meaning(record[: _TIMESTAMP.start], record[_TIMESTAMP.stop :])
        if timestamp == NONE_U64 or kind in found:
            continue
        if kind == "sequence":
            publisher = whose
            found[kind] = timestamp
        elif kind and boot and whose == boot:
            found[kind] = timestamp
    return FrameTimes(found.get("due"), found.get("capture"), publisher, found.get("sequence"))


@lru_cache(_CACHE_ENTRIES)
def _meaning(head: bytes, tail: bytes) -> tuple[str, str]:
    """Return what the timestamp in a record is, and of which boot or publisher; twice "" for what is none of ours."""
    meta = decode_meta(head + bytes(8) + tail)
    if isinstance(meta, ReferenceTimestamp):
        caps = parse_caps(meta.reference)
        if caps.media == _MONOTONIC:
            kind, boot = caps.fields.get("kind"), caps.fields.get("boot-id")
            if kind in ("due", "capture") and isinstance(boot, str):
                return str(kind), boot
        elif caps.media == _SEQUENCE:
            publisher = caps.fields.get("publisher")
            if isinstance(publisher, str) and _PUBLISHER_ID.fullmatch(publisher):
                return "sequence", publisher
    return "", ""


class _Pattern:
    """Three records in their usual form in one piece, where only the timestamps and the publisher's id are free."""

    def __init__(self, data: bytes) -> None:
        due_head, capture_head, sequence_head, tail = data.split(_HOLE_BYTES)
        self._fixed = (due_head, capture_head, sequence_head, tail[: -len(_ANY_ID) - 1])
        layout = struct.Struct("<{}sQ{}sQ{}sQ{}s{}sB".format(*map(len, self._fixed), len(_ANY_ID)))
        self._unpack_from = layout.unpack_from
        self._size = layout.size

    def match(self, data: bytes | bytearray | memoryview, at: int) -> FrameTimes | None:
        """Return the times at `at`; None if anything there has another form."""
        if at + self._size > len(data):
            return None
        one, due, two, capture, three, sequence, four, raw_id, nul = self._unpack_from(data, at)
        if (one, two, three, four) != self._fixed or nul or NONE_U64 in (due, capture, sequence):
            return None
        publisher = _publisher(raw_id)
        return None if publisher is None else FrameTimes(due, capture, publisher, sequence)


@lru_cache(_CACHE_ENTRIES)
def _publisher(raw: bytes) -> str | None:
    text = raw.decode("latin-1")
    return text if _PUBLISHER_ID.fullmatch(text) else None


_ANY_ID: Final = "0" * 16


class _UsualForm(NamedTuple):
    """How our own publishers on this machine write the three records."""

    lengths: tuple[int, int, int]
    records: _Pattern
    framed: _Pattern


@lru_cache(8)
def _usual_form(boot: str) -> _UsualForm:
    due, capture, sequence = TimeRecords(_ANY_ID, boot).records(_HOLE, _HOLE, _HOLE)
    no_caps = len(build_aux(None, []))
    framed = build_aux(None, [due, capture, sequence])[no_caps:]
    return _UsualForm((len(due), len(capture), len(sequence)), _Pattern(due + capture + sequence), _Pattern(framed))
