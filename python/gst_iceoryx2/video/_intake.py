"""Turn received samples into frames. All checks use private copies, because a publisher can still modify a sample."""

from __future__ import annotations

import ctypes
import logging
import struct
from typing import Final

from .._iox2 import types
from .._wire.auxblob import MAX_AUX, parse_aux
from .._wire.fault import Fault
from .._wire.header import HEADER_FLAG_EOS, HEADER_SIZE, VideoFrameHeader
from .._wire.stamp import LazyStamp
from .._wire.validate import Geometry, check_caps, geometry_of, validate_geometry
from ..contract import message
from ._drops import DropCounter
from ._layout import EOS_HEADER, repeated
from ._memory import Ledger, ReceivedMemory
from ._segments import NOWHERE, Mapping, Segments
from .frame import VideoFrame

_log: Final = logging.getLogger("gst_iceoryx2")

SAMPLE_HEADER_SIZE: Final = 48
"""Size of iceoryx2's own sample header, located before the user header: node, publisher, elements, offset.

Source: iceoryx2/src/service/header/publish_subscribe.rs, `repr(C)`.
"""
_HEADERS: Final = ctypes.c_char * (SAMPLE_HEADER_SIZE + HEADER_SIZE)
# Publisher, number of elements, offset, flags.
_FIELDS: Final = struct.Struct("<16x16sQ8x24xQQ")
_GEOMETRY_AT: Final = 40
_AUX_SIZE_AT: Final = 52
_U32: Final = struct.Struct("<I")
_NO_STAMP: Final = LazyStamp(b"")


