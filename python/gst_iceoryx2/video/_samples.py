"""Read the headers of samples that any process may have written, and count those that are rejected."""

from __future__ import annotations

import ctypes
import logging
import struct
from typing import Final

from .._iox2 import types
from .._wire.fault import Fault
from ._intake import SAMPLE_HEADER_SIZE
from ._segments import NOWHERE, Mapping, Segments

_log: Final = logging.getLogger("gst_iceoryx2")

# Publisher port and number of elements.
_FIELDS: Final = struct.Struct("<16x16sQ8x")


class SampleReader:
    """Reads the headers of one service's samples.

    Args:
        name: Name of the service.
        kind: What a sample is, for the log: "packet".
        header_size: Size of the user header in bytes.
        is_local: Whether all publishers are in this process.

    Attributes:
        invalid: Number of rejected samples.
    """

    def __init__(self, name: str, kind: str, header_size: int, *, is_local: bool) -> None:
        self._name = name
        self._kind = kind
        self._headers = ctypes.c_char * (SAMPLE_HEADER_SIZE + header_size)
        self._faults: set[str] = set()
        self._segments = Segments(is_local=is_local)
        self._mapping: Mapping = NOWHERE
        self.invalid = 0

    def read(self, sample: types.Sample) -> tuple[bytes, int] | None:
        """Return a private copy of the user header, and the number of payload bytes; None if the sample is rejected."""
        place, address = sample.user_header_ptr, sample.payload_ptr
        mapping = self._mapping
        if not mapping.start < place < mapping.end:
            self._mapping = mapping = self._segments.at(place)
        if address > mapping.end:
            self.refuse(Fault.of("place"))
            return None
        # Read once, because the publisher can write to this memory at any time.
        headers: bytes = self._headers.from_address(place - SAMPLE_HEADER_SIZE).raw
        publisher, length = _FIELDS.unpack_from(headers)
        if publisher != mapping.publisher or address + length > mapping.end:
            self._mapping = mapping = self._segments.settle(mapping, publisher, place)
            room = mapping.end - address
            if length > room:
                self.refuse(Fault.of("length", payload=length, room=max(room, 0)))
                return None
        return headers[SAMPLE_HEADER_SIZE:], length

    def refuse(self, fault: Fault) -> None:
        """Count a rejected sample, and log the first one for each rule."""
        self.invalid += 1
        if fault.rule not in self._faults:
            self._faults.add(fault.rule)
            _log.warning(
                "%s of service %s dropped: %s; further ones that break this rule are only counted",
                self._kind,
                self._name,
                fault,
            )
