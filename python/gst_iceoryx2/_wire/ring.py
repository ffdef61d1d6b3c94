"""What a ring and its readers say to each other over a Unix socket (SPEC.md section 12)."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from types import NoneType
from typing import Any, Final

from .packet import PACKET_HEADER_SIZE

RING_VERSION: Final = 1
MAX_LINE_BYTES: Final = 4096
"""Longest line of a request or an answer, with its newline."""

LATEST_END: Final = 3600
"""Latest end of a request, in seconds after its arrival."""

RECORD: Final = struct.Struct(f"<{PACKET_HEADER_SIZE}sI")
"""In front of each packet: its header, and the number of bytes that follow."""

_TIME_MAX: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class RingRequest:
    """A request. Times are capture times in nanoseconds of CLOCK_MONOTONIC.

    Attributes:
        begin: The packets begin at the last keyframe at or before this time; None = at the first packet.
        end: Time of the last packet; None = only the state of the ring is wanted.
    """

    begin: int | None = None
    end: int | None = None

    def to_line(self) -> bytes:
        """Return the request as a line."""
        return _line({"version": RING_VERSION, **asdict(self)})

    @classmethod
    def of(cls, line: bytes) -> RingRequest:
        """Return the request in a line.

        Raises:
            ValueError: It is not a request of this version; the message says why.
        """
        values = _values(line)
        if values.get("version") != RING_VERSION:
            raise ValueError(f"the request has version {values.get('version')!r}, but this ring has {RING_VERSION}")
        begin, end = values.get("begin"), values.get("end")
        for name, value in (("begin", begin), ("end", end)):
            if value is not None and not _is_time(value):
                raise ValueError(f'"{name}" must be a whole number of nanoseconds from 0 to 2^63 - 1, or null')
        if begin is not None and end is not None and begin > end:
            raise ValueError(f'"begin" ({begin}) is after "end" ({end})')
        return cls(begin, end)


@dataclass(frozen=True, slots=True)
class RingStatus:
    """What a ring contains. Times are capture times in nanoseconds of CLOCK_MONOTONIC.

    Attributes:
        codec: Codec of its packets.
        packets: Number of packets.
        total_bytes: Bytes of all packets.
        first: Time of the first packet, a keyframe; None if the ring is empty.
        last: Time of the last packet; None if the ring is empty.
        keep: Seconds that the ring keeps.
        keep_bytes: Bytes that the ring keeps at most.
        note: What is missing of what was asked for, as a sentence; None if nothing is.
    """

    codec: str
    packets: int
    total_bytes: int
    first: int | None
    last: int | None
    keep: float
    keep_bytes: int
    note: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds from the first to the last packet."""
        return 0.0 if self.first is None or self.last is None else (self.last - self.first) / 1e9

    def to_line(self) -> bytes:
        """Return the answer as a line."""
        return _line({"version": RING_VERSION, **asdict(self)})

    @classmethod
    def of(cls, line: bytes) -> RingStatus:
        """Return the state in an answer.

        Raises:
            ValueError: It is not an answer of this version, or it is a refusal; the message says why.
        """
        values = _values(line)
        if isinstance(values.get("error"), str):
            raise ValueError(values["error"])
        if values.pop("version", None) != RING_VERSION:
            raise ValueError("the ring belongs to another release")
        # A later release may add keys.
        found: dict[str, Any] = {name: values.get(name) for name in _KINDS}
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, _KINDS[name]):
                raise ValueError(f'"{name}" of the answer is {value!r}')
        return cls(**found)


_KINDS: Final[dict[str, Any]] = {
    "codec": str, "packets": int, "total_bytes": int, "first": (int, NoneType), "last": (int, NoneType),
    "keep": (float, int), "keep_bytes": int, "note": (str, NoneType),
}  # fmt: skip


def refusal(error: str) -> bytes:
    """Return the answer to a request that is refused."""
    return _line({"version": RING_VERSION, "error": error})


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _values(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError("not an object in JSON")
    return values


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _TIME_MAX