class Intake:
    """Creates frames from the samples of one service.

    Geometry and caps rarely change between frames. They are checked once, and later frames are only compared with them.

    Attributes:
        received: Frames created. Ends of the stream are not counted.
        invalid: Samples rejected.
        ledger: Counts the held frames.
        caps: Caps of the latest frame; None before the first frame, or if it has no caps.
        ends: Whether the stream ended with the latest frame.
    """

    def __init__(self, name: str, *, is_local: bool = False) -> None:
        self._name = name
        self.received = 0
        self.invalid = 0
        self._drops = DropCounter()
        # Stamp and offset of the latest frame, until they are passed to the counter.
        self._unnoted: tuple[LazyStamp, int] | None = None
        self.ledger = Ledger()
        self.caps: str | None = None
        self.ends = False
        self._faults: set[str] = set()
        self._segments = Segments(is_local=is_local)
        # The memory mapping that contains the latest frame.
        self._mapping: Mapping = NOWHERE
        self._geometry: Geometry | None = None
        self._key = b""
        self._length = -1
        self._size = 0
        self._pixel_kind: type[ctypes.Array[ctypes.c_ubyte]] = ctypes.c_ubyte * 0
        self._aux_kind: type[ctypes.Array[ctypes.c_char]] = ctypes.c_char * 0
        self._caps_prefix = b""

    @property
    def dropped(self) -> int | None:
        """Frames missed; None if the publisher of the latest frame does not number its frames."""
        self.settle()
        return self._drops.total

    def begin(self, *, was_first: bool, has_sole_publisher: bool) -> None:
        """Prepare for a new connection; see `DropCounter`."""
        self.settle()
        self._drops.was_first |= was_first
        self._drops.has_sole_publisher = has_sole_publisher

    def settle(self) -> None:
        """Count the frames missing before the latest frame. This is deferred until that frame has been delivered."""
        unnoted, self._unnoted = self._unnoted, None
        if unnoted is not None:
            self._drops.note(unnoted[0].read(), unnoted[1])

    def take(self, sample: types.Sample, port: types.Subscriber) -> VideoFrame | None:
        """Create a frame, or an end of the stream, from a sample received on this port.

        Returns:
            The frame; None if the sample is rejected. The memory is freed with the last reference to `sample`.
        """
        place, address = sample.user_header_ptr, sample.payload_ptr
        mapping = self._mapping
        if not mapping.start < place < mapping.end:
            self._mapping = mapping = self._segments.at(place)
        if address > mapping.end:
            return self._refuse(Fault.of("place"))
        # Read once, because the publisher can write to this memory at any time.
        headers: bytes = _HEADERS.from_address(place - SAMPLE_HEADER_SIZE).raw
        publisher, length, offset, flags = _FIELDS.unpack_from(headers)
        if publisher != mapping.publisher or address + length > mapping.end:
            self._mapping = mapping = self._segments.settle(mapping, publisher, place)
            room = mapping.end - address
            if length > room:
                return self._refuse(Fault.of("length", payload=length, room=max(room, 0)))
        header = headers[SAMPLE_HEADER_SIZE:]
        self.ends = False
        if flags & HEADER_FLAG_EOS:
            # The end of the stream repeats the last frame. Deliver that frame now if it has not been received yet.
            last = repeated(header)
            if last is not None and _U32.unpack_from(header, _AUX_SIZE_AT)[0] <= length:
                header, flags, self.ends = last, flags & ~HEADER_FLAG_EOS, True
        if length != self._length or header[_GEOMETRY_AT:] != self._key or flags & HEADER_FLAG_EOS:
            fault = self._learn(header, length)
            if fault is not None:
                return self.end() if self.ends else self._refuse(fault)
            if flags & HEADER_FLAG_EOS:
                return VideoFrame()._fill(header, None, 0, None, b"", None, _NO_STAMP, self.ledger)
        size = self._size
        stamp, aux = _NO_STAMP, b""
        if size != length:
            aux = self._aux_kind.from_address(address + size).raw
            if not aux.startswith(self._caps_prefix):
                fault = self._learn_caps(header, aux)
                if fault is not None:
                    return self.end() if self.ends else self._refuse(fault)
            stamp = LazyStamp(aux)
        elif self.caps is not None:
            self._forget_caps()
        self.settle()
        if self.ends and not self._drops.misses(stamp.read()):
            return self.end()
        self._unnoted = (stamp, offset)
        self.received += 1
        memory = ReceivedMemory(sample, port, address, self._pixel_kind, self.ledger)
        return VideoFrame()._fill(header, self._geometry, size, memory, aux, self.caps, stamp, self.ledger)

    def following(self) -> VideoFrame | None:
        """Return the end of the stream if it came with the latest frame; otherwise None."""
        return self.end() if self.ends else None

    def end(self) -> VideoFrame:
        """Return an end of the stream that does not refer to a sample."""
        self.ends = False
        return VideoFrame()._fill(EOS_HEADER, None, 0, None, b"", None, _NO_STAMP, self.ledger)

    def _learn(self, raw: bytes, length: int) -> Fault | None:
        """Check and store a new geometry; return a fault if it is rejected."""
        size = length - _U32.unpack_from(raw, _AUX_SIZE_AT)[0]
        header = VideoFrameHeader.from_buffer_copy(raw)
        fault = validate_geometry(header, size)
        if fault is not None or header.is_eos:
            return fault
        self._geometry = geometry_of(header)
        self._key, self._length, self._size = raw[_GEOMETRY_AT:], length, size
        self._pixel_kind, self._aux_kind = ctypes.c_ubyte * size, ctypes.c_char * min(length - size, MAX_AUX)
        # Caps must match the geometry, so check them again.
        self._forget_caps()
        return None

    def _forget_caps(self) -> None:
        self.caps = None
        # Blobs cannot begin with these bytes, because caps are never this long.
        self._caps_prefix = b"\xff\xff\xff\xff"

    def _learn_caps(self, raw: bytes, aux: bytes) -> Fault | None:
        """Check and store new caps; return a fault if they are rejected."""
        self._forget_caps()
        caps = parse_aux(aux).caps
        if caps is not None:
            fault = check_caps(caps, VideoFrameHeader.from_buffer_copy(raw))
            if fault is not None:
                return fault
        if len(aux) >= _U32.size:
            end = _U32.size + _U32.unpack_from(aux)[0]
            if end <= len(aux):
                self.caps, self._caps_prefix = caps, aux[:end]
        return None

    def _refuse(self, fault: Fault) -> VideoFrame | None:
        self.invalid += 1
        if fault.rule not in self._faults:
            self._faults.add(fault.rule)
            _log.warning("%s", message("frame_refused", service=self._name, fault=fault))
        return None
