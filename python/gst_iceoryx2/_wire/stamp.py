"""The stamp of a frame: its publisher, sequence number, capture time and due time (SPEC.md section 5)."""

from __future__ import annotations

import ctypes
import secrets
import struct
import time
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from .auxblob import build_aux
from .header import NONE_U64

_BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_NO_BOOT: Final = bytes(16)

_NAME: Final = b"Iox2Stamp"
_VERSION: Final = 1
_RECORD: Final = struct.Struct("<19s16s4Q")
# Size of the record, length of its name, the name, NUL, version.
_HEAD: Final = struct.pack(f"<II{len(_NAME)}sxB", _RECORD.size, len(_NAME), _NAME, _VERSION)
_WORD: Final = struct.Struct("<I")
# Number of records, length of the first record, and the first record's fields if it is a stamp.
_FIRST: Final = struct.Struct(f"<II{_RECORD.format.lstrip('<')}")
_NUMBERS: Final = struct.Struct("<3Q")


class Stamp(NamedTuple):
    """Identity and timestamps of one frame; None = unknown.

    Attributes:
        boot_id: Boot ID of the machine whose clock the timestamps use, 16 bytes; zeros = unknown.
        publisher: Random 64-bit ID of the publisher.
        sequence: Number of frames that the publisher had sent before this one.
        capture: Capture time, or else publishing time, in nanoseconds of CLOCK_MONOTONIC.
        due: Time to display the frame, in nanoseconds of CLOCK_MONOTONIC.

    Example:
        Write a record and read it back:

            >>> Stamp.read(Stamp(bytes(16), publisher=7, sequence=0).record()).publisher
            7
    """

    boot_id: bytes = _NO_BOOT
    publisher: int | None = None
    sequence: int | None = None
    capture: int | None = None
    due: int | None = None

    def record(self) -> bytes:
        """Return the stamp as a 67-byte meta record. It must be the first record given to `build_aux`.

        Raises:
            OverflowError: A number is negative or exceeds 64 bits.
        """
        try:
            return _RECORD.pack(_HEAD, self.boot_id, *(NONE_U64 if number is None else number for number in self[1:]))
        except struct.error as error:
            raise OverflowError(f"{self}: {error}") from error

    @classmethod
    def read(cls, record: bytes) -> Stamp | None:
        """Return the stamp in a meta record; None if the record is not a stamp."""
        if not record.startswith(_HEAD) or len(record) != _RECORD.size:
            return None
        return _stamp_of(_RECORD.unpack(record)[1:])

    def here(self) -> Stamp:
        """Return the stamp, without timestamps that come from another boot or machine, because their clock differs."""
        if self.boot_id == boot_id() != _NO_BOOT:
            return self
        return self._replace(capture=None, due=None)


def _stamp_of(fields: Sequence[object]) -> Stamp:
    return Stamp._make(None if field == NONE_U64 else field for field in fields)


UNSTAMPED: Final = Stamp()
"""Stamp for a frame that was sent without one: everything is unknown."""


@cache
def boot_id() -> bytes:
    """Return the 16 bytes of the kernel's boot ID.

    If it is unavailable, the result is zeros, and all timestamps count as unknown. Source: proc_sys_kernel(5).
    """
    try:
        return uuid.UUID(_BOOT_ID_FILE.read_text("ascii").strip()).bytes
    except (OSError, ValueError):
        return _NO_BOOT


def monotonic_ns() -> int:
    """Return the current time in nanoseconds of CLOCK_MONOTONIC, the clock that all stamps use."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def new_publisher_id() -> int:
    """Generate a random ID for a new publisher."""
    return secrets.randbelow(NONE_U64)


class FrameHeader(Protocol):
    """The header of a sample that belongs to a frame: it has the fields of the frame's stamp."""

    boot_id: ctypes.Array[ctypes.c_uint8]
    frame_publisher: int
    frame_sequence: int
    capture: int
    due: int


def frame_stamp(header: FrameHeader) -> Stamp:
    """Return the stamp of the frame that a sample belongs to."""
    numbers = (header.frame_publisher, header.frame_sequence, header.capture, header.due)
    return Stamp(bytes(header.boot_id), *(None if number == NONE_U64 else number for number in numbers))


def set_frame_stamp(header: FrameHeader, stamp: Stamp) -> None:
    """Store the stamp of the frame that a sample belongs to."""
    header.boot_id[:] = list(stamp.boot_id)
    header.frame_publisher, header.frame_sequence, header.capture, header.due = (
        NONE_U64 if number is None else number for number in stamp[1:]
    )


class AuxTemplate:
    """Builds the aux blobs for one publisher's frames while their caps stay the same.

    Args:
        caps: Caps of the frames, from `video_caps`; None = no caps.
        publisher: ID of the publisher; None = no ID.

    Attributes:
        size: Size in bytes of a blob without extra metas.

    Raises:
        FormatError: The caps contain NUL.
    """

    def __init__(self, caps: str | None, publisher: int | None) -> None:
        self._caps = caps
        self._stamp = Stamp(boot_id(), publisher)
        blob = build_aux(caps, [self._stamp.record()])
        self.size: Final = len(blob)
        self._prefix = blob[: -_NUMBERS.size]

    def blob(
        self,
        due: int | None,
        capture: int | None,
        sequence: int,
        extra_metas: Sequence[bytes] = (),
        limit: int | None = None,
    ) -> bytes:
        """Return the blob for one frame.

        Args:
            due: Due time in nanoseconds of CLOCK_MONOTONIC; None = unknown.
            capture: Capture time in nanoseconds of CLOCK_MONOTONIC; None = unknown.
            sequence: Number of frames sent before this one.
            extra_metas: Records to add after the stamp.
            limit: Maximum size of the blob in bytes, as in `build_aux`; None = no limit.

        Returns:
            New bytes, identical to the result of `build_aux` for the caps, the stamp and the records.

        Raises:
            OverflowError: A number is negative or exceeds 64 bits.
        """
        if extra_metas or due is None or capture is None or (limit is not None and limit < self.size):
            stamp = self._stamp._replace(sequence=sequence, capture=capture, due=due)
            return build_aux(self._caps, [stamp.record(), *extra_metas], limit)
        try:
            return self._prefix + _NUMBERS.pack(sequence, capture, due)
        except struct.error as error:
            raise OverflowError(f"due {due}, capture {capture} or sequence {sequence}: {error}") from error


def read_stamp(aux: bytes | bytearray | memoryview) -> Stamp:
    """Read the stamp of a frame, which is the first meta record of its aux blob.

    Args:
        aux: The blob, which any process may have written.

    Returns:
        The stamp as it was sent; `UNSTAMPED` if the blob has no stamp. Invalid content never raises an error.
    """
    if len(aux) >= _WORD.size:
        at = _WORD.size + _WORD.unpack_from(aux)[0]
        if at + _FIRST.size <= len(aux):
            count, size, head, *fields = _FIRST.unpack_from(aux, at)
            if count and size == _RECORD.size and head == _HEAD:
                return _stamp_of(fields)
    return UNSTAMPED


class LazyStamp:
    """A frame's stamp, read from the aux blob on the first call of `read`."""

    __slots__ = ("_aux", "_stamp")

    def __init__(self, aux: bytes) -> None:
        self._aux = aux
        self._stamp: Stamp | None = None

    def read(self) -> Stamp:
        """Return the stamp, without timestamps from another boot; see `Stamp.here`."""
        stamp = self._stamp
        if stamp is None:
            stamp = self._stamp = read_stamp(self._aux).here()
        return stamp
