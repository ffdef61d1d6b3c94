"""What a receiver refuses, and why: the shared vectors and generated headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gst_iceoryx2._wire import validate
from gst_iceoryx2._wire.fault import Fault
from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2._wire.header import HEADER_FLAG_EOS, VideoFrameHeader
from gst_iceoryx2._wire.validate import check_caps, geometry_key, geometry_of, validate_geometry
from tests.vectors.notation import header_of

VECTORS_DIR = Path(__file__).parent.parent / "vectors"
CASES = json.loads((VECTORS_DIR / "validate.json").read_text(encoding="utf-8"))["cases"]
AGREE = json.loads((VECTORS_DIR / "caps.json").read_text(encoding="utf-8"))["agree"]


@pytest.fixture(autouse=True)
def _forget() -> None:
    validate._valid.clear()


def sound_header(name: str = "NV12", width: int = 33, height: int = 17) -> tuple[VideoFrameHeader, int]:
    """A tight picture and its number of bytes."""
    fmt = FORMATS[name]
    layout = fmt.tight_layout(width, height)
    header = VideoFrameHeader(width=width, height=height, n_planes=fmt.n_planes)
    header.format_name = name
    header.stride[: fmt.n_planes] = list(layout.strides)
    header.plane_offsets[: fmt.n_planes] = list(layout.offsets)
    return header, layout.size


def rule_of(fault: Fault | None) -> str | None:
    return fault.rule if fault is not None else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_first_rule_that_fails_is_named(case: dict[str, Any]) -> None:
    header = header_of(case["header"])
    pixel_size = case["payload_size"] - header.aux_size
    assert rule_of(validate_geometry(header, pixel_size)) == case["rule"]
    # Once more, now that the geometry may be remembered.
    assert rule_of(validate_geometry(header, pixel_size)) == case["rule"]


def test_checks_in_sequence_do_not_affect_each_other() -> None:
    for case in CASES + CASES[::-1]:
        header = header_of(case["header"])
        assert rule_of(validate_geometry(header, case["payload_size"] - header.aux_size)) == case["rule"], case["name"]


@pytest.mark.parametrize("case", [case for case in CASES if case["rule"]], ids=lambda case: case["name"])
def test_a_refusal_begins_with_its_rule(case: dict[str, Any]) -> None:
    header = header_of(case["header"])
    fault = validate_geometry(header, case["payload_size"] - header.aux_size)
    assert fault is not None
    assert fault.startswith(f"{case['rule']}: ")
    assert "\n" not in fault


def test_a_refusal_names_the_field_and_both_numbers() -> None:
    header, size = sound_header()
    assert str(validate_geometry(header, size - 1)).endswith(
        f"plane 1 ends at byte {size}, but the frame has only {size - 1} pixel bytes"
    )
    header.stride[1] = 33
    assert "the stride of plane 1 is 33 bytes, but a row needs 34" in str(validate_geometry(header, size))
    header.n_planes = 3
    assert "n_planes is 3, but NV12 requires 2" in str(validate_geometry(header, size))
    header.height = 40000
    assert "height is 40000, but must be between 1 and 32768" in str(validate_geometry(header, size))
    header.aux_size = 10
    assert "aux_size is 10, but the payload is only 4 bytes long" in str(validate_geometry(header, -6))


def test_a_frame_that_shrinks_is_refused_although_its_geometry_is_known() -> None:
    header, size = sound_header()
    assert validate_geometry(header, size) is None
    assert rule_of(validate_geometry(header, size - 1)) == "bounds"
    assert rule_of(validate_geometry(header, 0)) == "size"
    assert rule_of(validate_geometry(header, -1)) == "aux-size"


def test_times_and_flags_do_not_change_the_geometry_key() -> None:
    header, _ = sound_header()
    key = geometry_key(header)
    header.pts, header.dts, header.duration, header.offset, header.flags = 1, 2, 3, 4, 1 << 6
    assert geometry_key(header) == key
    assert len(key) == 64
    header.width += 1
    assert geometry_key(header) != key


def test_a_geometry_can_be_kept_instead_of_checking_again() -> None:
    header, size = sound_header("I420")
    geometry = geometry_of(header)
    assert (geometry.format.name, geometry.width, geometry.height) == ("I420", 33, 17)
    assert geometry.layout == FORMATS["I420"].tight_layout(33, 17)
    assert geometry.layout.size == size == max(geometry.ends)
    pixels = np.arange(size).astype(np.uint8)
    expected = FORMATS["I420"].views(pixels, 33, 17, header.stride, header.plane_offsets)
    for view, other in zip(geometry.views(pixels), expected, strict=True):
        assert (view == other).all()
        assert view.strides == other.strides
        assert np.shares_memory(view, pixels)


def test_an_invalid_header_has_no_geometry() -> None:
    header, _ = sound_header()
    header.stride[0] = 1
    with pytest.raises(ValueError, match="stride of plane 0 is 1"):
        geometry_of(header)
    with pytest.raises(ValueError, match="format"):
        geometry_of(VideoFrameHeader(flags=HEADER_FLAG_EOS))


def test_a_sender_that_changes_its_geometry_at_every_frame_fills_no_memory() -> None:
    for width in range(1, 1000):
        header, size = sound_header("GRAY8", width, 1)
        assert validate_geometry(header, size) is None
    assert len(validate._valid) <= 64


def test_an_invalid_geometry_is_not_cached() -> None:
    for case in CASES:
        header = header_of(case["header"])
        validate_geometry(header, case["payload_size"] - header.aux_size)
    for geometry in validate._valid.values():
        assert all(
            stride >= geometry.format.row_bytes(plane, geometry.width)
            for plane, stride in enumerate(geometry.layout.strides)
            if geometry.planes
        )


U32 = st.one_of(st.integers(0, 80), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))


@st.composite
def lying_headers(draw: st.DrawFn) -> VideoFrameHeader:
    """A valid picture of at most 40×20 with some wrong fields, so that every rule is reached."""
    name = draw(st.sampled_from([fmt.name for fmt in FORMATS.values() if fmt.planes]))
    header, _ = sound_header(name, draw(st.integers(1, 40)), draw(st.integers(1, 20)))
    for field in draw(st.lists(st.sampled_from(["width", "height", "n_planes", "aux_size", "flags"]), max_size=2)):
        setattr(header, field, draw(U32))
    for index in draw(st.lists(st.integers(0, 3), max_size=2)):
        header.stride[index] = draw(U32)
    for index in draw(st.lists(st.integers(0, 3), max_size=2)):
        header.plane_offsets[index] = draw(U32)
    return header


def assert_views_stay_inside(header: VideoFrameHeader, pixel_size: int) -> None:
    # Guard bytes on both sides: a view may touch none of them.
    memory = np.zeros(pixel_size + 128, np.uint8)
    pixels = memory[64 : 64 + pixel_size]
    begin, end = pixels.ctypes.data, pixels.ctypes.data + pixel_size
    for view in geometry_of(header).views(pixels):
        low, high = np.lib.array_utils.byte_bounds(view)
        assert begin <= low <= high <= end
        view.view(np.uint8)[...] = 255
    assert not memory[:64].any()
    assert not memory[64 + pixel_size :].any()


@given(lying_headers(), st.integers(-100, 4096))
def test_views_of_any_frame_that_passes_lie_within_the_pixels(header: VideoFrameHeader, pixel_size: int) -> None:
    fault = validate_geometry(header, pixel_size)
    if fault is None:
        assert_views_stay_inside(header, pixel_size)
    else:
        assert fault.rule in ("aux-size", "format", "size", "planes", "stride", "bounds")


@given(lying_headers())
def test_the_size_that_a_geometry_asks_for_is_exactly_enough(header: VideoFrameHeader) -> None:
    try:
        needed = geometry_of(header).layout.size
    except ValueError:
        return
    assert validate_geometry(header, needed) is None
    assert rule_of(validate_geometry(header, needed - 1)) in ("bounds", "size")
    if needed < 2**16:
        assert_views_stay_inside(header, needed)


@given(st.binary(min_size=104, max_size=104), st.integers(-(2**32), 2**33), st.sampled_from([b"", *[b"BGR", b"NV12"]]))
@example(b"\xff" * 104, 2**33, b"")
def test_any_bytes_are_checked_without_an_error(raw: bytes, pixel_size: int, name: bytes) -> None:
    header = VideoFrameHeader.from_buffer_copy(raw)
    if name:
        header.format_name = name.decode()
    fault = validate_geometry(header, pixel_size)
    assert fault is None or fault.startswith(fault.rule)
    if fault is None and not header.is_eos:
        assert pixel_size >= geometry_of(header).layout.size


@pytest.mark.parametrize("vector", AGREE, ids=lambda vector: vector["name"])
def test_caps_agree_with_the_header_or_are_refused(vector: dict[str, Any]) -> None:
    header = VideoFrameHeader(width=vector["width"], height=vector["height"])
    header.format_name = vector["format"]
    assert rule_of(check_caps(vector["text"], header)) == (None if vector["agrees"] else "caps")


def test_caps_that_disagree_are_answered_with_both_numbers() -> None:
    header, _ = sound_header("BGR", 640, 480)
    fault = check_caps("video/x-raw, format=(string)BGR, width=(int)641, height=(int)480", header)
    assert fault == "caps: width is (int)641 in the caps, but (int)640 in the header"


@pytest.mark.parametrize(
    "text", ["video/x-raw, a=(string)" + "b" * 16384, "video/x-raw, a=" + "{" * 9 + "}" * 9, "\0", ""]
)
def test_caps_beyond_the_limits_are_refused(text: str) -> None:
    header, _ = sound_header("BGR", 640, 480)
    fault = check_caps(text, header)
    assert rule_of(fault) == "caps"
    assert len(str(fault)) < 300


def test_a_fault_of_any_caps_is_one_line() -> None:
    header, _ = sound_header("BGR", 640, 480)
    fault = check_caps('video/x-raw, format=(string)"B\\012GR", width=(int)640, height=(int)480', header)
    assert fault == r'caps: format is (string)"B\012GR" in the caps, but (string)BGR in the header'


@given(st.text(max_size=200))
def test_any_text_is_checked_as_caps_without_an_error(text: str) -> None:
    header, _ = sound_header("BGR", 640, 480)
    assert rule_of(check_caps(text, header)) == "caps"
