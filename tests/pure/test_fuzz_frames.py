"""Reading any bytes ends without an error, stays within them, and takes time and memory in proportion to them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire.auxblob import MAX_METAS
from gst_iceoryx2._wire.caps import parse_caps
from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2._wire.header import HEADER_SIZE
from gst_iceoryx2._wire.metas import CustomMeta, ReferenceTimestamp, decode_meta, encode_meta
from gst_iceoryx2._wire.stamp import UNSTAMPED, Stamp, read_stamp
from gst_iceoryx2._wire.validate import check_caps, geometry_of
from gst_iceoryx2.video import VideoFrameHeader, parse_aux, validate_geometry
from tests.damage import FORMAT_NAMES, damages, examples, passes, sound_blob, sound_frame

SIZES = [(16, 8), (333, 7), (1, 1)]
FRAMES = [(name, *size) for name in ("BGR", "NV12", "v210", "GRAY16_LE", "I420") for size in SIZES]
BLOBS = [sound_blob(*frame) for frame in FRAMES]
HEADERS = [bytes(sound_frame(*frame)[0]) for frame in FRAMES] + [
    bytes(sound_frame(name, 33, 17)[0]) for name in FORMAT_NAMES
]
BGR, _ = sound_frame("BGR", 16, 8)


def read_all(blob: bytes) -> None:
    """All that a subscriber and its user do with a blob."""
    parsed = parse_aux(blob)
    assert len(parsed.metas) <= MAX_METAS
    assert sum(map(len, parsed.metas)) + len((parsed.caps or "").encode()) <= len(blob)
    if parsed.caps is not None:
        assert check_caps(parsed.caps, BGR) is None or parsed.caps != parse_aux(BLOBS[0]).caps
    first = Stamp.read(parsed.metas[0]) if parsed.metas else None
    assert read_stamp(blob) == (first or UNSTAMPED)
    for record in parsed.metas:
        meta = decode_meta(record)
        assert isinstance(meta, ReferenceTimestamp | CustomMeta) or meta == record


@examples(300)
@given(damages(BLOBS) | st.binary(max_size=300))
@pytest.mark.proves("H2")
def test_any_blob_is_read(blob: bytes) -> None:
    read_all(blob)


@examples(30)
@given(damages(BLOBS))
@pytest.mark.proves("H2")
def test_reading_a_blob_costs_memory_in_proportion(blob: bytes) -> None:
    tracemalloc.start()
    try:
        read_all(blob)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Caches of regular expressions and of recent texts are filled on the way.
    assert peak < 200 * len(blob) + 1_000_000


@examples(100)
@given(damages([(parse_aux(blob).caps or "").encode() for blob in BLOBS]))
def test_any_text_is_caps_or_is_refused_in_words(text: bytes) -> None:
    try:
        words = parse_caps(text.decode(errors="replace")).media
    except ValueError as error:
        words = str(error)
    assert 0 < len(words) < 1000


@examples(100)
@given(damages([encode_meta(CustomMeta("FrameInfo", {"a": 0.5, "b": "x y", "c": [1, 2]}))]))
def test_a_damaged_meta_is_written_as_it_was_read(record: bytes) -> None:
    meta = decode_meta(record)
    if isinstance(meta, CustomMeta):
        try:
            written = encode_meta(meta)
        except ValueError:
            # Names with an asterisk are read only; a text may grow beyond what is read when it is spelt out.
            return
        # By text: "not a number" equals nothing.
        assert repr(decode_meta(written)) == repr(meta)


@examples(300)
@given(damages(HEADERS), st.integers(0, 40_000) | st.integers(0, 2**64))
def test_any_header_is_refused_by_the_first_rule_that_it_breaks(raw: bytes, payload: int) -> None:
    header = VideoFrameHeader.from_buffer_copy(raw[:HEADER_SIZE].ljust(HEADER_SIZE, b"\0"))
    fault = validate_geometry(header, max(0, payload - header.aux_size))
    assert (fault and fault.rule) == first_broken_rule(header, max(0, payload - header.aux_size))


@examples(200)
@given(damages(HEADERS), st.integers(1, 40_000))
def test_views_of_any_valid_frame_lie_within_its_pixels(raw: bytes, size: int) -> None:
    header = VideoFrameHeader.from_buffer_copy(raw[:HEADER_SIZE].ljust(HEADER_SIZE, b"\0"))
    if validate_geometry(header, size) is not None or header.flags >> 32 & 1:
        return
    pixels = np.ones(size, np.uint8)
    for view in geometry_of(header).views(pixels):
        low, high = np.lib.array_utils.byte_bounds(view)
        assert pixels.ctypes.data <= low <= high <= pixels.ctypes.data + size
        assert (np.ascontiguousarray(view).view(np.uint8) == 1).all()


def first_broken_rule(header: VideoFrameHeader, pixels: int) -> str | None:
    """The rule of SPEC.md section 7, worked out the long way."""
    if header.flags >> 32 & 1:
        return None
    name, nul, _ = bytes(header)[88:104].partition(b"\0")
    fmt = FORMATS.get(name.decode("ascii", "replace")) if nul else None
    if fmt is None:
        return "format"
    if not (1 <= header.width <= 32768 and 1 <= header.height <= 32768 and pixels):
        return "size"
    if header.n_planes != fmt.n_planes:
        return "planes"
    planes = range(fmt.n_planes)
    tiled = fmt.kind == "tiled"
    if not tiled and any(header.stride[plane] < fmt.row_bytes(plane, header.width) for plane in planes):
        return "stride"
    for plane in planes:
        rows = 0 if tiled else fmt.rows(plane, header.height) - 1
        row = 1 if tiled else fmt.row_bytes(plane, header.width)
        if header.plane_offsets[plane] + header.stride[plane] * rows + row > pixels:
            return "bounds"
    return None


@pytest.mark.proves("H2")
def test_no_text_takes_long() -> None:
    """Nested quotes and brackets that other parsers never come back from."""
    for piece in ('(structure)"x, a=[a,', "{ ", "< ", "[ ", "\\\\", '"', "a=(int)1, ", "\\303", '(GstCaps)["x, y=["'):
        for head in ("video/x-raw, a=", "video/x-raw", ""):
            text = (head + piece * 16384)[:16384]
            assert passes(lambda text: check_caps(text, BGR), text) < 200
            assert passes(lambda text: decode_meta(encode_broken(text)), text) < 200


def encode_broken(text: str) -> bytes:
    payload = text.encode() + b"\0"
    size = 10 + 9 + len(payload)
    return size.to_bytes(4, "little") + (9).to_bytes(4, "little") + b"FrameInfo\0\0" + payload
