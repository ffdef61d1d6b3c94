"""Reads packets of encoded video from ROS 2 messages."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ..._wire.header import NONE_U64
from ..._wire.packet import (
    PACKET_FLAG_KEYFRAME,
    PACKET_VERSION,
    VideoPacketHeader,
    check_packet,
    nal_units,
    validate_packet,
)
from ..._wire.stamp import Stamp, boot_id
from ...errors import FormatError
from ..message import Unsound, too_large
from ..parcel import Parcel
from .messages import Compressed, FfmpegPacket, Header
from .topic import FFMPEG_PACKET, MessageType

# Types of NAL units of pictures at which decoding can begin. Source: ITU-T H.264 and H.265, table 7-1.
_IDR: Final = {"h264": (5,), "h265": tuple(range(16, 22))}
# Largest side of a picture whose size only the packet tells.
_SIDE_MAX: Final = 8192
# Parts of the names that encoders have, such as "libx264" or "hevc_nvenc".
_CODECS: Final = (("264", "h264"), ("265", "h265"), ("hevc", "h265"), ("av1", "av1"))


class _Coded(NamedTuple):
    codec: str
    width: int
    height: int
    is_keyframe: bool
    data: bytes


class PacketReader:
    """Reads packets from the messages of one topic, which any program may have sent.

    Args:
        type: Type of the messages.

    Raises:
        MissingExtraError: The messages lack the size of the pictures, and PyAV, which finds it, is not installed.
    """

    def __init__(self, type: MessageType) -> None:
        self._has_size = type is FFMPEG_PACKET
        self._size = (0, 0)
        self._formats: Any = None
        if not self._has_size:
            from ...packets._stream_format import FormatReader

            self._formats = FormatReader()

    def read(self, payload: bytes) -> tuple[Header, _Coded]:
        """Read a message.

        Raises:
            Unsound: The message is damaged, or no decoder could use it.
        """
        header, coded = self._ffmpeg(payload) if self._has_size else self._foxglove(payload)
        try:
            check_packet(memoryview(coded.data), coded.codec, is_keyframe=coded.is_keyframe)
        except FormatError as exc:
            raise Unsound("packet that readers cannot decode", str(exc)) from exc
        return header, coded

    def _ffmpeg(self, payload: bytes) -> tuple[Header, _Coded]:
        message = FfmpegPacket.read(payload)
        codec = _codec_of(message.encoding.partition(";")[0])
        return message.header, _Coded(codec, message.width, message.height, message.is_keyframe, bytes(message.data))

    def _foxglove(self, payload: bytes) -> tuple[Header, _Coded]:
        message = Compressed.read_video(payload)
        codec, data = _codec_of(message.format), bytes(message.data)
        if codec not in _IDR:
            known = "let the sender publish h264 or h265"
            raise Unsound("codec whose size is not known", f"{message.format[:60]!r}; {known}")
        is_keyframe = any(kind in _IDR[codec] for kind, _ in nal_units(data, codec))
        if is_keyframe:
            found = self._formats.read(_Coded(codec, _SIDE_MAX, _SIDE_MAX, True, data))
            self._size = (0, 0) if found is None else (found.width, found.height)
        return message.header, _Coded(codec, *self._size, is_keyframe, data)


def complete(parcel: Parcel, coded: _Coded) -> None:
    """Add a packet to a parcel that has its times and its origin.

    Raises:
        Unsound: The size is invalid.
    """
    origin = Stamp() if parcel.origin is None else parcel.origin.stamp
    header = VideoPacketHeader()
    header.pts = NONE_U64 if parcel.pts is None else parcel.pts
    header.dts = header.duration = NONE_U64
    header.stream, header.sequence = origin.publisher or 0, origin.sequence or 0
    header.stamp = Stamp(boot_id(), origin.publisher, origin.sequence, parcel.captured_at)
    header.width, header.height = coded.width % 2**32, coded.height % 2**32
    header.flags = PACKET_FLAG_KEYFRAME if coded.is_keyframe else 0
    header.version, header.codec = PACKET_VERSION, coded.codec.encode()
    broken = validate_packet(header, len(coded.data), coded.codec)
    if broken is not None:
        raise Unsound("invalid packet", str(broken))
    fault = too_large(header.width, header.height)
    if fault is not None:
        raise Unsound("picture too large", fault)
    parcel.header, parcel.data = header, coded.data
    parcel.width, parcel.height = header.width, header.height


def _codec_of(name: str) -> str:
    for part, codec in _CODECS:
        if part in name.lower():
            return codec
    raise Unsound("unknown codec", f"{name[:60]!r}; let the sender publish h264, h265 or av1")
