"""Reads the parts of encoded pictures: finds keyframes, and inserts the parameter sets that they lack."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from .._extras.av import av, packet_decoder
from .._wire.packet import LAST_SLICE, PARAMETER_SETS, nal_units

# Slices of pictures that can be decoded without earlier pictures: IDR in H.264, IRAP in H.265. A decoder that begins at
# a CRA picture of H.265 skips the pictures after it that refer to earlier ones. Source: ITU-T H.264, H.265, table 7-1.
_KEYFRAMES: Final = {"h264": range(5, 6), "h265": range(16, 22)}
# Access unit delimiters, which must stay at the beginning. Same sources.
_DELIMITERS: Final = {"h264": 9, "h265": 35}
# Types of open bitstream units. Source: AV1 Bitstream & Decoding Process Specification, section 6.2.2.
_OBU_SEQUENCE: Final = 1
_OBU_DELIMITER: Final = 2
_OBU_FRAMES: Final = (3, 6)
# Bytes in an av1C box before the units. Source: AV1 Codec ISO Media File Format Binding, section 2.3.3.
_AV1C_HEAD: Final = 4


class ParameterSets:
    """The parameter sets of a stream, without which its keyframes cannot be decoded.

    Args:
        codec: "h264", "h265" or "av1".
        extradata: What the server said about the stream (in SDP, or the header of a container), as FFmpeg has it.

    Attributes:
        newest: The parameter sets by type of their unit. For H.264 and H.265 with start codes.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = codec
        self.newest: dict[int, bytes] = {}
        extradata = extradata or b""
        if codec != "av1":
            # Length-prefixed sets are inserted by the filter that converts the packets.
            self._note(extradata)
        elif len(extradata) > _AV1C_HEAD and extradata[0] == 0x81:
            self.newest = {_OBU_SEQUENCE: extradata[_AV1C_HEAD:]}

    def is_keyframe(self, data: bytes, *, told: bool) -> bool:
        """Return whether everything from a packet on can be decoded.

        Args:
            data: The packet.
            told: Whether its container says so. FFmpeg also says it of H.264 pictures at which a decoder recovers only
                gradually.
        """
        if self._codec == "av1":
            return told
        slices = (kind for kind, _ in nal_units(data, self._codec) if kind <= LAST_SLICE[self._codec])
        return next(slices, -1) in _KEYFRAMES[self._codec]

    def completed(self, data: bytes) -> bytes:
        """Return a keyframe with its parameter sets. Those in the packet replace the known ones."""
        if self._codec == "av1":
            return self._completed_av1(data)
        own, begin = self._note(data)
        missing = b"".join(text for kind, text in self.newest.items() if kind not in own)
        return data[:begin] + missing + data[begin:] if missing else data

    def _note(self, data: bytes) -> tuple[set[int], int]:
        """Note the parameter sets in a packet; return their types, and the offset for missing ones."""
        found: dict[int, bytes] = {}
        begin = 0
        for (kind, start), (_, end) in pairwise((*self._head(data), (-1, len(data)))):
            if kind in PARAMETER_SETS[self._codec]:
                found[kind] = found.get(kind, b"") + data[start:end]
            elif kind == _DELIMITERS[self._codec]:
                begin = end
        # Decoders read them in the order of their types: what a set refers to comes first.
        self.newest = dict(sorted((self.newest | found).items()))
        return found.keys() & PARAMETER_SETS[self._codec].keys(), begin

    def _head(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield the units up to the first slice."""
        for kind, start in nal_units(data, self._codec):
            # The first byte of a longer start code belongs to it.
            yield kind, start - (start > 0 and data[start - 1] == 0)
            if kind <= LAST_SLICE[self._codec]:
                return

    def _completed_av1(self, data: bytes) -> bytes:
        begin = 0
        for kind, start, end in _obus(data):
            if kind == _OBU_SEQUENCE:
                self.newest = {kind: data[start:end]}
                return data
            if kind == _OBU_DELIMITER:
                begin = end
            elif kind in _OBU_FRAMES:
                break
        return data[:begin] + self.newest.get(_OBU_SEQUENCE, b"") + data[begin:]


def _obus(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield type, start and end of each open bitstream unit. Section 5.3 of the specification of AV1."""
    start = 0
    while start < len(data):
        head, at, size = data[start], start + 1 + (data[start] >> 2 & 1), 0
        for number, byte in enumerate(data[at : at + 8]):
            size |= (byte & 0x7F) << 7 * number
            at += 1
            if byte < 0x80:
                break
        end = at + size if head & 2 else len(data)
        yield head >> 3 & 15, start, end
        start = end


def size_of(keyframe: bytes, codec: str) -> tuple[int, int] | None:
    """Decode a keyframe; return its width and height in pixels, or None if it cannot be decoded."""
    decoder = packet_decoder(codec)
    try:
        pictures = [*decoder.decode(av.Packet(keyframe)), *decoder.decode(None)]
    except av.FFmpegError:
        return None
    return (pictures[0].width, pictures[0].height) if pictures else None
