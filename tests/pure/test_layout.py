"""The header's layout and the contract's constants: code, data, specification and vectors say the same."""

from __future__ import annotations

import ctypes
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire import header as header_module
from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2._wire.header import BUFFER_FLAGS_MASK, HEADER_FLAG_EOS, VideoFrameHeader
from tests.vectors.notation import header_of

ROOT = Path(__file__).parent.parent.parent
LAYOUT = json.loads((ROOT / "python/gst_iceoryx2/contract/layout.json").read_text(encoding="utf-8"))
VECTORS = json.loads((ROOT / "tests/vectors/header.json").read_text(encoding="utf-8"))
CTYPES = {"u64": ctypes.c_uint64, "u32": ctypes.c_uint32, "u8": ctypes.c_uint8}


def field_values(header: VideoFrameHeader) -> dict[str, Any]:
    """The fields in the notation of header.json."""
    values: dict[str, Any] = {}
    for field in LAYOUT["header"]["fields"]:
        value = getattr(header, field["name"])
        values[field["name"]] = value if isinstance(value, int) else list(value)
    del values["format"]
    return values | {"format_hex": bytes(header)[VideoFrameHeader.format.offset :].hex()}  # type: ignore[attr-defined]


def test_the_structure_is_laid_out_as_the_data_say() -> None:
    described = LAYOUT["header"]
    assert ctypes.sizeof(VideoFrameHeader) == described["size"] == header_module.HEADER_SIZE
    assert ctypes.alignment(VideoFrameHeader) == described["align"] == header_module.HEADER_ALIGN
    assert VideoFrameHeader.type_name() == described["type_name"] == header_module.HEADER_TYPE_NAME
    fields = {name: kind for name, kind in VideoFrameHeader._fields_}  # noqa: C416 - typeshed's tuples are not pairs
    assert list(fields) == [field["name"] for field in described["fields"]]
    for field in described["fields"]:
        member, kind = getattr(VideoFrameHeader, field["name"]), fields[field["name"]]
        assert (member.offset, member.size) == (field["offset"], field["size"]), field["name"]
        element = ctypes.c_char if field["name"] == "format" else CTYPES[field["type"]]
        assert kind is element if field["count"] == 1 else kind == element * field["count"], field["name"]


def test_the_structure_has_no_gap() -> None:
    end = 0
    for field in LAYOUT["header"]["fields"]:
        assert field["offset"] == end, field["name"]
        end += field["size"]
    assert end == LAYOUT["header"]["size"]


def test_the_specification_has_the_same_table() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)(?:\[4\])?` \| (u\d+)(?:×(\d+))? \|", (ROOT / "SPEC.md").read_text(), re.M)
    described = [
        (str(field["offset"]), field["name"], field["type"], "" if field["count"] == 1 else str(field["count"]))
        for part in ("header", "packet", "results")
        for field in LAYOUT[part]["fields"]
    ]
    assert rows == described


def test_the_mask_is_that_of_the_flags() -> None:
    assert sum(LAYOUT["flags"]["bits"].values()) == LAYOUT["flags"]["mask"]


def test_the_end_of_stream_bit_is_none_of_gstreamers() -> None:
    assert HEADER_FLAG_EOS & (2**32 - 1) == 0
    assert BUFFER_FLAGS_MASK < 2**32


@pytest.mark.parametrize("vector", VECTORS["headers"], ids=lambda vector: vector["name"])
def test_a_header_is_decoded(vector: dict[str, Any]) -> None:
    header = VideoFrameHeader.from_buffer_copy(bytes.fromhex(vector["hex"]))
    assert field_values(header) == vector["fields"]
    if vector["format_name"] is None:
        assert header.format_name not in FORMATS
    else:
        assert header.format_name == vector["format_name"]
    assert header.is_eos == bool(vector["fields"]["flags"] & LAYOUT["constants"]["HEADER_FLAG_EOS"])


@pytest.mark.parametrize("vector", VECTORS["headers"], ids=lambda vector: vector["name"])
def test_a_header_is_encoded(vector: dict[str, Any]) -> None:
    assert bytes(header_of(vector["fields"])) == bytes.fromhex(vector["hex"])


def test_only_flags_that_describe_the_picture_cross() -> None:
    for vector in VECTORS["flags"]:
        assert vector["flags"] & BUFFER_FLAGS_MASK == vector["masked"], hex(vector["flags"])


@given(st.binary(min_size=104, max_size=104))
def test_any_bytes_are_a_header_that_can_be_read(raw: bytes) -> None:
    header = VideoFrameHeader.from_buffer_copy(raw)
    assert bytes(header_of(field_values(header))) == raw
    name = header.format_name
    assert name.isascii()
    assert name not in FORMATS or raw[88:104].startswith(name.encode() + b"\0")


@pytest.mark.parametrize("name", ["BGR", "NV12_10LE40_4L4", ""])
def test_a_format_name_is_padded_with_nul(name: str) -> None:
    header = header_of({"format_hex": "ff" * 16})
    header.format_name = name
    assert bytes(header)[88:] == name.encode().ljust(16, b"\0")
    assert header.format_name == name


def test_the_format_is_bytes() -> None:
    """`header.format = b"BGR"` raised TypeError, and what it said was an array of numbers."""
    header = VideoFrameHeader(format=b"NV12")
    assert (header.format, header.format_name) == (b"NV12", "NV12")
    header.format = b"BGR"
    assert header.format == b"BGR"
    assert VideoFrameHeader.from_buffer_copy(bytes(header)).format == b"BGR"
    with pytest.raises(ValueError, match="bytes too long"):
        header.format = b"x" * 17


@pytest.mark.parametrize("name", ["BGRABGRABGRABGRA", "Ÿ8", "BGR\0x"])
def test_a_format_name_that_the_header_cannot_hold_is_refused(name: str) -> None:
    header = VideoFrameHeader()
    with pytest.raises(ValueError, match=f"{re.escape(repr(name))}.*15"):
        header.format_name = name
    assert header.format_name == ""
