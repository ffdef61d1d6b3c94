"""The format table: sizes, layouts and views, for every format and by the shared vectors."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire.formats import (
    FORMATS,
    PACKED_FORMATS,
    SUPPORTED_FORMATS,
    Layout,
    format_channels,
    get_format,
    header_pixels_to_numpy_view,
    plane_heights,
)
from gst_iceoryx2._wire.header import FORMAT_LEN, HEADER_FLAG_EOS, MAX_PLANES, VideoFrameHeader

VECTORS = json.loads(
    Path(__file__).parent.parent.joinpath("vectors", "geometry.json").read_text(encoding="utf-8"),
)
WITH_ROWS = [fmt for fmt in FORMATS.values() if fmt.planes]
TILED = [fmt for fmt in FORMATS.values() if not fmt.planes]


def packed_header(name: str, width: int, height: int, stride: int, offset: int = 0) -> VideoFrameHeader:
    header = VideoFrameHeader(width=width, height=height, n_planes=1)
    header.format_name = name
    header.stride[0] = stride
    header.plane_offsets[0] = offset
    return header


def counting(size: int) -> npt.NDArray[np.uint8]:
    """Bytes without a short period, so that a wrong offset or stride shows."""
    return (np.arange(size, dtype=np.uint64) * 2654435761 >> 16).astype(np.uint8)


def test_every_row_is_complete() -> None:
    assert len(SUPPORTED_FORMATS) == len(set(SUPPORTED_FORMATS)) == len(FORMATS)
    for fmt in FORMATS.values():
        assert 1 <= fmt.n_planes <= MAX_PLANES, fmt.name
        assert len(fmt.name) < FORMAT_LEN, fmt.name
        assert len(fmt.components) == len(fmt.bits) == len(fmt.shift), fmt.name
        assert set(fmt.components) <= set("RGBYUVAx"), fmt.name
        assert (fmt.kind == "packed") <= (fmt.n_planes == 1), fmt.name
        assert bool(fmt.planes) == bool(fmt.dtype) == bool(fmt.components) == (fmt.kind != "tiled"), fmt.name
        assert not fmt.planes or len(fmt.planes) == fmt.n_planes, fmt.name


def test_the_components_fill_the_samples_of_a_pixel() -> None:
    for fmt in WITH_ROWS:
        item = 8 * int(fmt.dtype[-1])
        if fmt.is_word:
            assert sum(fmt.bits) <= item, fmt.name
            used = [bit for bits, low in zip(fmt.bits, fmt.shift, strict=True) for bit in range(low, low + bits)]
            assert len(set(used)) == len(used), fmt.name
            assert max(used) < item, fmt.name
        elif fmt.kind != "opaque":
            assert len(fmt.components) == sum(plane.channels * plane.group_pixels for plane in fmt.planes), fmt.name
            assert all(bits + low <= item for bits, low in zip(fmt.bits, fmt.shift, strict=True)), fmt.name


def test_colour_families_are_told_apart() -> None:
    assert get_format("BGRx").is_rgb
    assert not get_format("BGRx").has_alpha
    assert get_format("GRAY16_LE").is_gray
    assert not get_format("NV12").is_gray
    assert get_format("A420").has_alpha
    assert get_format("r210").is_word
    assert not get_format("GRAY16_LE").is_word


@pytest.mark.parametrize("kind", ["tight", "padded"])
def test_geometry_is_that_of_the_vectors(kind: str) -> None:
    for vector in VECTORS[kind]:
        fmt, width, height = FORMATS[vector["format"]], vector["width"], vector["height"]
        assert [fmt.row_bytes(plane, width) for plane in range(fmt.n_planes)] == vector["row_bytes"], vector
        assert [fmt.rows(plane, height) for plane in range(fmt.n_planes)] == vector["rows"], vector
        assert plane_heights(fmt.name, height) == vector["rows"], vector
        if vector["layout"] is None:
            with pytest.raises(ValueError, match=r"is too large|stride0 is"):
                fmt.tight_layout(width, height, vector["stride0"])
        else:
            expected = vector["layout"]
            layout = Layout(tuple(expected["strides"]), tuple(expected["offsets"]), expected["size"])
            assert fmt.tight_layout(width, height, vector["stride0"]) == layout, vector


def test_the_vectors_hold_every_format() -> None:
    assert {vector["format"] for vector in VECTORS["tight"]} == {fmt.name for fmt in WITH_ROWS}
    assert VECTORS["tiled"] == [[fmt.name, fmt.n_planes] for fmt in TILED]


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 1), (32769, 1), (1, 32769)])
def test_a_size_that_no_receiver_takes_has_no_layout(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"{width}x{height}"):
        get_format("BGR").tight_layout(width, height)


@pytest.mark.parametrize("fmt", TILED, ids=lambda fmt: fmt.name)
def test_tiled_formats_have_neither_rows_nor_views(fmt: Any) -> None:
    assert plane_heights(fmt.name, 64) is None
    assert fmt.views(bytes(4096), 64, 64, [0, 0], [0, 0]) == ()
    for ask in (lambda: fmt.row_bytes(0, 64), lambda: fmt.rows(0, 64), lambda: fmt.tight_layout(64, 64)):
        with pytest.raises(ValueError, match=fmt.name):
            ask()


@pytest.mark.parametrize(
    ("name", "shapes", "dtype"),
    [
        ("NV12", [(17, 33), (9, 17, 2)], "u1"),
        ("I420", [(17, 33), (9, 17), (9, 17)], "u1"),
        ("Y42B", [(17, 33), (17, 17), (17, 17)], "u1"),
        ("YUV9", [(17, 33), (5, 9), (5, 9)], "u1"),
        ("AV12", [(17, 33), (9, 17, 2), (17, 33)], "u1"),
        ("P010_10LE", [(17, 33), (9, 17, 2)], "<u2"),
        ("P016_BE", [(17, 33), (9, 17, 2)], ">u2"),
        ("GRAY8", [(17, 33)], "u1"),
        ("GRAY16_LE", [(17, 33)], "<u2"),
        ("YUY2", [(17, 33, 2)], "u1"),
        ("BGR", [(17, 33, 3)], "u1"),
        ("RGBx", [(17, 33, 4)], "u1"),
        ("ARGB64_BE", [(17, 33, 4)], ">u2"),
        ("RGB16", [(17, 33)], "<u2"),
        ("r210", [(17, 33)], ">u4"),
        ("RGBA_F32LE", [(17, 33, 4)], "<f4"),
        ("v210", [(17, 96)], "u1"),
        ("NV12_10LE32", [(17, 44), (9, 44)], "u1"),
    ],
)
def test_views_have_the_documented_shapes(name: str, shapes: list[tuple[int, ...]], dtype: str) -> None:
    fmt = get_format(name)
    layout = fmt.tight_layout(33, 17)
    views = fmt.views(counting(layout.size), 33, 17, layout.strides, layout.offsets)
    assert [view.shape for view in views] == shapes
    assert [view.shape for view in views] == [fmt.plane_shape(plane, 33, 17) for plane in range(fmt.n_planes)]
    assert {view.dtype for view in views} == {np.dtype(dtype)}


@pytest.mark.parametrize("fmt", WITH_ROWS, ids=lambda fmt: fmt.name)
def test_every_byte_of_a_tight_picture_belongs_to_one_plane(fmt: Any) -> None:
    layout = fmt.tight_layout(24, 8)
    pixels = np.zeros(layout.size, np.uint8)
    for number, view in enumerate(fmt.views(pixels, 24, 8, layout.strides, layout.offsets), start=1):
        assert not view.view(np.uint8).any()
        view.view(np.uint8)[...] = number
    assert pixels.all()


@given(st.sampled_from(WITH_ROWS), st.integers(1, 40), st.integers(1, 20), st.integers(0, 70))
def test_views_keep_strides_and_point_at_the_rows(fmt: Any, width: int, height: int, padding: int) -> None:
    layout = fmt.tight_layout(width, height, fmt.row_bytes(0, width) + padding)
    pixels = counting(layout.size)
    for plane, view in enumerate(fmt.views(pixels, width, height, layout.strides, layout.offsets)):
        assert view.strides[0] == layout.strides[plane]
        assert np.shares_memory(view, pixels)
        for row in (0, len(view) - 1):
            begin = layout.offsets[plane] + row * layout.strides[plane]
            assert view[row].tobytes() == pixels[begin : begin + view[row].nbytes].tobytes()


@pytest.mark.parametrize("name", ["BGR", "NV12", "v210", "P010_10LE"])
def test_a_view_is_read_only_exactly_where_its_bytes_are(name: str) -> None:
    fmt = get_format(name)
    layout = fmt.tight_layout(33, 17)
    writable = np.zeros(layout.size, np.uint8)
    read_only = writable.view()
    read_only.flags.writeable = False
    for pixels, expected in [
        (writable, True),
        (read_only, False),
        (read_only.data, False),
        (writable.tobytes(), False),
    ]:
        views = fmt.views(pixels, 33, 17, layout.strides, layout.offsets)
        assert [view.flags.writeable for view in views] == [expected] * fmt.n_planes


class Loan:
    """Stands for a sample: memory that must live as long as any view of it."""

    def __init__(self, size: int) -> None:
        self.memory = (np.arange(size) % 251).astype(np.uint8)
        self.__array_interface__ = self.memory.__array_interface__


@pytest.mark.parametrize("name", ["BGR", "NV12"])
def test_a_slice_of_a_view_keeps_the_array_that_it_was_made_from(name: str) -> None:
    fmt = get_format(name)
    layout = fmt.tight_layout(32, 16)
    loan = Loan(layout.size)
    released = weakref.ref(loan)
    pixels = np.asarray(loan)
    slices = [view[3:5] for view in fmt.views(pixels, 32, 16, layout.strides, layout.offsets)]
    if fmt.kind == "packed":
        slices.append(header_pixels_to_numpy_view(packed_header(name, 32, 16, 96), pixels)[3:5])
    del loan, pixels
    gc.collect()
    assert released() is not None
    while slices:
        slices.pop()
        gc.collect()
        assert (released() is None) == (not slices)


@pytest.mark.parametrize("name", ["BGR", "I420", "v210", "P010_10LE"])
def test_a_plane_beyond_the_pixels_is_refused(name: str) -> None:
    fmt = get_format(name)
    layout = fmt.tight_layout(33, 17)
    with pytest.raises(ValueError, match=f"ends at byte {layout.size}, but there are {layout.size - 1} pixel bytes"):
        fmt.views(bytes(layout.size - 1), 33, 17, layout.strides, layout.offsets)


@pytest.mark.parametrize(("name", "channels"), PACKED_FORMATS.items())
def test_packed_formats_are_one_array_of_bytes(name: str, channels: int) -> None:
    stride = 33 * channels + 8
    stride += stride % 2
    pixels = counting(5 + stride * 17)
    view = header_pixels_to_numpy_view(packed_header(name, 33, 17, stride, 5), pixels)
    assert view.shape == (17, 33, channels)
    assert view.dtype == np.uint8
    assert view.strides == (stride, channels, 1)
    assert np.shares_memory(view, pixels)
    assert (view == pixels[5:].reshape(17, stride)[:, : 33 * channels].reshape(17, 33, channels)).all()
    assert format_channels(name) == channels


def test_the_packed_formats_of_the_contract_are_there() -> None:
    assert {name: PACKED_FORMATS[name] for name in ("BGR", "RGB", "BGRA", "RGBA")} == {
        "BGR": 3,
        "RGB": 3,
        "BGRA": 4,
        "RGBA": 4,
    }
    assert format_channels("NV12") is format_channels("nonsense") is None


def test_rows_without_padding_make_a_contiguous_array() -> None:
    assert header_pixels_to_numpy_view(packed_header("BGR", 4, 2, 12), bytes(24)).flags.c_contiguous
    assert not header_pixels_to_numpy_view(packed_header("BGR", 4, 2, 16), bytes(28)).flags.c_contiguous


@pytest.mark.parametrize("name", ["NV12", "I420", "GRAY16_LE", "RGB16", "v210", "NV12_64Z32", "nonsense"])
def test_a_format_that_is_not_an_array_of_bytes_has_an_error(name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        header_pixels_to_numpy_view(packed_header(name, 4, 4, 64), bytes(4096))


def test_the_end_of_stream_is_an_empty_picture() -> None:
    view = header_pixels_to_numpy_view(VideoFrameHeader(flags=HEADER_FLAG_EOS), bytes(1))
    assert view.shape == (0, 0, 0)
    assert view.dtype == np.uint8


def test_bytes_after_the_nul_of_the_name_do_no_harm() -> None:
    header = packed_header("BGR", 4, 2, 12)
    header.format = b"BGRX_X"
    header.format = b"BGR"
    assert bytes(header)[88:94] == b"BGR\0_X"
    assert header_pixels_to_numpy_view(header, bytes(24)).shape == (2, 4, 3)


@given(st.binary(min_size=64, max_size=64), st.sampled_from(list(PACKED_FORMATS)), st.booleans())
def test_a_header_that_lies_never_lets_the_view_leave_the_pixels(raw: bytes, name: str, small: bool) -> None:
    header = VideoFrameHeader.from_buffer_copy(bytes(40) + raw)
    header.format_name = name
    if small:
        header.width, header.height, header.stride[0] = header.width % 9, header.height % 9, header.stride[0] % 40
        header.plane_offsets[0] %= 100
    pixels = np.zeros(256, np.uint8)
    try:
        view = header_pixels_to_numpy_view(header, pixels)
    except ValueError:
        return
    low, high = np.lib.array_utils.byte_bounds(view) if view.size else (pixels.ctypes.data,) * 2
    assert pixels.ctypes.data <= low <= high <= pixels.ctypes.data + 256


@pytest.mark.parametrize(("name", "nearest"), [("nv12", "NV12"), ("BGR8", "BGR"), ("rgbx", "RGBx"), ("V210", "v210")])
def test_an_unknown_format_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*'{nearest}'"):
        get_format(name)
