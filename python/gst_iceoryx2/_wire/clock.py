"""The meta of frames that crossed a bridge: the stamp of their first publisher, and the error of their capture time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from .metas import CustomMeta, ReferenceTimestamp
from .stamp import Stamp
from .value import FieldValue

CLOCK_META: Final = "Iox2Clock"
"""Name of the meta (SPEC.md section 10)."""

INT64_MAX: Final = 2**63 - 1
"""Largest number that a field of a meta can hold."""

_ID: Final = re.compile(r"[0-9a-f]{16}")
_BOOT_ID: Final = re.compile(r"[0-9a-f]{32}")


class Origin(NamedTuple):
    """Where a frame comes from that crossed a bridge.

    Attributes:
        stamp: The stamp that the first publisher gave the frame. Its times belong to that publisher's clock.
        error: Largest error of the capture time in the frame's own stamp, in nanoseconds; None = that time is the time
            of arrival, because the capture time is unknown.

    Example:
        Write the meta and read it back:

            >>> origin = Origin(Stamp(bytes(range(16)), publisher=7, sequence=0), error=1_500_000)
            >>> Origin.find([origin.meta()]) == origin
            True
    """

    stamp: Stamp
    error: int | None

    def meta(self) -> CustomMeta:
        """Return the meta that carries this origin."""
        stamp = self.stamp
        fields: dict[str, FieldValue] = {"boot-id": stamp.boot_id.hex()}
        for name, number in (("publisher", stamp.publisher), ("sequence", stamp.sequence)):
            if number is not None:
                fields[name] = f"{number:016x}"
        for name, time in (("capture", stamp.capture), ("error", self.error)):
            # A later time does not fit into a field.
            if time is not None and time <= INT64_MAX:
                fields[name] = time
        return CustomMeta(CLOCK_META, fields)

    @classmethod
    def find(cls, metas: Iterable[CustomMeta | ReferenceTimestamp | bytes]) -> Origin | None:
        """Return the origin in the last meta of this name; None if there is none, or if its boot ID is invalid."""
        found = [meta for meta in metas if isinstance(meta, CustomMeta) and meta.name == CLOCK_META]
        return cls._read(found[-1].fields) if found else None

    @classmethod
    def _read(cls, fields: Mapping[str, FieldValue]) -> Origin | None:
        boot = fields.get("boot-id")
        if not isinstance(boot, str) or not _BOOT_ID.fullmatch(boot):
            return None
        publisher, sequence = (id_in(fields.get(name)) for name in ("publisher", "sequence"))
        stamp = Stamp(bytes.fromhex(boot), publisher, sequence, time_in(fields.get("capture")))
        return cls(stamp, time_in(fields.get("error")))


def id_in(value: object) -> int | None:
    """Return the 64-bit number in a field of 16 hex digits; None if it is anything else."""
    return int(value, 16) if isinstance(value, str) and _ID.fullmatch(value) else None


def time_in(value: object) -> int | None:
    """Return the time in a field, which is a whole number of at least 0; None if it is anything else."""
    return value if type(value) is int and value >= 0 else None
