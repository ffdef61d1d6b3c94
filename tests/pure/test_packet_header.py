"""The header of packets: code, data and vectors say the same, and what a receiver refuses is what the vectors say."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire.packet import (
    PACKET_HEADER_SIZE,
    PACKET_HEADER_TYPE_NAME,
    VideoPacketHeader,
    check_packet,
    packet_service,
    validate_packet,
)
from gst_iceoryx2._wire.stamp import Stamp
from gst_iceoryx2.contract import contract
from gst_iceoryx2.discovery.names import full_name, short_name
from gst_iceoryx2.errors import FormatError, InvalidServiceNameError
from tests.vectors.notation import load

LAYOUT = contract("layout")["packet"]
VECTORS = load("packet")
CTYPES = {"u64": ctypes.c_uint64, "u32": ctypes.c_uint32, "u8": ctypes.c_uint8}


def header_of(fields: dict[str, Any]) -> VideoPacketHeader:
    header = VideoPacketHeader()
    for name, value in fields.items():
        if name.endswith("_hex"):
            place = getattr(VideoPacketHeader, name.removesuffix("_hex"))
            ctypes.memmove(ctypes.addressof(header) + place.offset, bytes.fromhex(value), place.size)
        else:
            setattr(header, name, value)
    return header


def test_the_structure_is_laid_out_as_the_data_say() -> None:
    assert ctypes.sizeof(VideoPacketHeader) == LAYOUT["size"] == PACKET_HEADER_SIZE
    assert ctypes.alignment(VideoPacketHeader) == LAYOUT["align"]
    assert VideoPacketHeader.type_name() == LAYOUT["type_name"] == PACKET_HEADER_TYPE_NAME
    kinds = {name: kind for name, kind in VideoPacketHeader._fields_}  # noqa: C416 - typeshed's tuples are not pairs
    assert list(kinds) == [field["name"] for field in LAYOUT["fields"]]
    end = 0
    for field in LAYOUT["fields"]:
        member, kind = getattr(VideoPacketHeader, field["name"]), kinds[field["name"]]
        assert (member.offset, member.size) == (field["offset"], field["size"]) == (end, field["size"]), field["name"]
        element = ctypes.c_char if field["name"] == "codec" else CTYPES[field["type"]]
        assert kind is element if field["count"] == 1 else kind == element * field["count"], field["name"]
        end += field["size"]
    assert end == LAYOUT["size"]


@pytest.mark.parametrize("vector", VECTORS["headers"], ids=lambda vector: vector["name"])
def test_a_header_is_decoded_and_encoded(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    header = VideoPacketHeader.from_buffer_copy(raw)
    assert bytes(header_of(vector["fields"])) == raw == bytes(header)
    if vector["codec_name"] is not None:
        assert header.codec_name == vector["codec_name"]
    assert header.is_keyframe == bool(vector["fields"]["flags"] & 1)
    assert header.is_eos == bool(vector["fields"]["flags"] & 2)


@pytest.mark.parametrize("case", VECTORS["validate"], ids=lambda case: case["name"])
def test_the_first_rule_that_fails_is_named(case: dict[str, Any]) -> None:
    fault = validate_packet(header_of(case["header"]), case["payload_size"], case["codec"])
    assert (None if fault is None else fault.rule) == case["rule"]
    assert fault is None or (fault.startswith(f"{case['rule']}: ") and "\n" not in fault)


@given(st.binary(min_size=PACKET_HEADER_SIZE, max_size=PACKET_HEADER_SIZE), st.integers(0, 1 << 40))
def test_any_bytes_are_judged(raw: bytes, payload: int) -> None:
    header = VideoPacketHeader.from_buffer_copy(raw)
    fault = validate_packet(header, payload, "h264")
    assert fault is None or fault.rule in ("version", "codec", "size", "length")
    header.stamp = header.stamp
    assert bytes(header) == raw


def test_a_header_carries_a_stamp() -> None:
    header = VideoPacketHeader()
    stamp = Stamp(bytes(range(16)), 1, None, 3, None)
    header.stamp = stamp
    assert header.stamp == stamp
    assert bytes(header)[40:88] == stamp.record()[-48:]


# -- the form of packets ---------------------------------------------------------------------------------------------

SPS, PPS, IDR, SLICE, SEI, AUD = (b"\0\0\1" + bytes([first]) + b"xy" for first in (0x67, 0x68, 0x65, 0x41, 0x06, 0x09))


@pytest.mark.parametrize(
    ("data", "is_keyframe"),
    [
        (b"\0" + AUD + SPS + PPS + SEI + IDR, True),
        (PPS + SPS + IDR, True),
        (SLICE, False),
        (SEI + SLICE, False),
        (IDR, False),
    ],
)
def test_a_packet_in_byte_stream_format_is_accepted(data: bytes, is_keyframe: bool) -> None:
    check_packet(memoryview(data), "h264", is_keyframe=is_keyframe)


@pytest.mark.parametrize(
    ("data", "is_keyframe", "codec", "words"),
    [
        (b"", False, "av1", "has 0"),
        (b"\0\0\0\5\x41abcd", False, "h264", "h264_mp4toannexb"),
        (b"\0\0\0\5\x41abcd", False, "h265", "hevc_mp4toannexb"),
        (IDR, True, "h264", "no SPS and no PPS"),
        (SPS + IDR + PPS, True, "h264", "has no PPS"),
        (SPS, True, "h264", "has no PPS"),
        (b"\0\0\1\x40\1a\0\0\1\x42\1b\0\0\1\x26\1c", True, "h265", "has no PPS"),
        (b"\0\0\1", True, "h264", "no SPS and no PPS"),
    ],
)
def test_a_packet_that_readers_could_not_decode_is_refused(
    data: bytes, is_keyframe: bool, codec: str, words: str
) -> None:
    with pytest.raises(FormatError, match=words):
        check_packet(memoryview(data), codec, is_keyframe=is_keyframe)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "full"),
    [
        ("cam0", None, "video/cam0@h264/packet/v1"),
        ("cam0", "av1", "video/cam0@av1/packet/v1"),
        ("cam0@h265", None, "video/cam0@h265/packet/v1"),
        ("cam0@h265", "h265", "video/cam0@h265/packet/v1"),
        ("video/cam0/frame/v2", "h265", "video/cam0@h265/packet/v1"),
        ("video/cam0@av1/packet/v1", None, "video/cam0@av1/packet/v1"),
        ("cam0@640x640", None, "video/cam0@640x640@h264/packet/v1"),
        ("front@left", None, "video/front@left@h264/packet/v1"),
    ],
)
def test_a_stream_has_a_service_of_packets(name: str, codec: str | None, full: str) -> None:
    assert packet_service(name, codec) == (full, full.rpartition("@")[2].partition("/")[0])
    assert full_name(short_name(full)) == full
    assert "/" not in short_name(full)


@pytest.mark.parametrize(
    ("name", "codec", "kind", "words"),
    [
        ("cam0", "vp9", FormatError, "use h264, h265 or av1"),
        ("cam0@h265", "h264", InvalidServiceNameError, "pass codec='h265'"),
        ("video/cam0/packet/v1", None, InvalidServiceNameError, "video/cam0@h264/packet/v1"),
        (7, None, InvalidServiceNameError, "must be a str"),
    ],
)
def test_a_name_without_a_service_of_packets_is_refused(
    name: Any, codec: str | None, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        packet_service(name, codec)


@pytest.mark.parametrize("name", ["video/cam0/packet/v1", "video/cam0@h264/frame/v2", "video/sh4lt:x@h264/packet/v1"])
def test_a_full_name_that_no_short_name_means_stays_as_it_is(name: str) -> None:
    assert short_name(name) == name
