"""Packs frames and packets into messages for Zenoh keys, and checks and unpacks them. Layout: docs/bridge.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np

from .. import jpeg
from .._wire.auxblob import build_aux, parse_aux
from .._wire.caps import parse_caps, video_caps
from .._wire.clock import Origin
from .._wire.formats import get_format
from .._wire.header import BUFFER_FLAGS_MASK, HEADER_SIZE, NONE_U64, VideoFrameHeader
from .._wire.metas import decode_meta, encode_meta
from .._wire.packet import PACKET_HEADER_SIZE, VideoPacketHeader, validate_packet
from .._wire.rendition import CODECS
from .._wire.results import RESULTS_HEADER_SIZE
from .._wire.stamp import UNSTAMPED, Stamp, boot_id
from .._wire.validate import check_caps, geometry_of, validate_geometry
from ..errors import FormatError
from ..video._layout import FrameLayout, caps_fields
from ..video.colour import to_rgb
from .clocks import Clocks
from .parcel import HOPS_MAX, HOPS_META, Hops, Parcel, split_own

Codec: TypeAlias = Literal["jpeg", "raw", "h264"]

MAGIC: Final = b"IOX2VID\x01"
"""First bytes of every attachment; the last byte is the layout's version."""

RAW, JPEG, END, PACKET, RESULTS = 1, 2, 3, 4, 5

_HEADER_SIZES: Final = {
    RAW: HEADER_SIZE,
    JPEG: HEADER_SIZE,
    END: 0,
    PACKET: PACKET_HEADER_SIZE,
    RESULTS: RESULTS_HEADER_SIZE,
}

_HEAD: Final = struct.Struct("<8sBBHI")
_HOP: Final = 8
_PACKET_BEGINS: Final = MAGIC + bytes([PACKET])
_JPEG_BEGINS: Final = b"\xff\xd8\xff"
_PIXELS_MAX: Final = 1 << 26
ATTACHMENT_MAX: Final = 1 << 16
"""Maximum size of an attachment, in bytes."""
MESSAGE_MAX: Final = 256 << 20
"""Maximum size of a message, in bytes. Zenoh drops larger messages before it allocates memory for them."""

# The header of a JPEG message describes the raw pixels, so the size of the payload does not limit it.
_PIXELS_ENOUGH: Final = (1 << 63) - 1
# End of the name within a meta record that carries hops.
_HOPS_NAME: Final = HOPS_META.encode() + b"\0"
_NAME_END: Final = 8 + len(_HOPS_NAME)
_UNKNOWN: Final = Origin(UNSTAMPED, None)
# Caps fields that describe the raw samples rather than the JPEG picture.
_OF_SAMPLES: Final = ("format", "width", "height", "colorimetry", "chroma-site")


class Unsound(Exception):
    """A message or frame that is refused.

    Args:
        kind: The kind of fault: one of a few fixed texts, which never quote received data.
        details: Details such as numbers and received values.

    Attributes:
        kind: The kind of fault.
    """

    def __init__(self, kind: str, details: str = "") -> None:
        super().__init__(f"{kind}{': ' if details else ''}{details}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Message:
    """A message for a key.

    Attributes:
        payload: Raw pixels, a JPEG picture, a packet, or the payload of results; empty at the end of a stream.
        attachment: All other data, as described in docs/bridge.md.
    """

    payload: bytes | memoryview
    attachment: bytes


def pack(parcel: Parcel, codec: Codec, quality: int, hops: Hops) -> Message:
    """Pack a parcel into a message.

    Args:
        parcel: The parcel. A raw message borrows its pixels until it is sent.
        codec: "raw" for unchanged pixels, otherwise a JPEG picture. Packets and results are sent as they are.
        quality: JPEG quality, 1 to 100.
        hops: IDs of the bridges crossed, including this one.

    Raises:
        FormatError: Receivers would refuse the message, or the picture cannot be encoded as JPEG.
        UnsupportedViewError: The pixel format is tiled or uses a palette.
    """
    if parcel.header is not None:
        return Message(parcel.data, _attachment(PACKET, bytes(parcel.header), b"", hops))
    if parcel.results is not None:
        return Message(parcel.data, _attachment(RESULTS, bytes(parcel.results), b"", hops))
    if parcel.is_end:
        return Message(b"", _attachment(END, b"", b"", hops))
    fault = too_large(parcel.width, parcel.height)
    if fault is not None:
        raise FormatError(f"picture too large: {fault}")
    header, aux, pixels = _described(parcel)
    if codec == "raw":
        attachment = _attachment(RAW, header, aux, hops)
        if len(pixels) + len(attachment) > MESSAGE_MAX:
            raise FormatError(f"the message has {len(pixels) + len(attachment)} bytes, but the limit is {MESSAGE_MAX}")
        return Message(pixels, attachment)
    return Message(encode_picture(parcel, quality), _attachment(JPEG, header, aux, hops))


def encode_picture(parcel: Parcel, quality: int) -> bytes:
    """Return a frame as a JPEG picture.

    Raises:
        FormatError: The picture is too large for JPEG.
        UnsupportedViewError: The pixel format is tiled or uses a palette.
    """
    if parcel.frame is not None:
        return jpeg.encode(parcel.frame, quality)
    colorimetry = parse_caps(parcel.caps).fields.get("colorimetry") if parcel.caps else None
    text = colorimetry if isinstance(colorimetry, str) else None
    rgb = to_rgb(parcel.planes, get_format(parcel.format), parcel.width, parcel.height, text)
    return jpeg.encode_rgb(rgb, quality)


def _attachment(kind: int, header: bytes, aux: bytes, hops: Hops) -> bytes:
    ids = b"".join(bytes.fromhex(hop) for hop in hops)
    attachment = _HEAD.pack(MAGIC, kind, len(hops), 0, len(aux)) + ids + header + aux
    if len(attachment) > ATTACHMENT_MAX:
        raise FormatError(f"the attachment has {len(attachment)} bytes, but the limit is {ATTACHMENT_MAX}")
    return attachment


def too_large(width: int, height: int) -> str | None:
    """Return the reason why bridges refuse a picture of this size; None if they accept it."""
    return f"{width}x{height} has more than {_PIXELS_MAX:,} pixels" if width * height > _PIXELS_MAX else None


def _described(parcel: Parcel) -> tuple[bytes, bytes, memoryview]:
    """Return the header, aux blob and pixels of a parcel (SPEC.md sections 2 and 3)."""
    frame = parcel.frame
    if frame is not None:
        # Records are forwarded without decoding, because receivers may know metas that this bridge does not.
        records = [record for record in frame.parse_aux().metas if _HOPS_NAME not in record[:_NAME_END]]
        aux = build_aux(frame.caps, records)
        header = frame.header
        header.aux_size = len(aux)
        return bytes(header), aux, frame.pixels
    layout = _layout(parcel.format, parcel.width, parcel.height, parcel.caps)
    own = () if parcel.origin is None else (parcel.origin.meta(),)
    metas = [meta if isinstance(meta, bytes) else encode_meta(meta) for meta in (*own, *parcel.metas)]
    aux = layout.aux.blob(None, parcel.captured_at, 0, metas)
    pts, dts, duration, offset = (
        NONE_U64 if number is None else number for number in (parcel.pts, parcel.dts, parcel.duration, parcel.offset)
    )
    header_bytes = layout.header(pts, dts, duration, offset, parcel.flags, len(aux))
    pixels = np.empty(layout.size, np.uint8)
    for recipe, plane in zip(layout.planes, parcel.planes, strict=True):
        recipe.of(pixels)[...] = plane
    return header_bytes, aux, pixels.data


@lru_cache(maxsize=16)
def _layout(format: str, width: int, height: int, caps: str | None) -> FrameLayout:
    return FrameLayout(format, width, height, None, caps_fields(caps, None), None)


def unpack(payload: bytes, attachment: bytes | None, arrived: int, clocks: Clocks) -> Parcel:
    """Check a message from an untrusted sender, and unpack it.

    Args:
        payload: Payload of the message.
        attachment: Attachment of the message; None for JPEG pictures from other programs, which do not have one.
        arrived: When the message arrived, in nanoseconds of CLOCK_MONOTONIC.
        clocks: The clocks of other bridges.

    Returns:
        The frame. Its planes are read-only copies.

    Raises:
        Unsound: The message is damaged, or was not sent by a bridge.
    """
    if attachment is None:
        if not payload.startswith(_JPEG_BEGINS):
            raise Unsound("neither a JPEG picture nor an attachment", f"{len(payload)} bytes")
        return with_picture(Parcel(captured_at=arrived, origin=_UNKNOWN), payload)
    kind, hops, rest = opened(attachment)
    if kind == RESULTS:
        raise Unsound("results on a key of frames", f"{len(payload)} bytes")
    if kind == END:
        if payload:
            raise Unsound("end of stream with a picture", f"{len(payload)} bytes")
        return Parcel(is_end=True, hops=hops)
    if kind == PACKET:
        return _packet(VideoPacketHeader.from_buffer_copy(rest), payload, hops, arrived, clocks)
    header = VideoFrameHeader.from_buffer_copy(rest[:HEADER_SIZE])
    broken = validate_geometry(header, len(payload) if kind == RAW else _PIXELS_ENOUGH)
    if header.is_eos or broken is not None:
        raise Unsound("invalid header", str(broken or "end of stream flag"))
    geometry = geometry_of(header)
    if not geometry.planes:
        raise Unsound("tiled or palette format", geometry.format.name)
    fault = too_large(geometry.width, geometry.height)
    if fault is not None:
        raise Unsound("picture too large", fault)
    aux = parse_aux(rest[HEADER_SIZE:])
    if aux.caps is not None:
        broken = check_caps(aux.caps, header)
        if broken is not None:
            raise Unsound("invalid caps", str(broken))
    stamp = Stamp.read(aux.metas[0]) if aux.metas else None
    metas, _, before = split_own([decode_meta(record) for record in aux.metas if Stamp.read(record) is None])
    moments = clocks.translate(stamp or UNSTAMPED, hops[-1] if hops else None, arrived)
    parcel = Parcel(
        geometry.format.name,
        geometry.width,
        geometry.height,
        caps=aux.caps,
        pts=_number(header.pts),
        dts=_number(header.dts),
        duration=_number(header.duration),
        offset=_number(header.offset),
        flags=header.flags & BUFFER_FLAGS_MASK,
        captured_at=moments.captured_at,
        origin=_origin(stamp or UNSTAMPED, before, moments.error),
        metas=metas,
        hops=hops,
    )
    if kind == JPEG:
        return with_picture(parcel, payload)
    parcel.planes = geometry.views(payload)
    return parcel


def is_packet(attachment: bytes | None) -> bool:
    """Return whether a message, which may be damaged, carries a packet. Attachments that are too long do not."""
    return attachment is not None and len(attachment) <= ATTACHMENT_MAX and attachment.startswith(_PACKET_BEGINS)


def is_keyframe(attachment: bytes) -> bool:
    """Return whether a message with a packet, which may be damaged, carries a keyframe."""
    header = attachment[-PACKET_HEADER_SIZE:]
    return len(header) == PACKET_HEADER_SIZE and VideoPacketHeader.from_buffer_copy(header).is_keyframe


def _packet(header: VideoPacketHeader, payload: bytes, hops: Hops, arrived: int, clocks: Clocks) -> Parcel:
    codec = header.codec_name
    broken = validate_packet(header, len(payload), codec)
    if codec not in CODECS or broken is not None or (header.is_eos and payload):
        raise Unsound("invalid packet", str(broken or f"codec {codec!r}, {len(payload)} bytes"))
    fault = too_large(header.width, header.height)
    if fault is not None:
        raise Unsound("picture too large", fault)
    stamp = header.stamp
    moments = clocks.translate(stamp, hops[-1] if hops else None, arrived)
    # Packets have no metas. The identity of the frame is kept, and its times become times of this machine.
    header.stamp = Stamp(boot_id(), stamp.publisher, stamp.sequence, moments.captured_at, moments.due_at)
    return Parcel(
        width=header.width,
        height=header.height,
        pts=_number(header.pts),
        dts=_number(header.dts),
        duration=_number(header.duration),
        captured_at=moments.captured_at,
        origin=Origin(stamp._replace(due=None), moments.error),
        hops=hops,
        is_end=header.is_eos,
        header=header,
        data=payload,
    )


def _number(number: int) -> int | None:
    return None if number == NONE_U64 else number


def opened(attachment: bytes) -> tuple[int, Hops, bytes]:
    """Check an attachment; return its kind, hops, and remaining bytes."""
    if len(attachment) > ATTACHMENT_MAX:
        raise Unsound("attachment too long", f"{len(attachment)} bytes")
    if len(attachment) < _HEAD.size or not attachment.startswith(MAGIC[:-1]):
        raise Unsound("attachment from another program", f"{len(attachment)} bytes")
    magic, kind, crossed, reserved, aux_size = _HEAD.unpack_from(attachment)
    if magic != MAGIC:
        raise Unsound("message in another version", f"{magic[-1]}, but this bridge supports only {MAGIC[-1]}")
    has_aux = kind in (RAW, JPEG) or not aux_size
    if kind not in _HEADER_SIZES or crossed > HOPS_MAX or reserved or not has_aux:
        raise Unsound("invalid attachment", f"kind {kind}, {crossed} hops, aux blob of {aux_size} bytes")
    begin = _HEAD.size + crossed * _HOP
    size = begin + aux_size + _HEADER_SIZES[kind]
    if len(attachment) != size:
        raise Unsound("attachment with wrong length", f"{len(attachment)} bytes instead of {size}")
    hops = tuple(attachment[at : at + _HOP].hex() for at in range(_HEAD.size, begin, _HOP))
    return kind, hops, attachment[begin:]


def with_picture(parcel: Parcel, payload: bytes) -> Parcel:
    """Set the pixels of a parcel from a JPEG picture, and keep only the caps that still apply to them."""
    try:
        picture = jpeg.decode(payload, "BGR", _PIXELS_MAX)
    except FormatError as exc:
        raise Unsound("damaged JPEG picture", str(exc)) from exc
    fields = parse_caps(parcel.caps).fields if parcel.caps else {}
    kept = {name.replace("-", "_"): value for name, value in fields.items() if name not in _OF_SAMPLES}
    parcel.format, parcel.planes = "BGR", (picture,)
    parcel.height, parcel.width = picture.shape[:2]
    try:
        parcel.caps = video_caps("BGR", parcel.width, parcel.height, **cast(Any, kept))
    except (TypeError, ValueError):
        parcel.caps = None
    return parcel


def _origin(stamp: Stamp, before: Origin | None, error: int | None) -> Origin:
    """Return the origin of a frame that its sender stamped, and that may have crossed other bridges before."""
    if before is None:
        return Origin(stamp, error)
    return Origin(before.stamp, None if error is None or before.error is None else before.error + error)
