"""The format table has the layouts, names, flags and colours of the installed GStreamer."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

gi = pytest.importorskip("gi")
gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
with warnings.catch_warnings():
    # The importer of PyGObject 3.42 (Debian 12) uses an interface that Python 3.11 deprecates.
    warnings.simplefilter("ignore", ImportWarning)
    from gi.repository import Gst, GstVideo

from gst_iceoryx2._wire.formats import FORMATS, VideoFormat
from gst_iceoryx2._wire.header import BUFFER_FLAGS, VideoFrameHeader
from gst_iceoryx2._wire.validate import validate_geometry
from tools import format_table

SIZES = [(1, 1), (2, 2), (3, 5), (33, 17), (333, 177), (640, 480), (1921, 1081), (1920, 1080)]

# Formats that the oldest supported GStreamer (1.22) does not know, by the release that added them.
# Source: "Since" in gst-libs/gst/video/video-format.h.
NEWER = {
    (1, 24): "NV12_10LE40_4L4 MT2110T MT2110R A422 A444 A444_12LE A444_12BE A422_12LE A422_12BE A420_12LE A420_12BE "
    "A444_16LE A444_16BE A422_16LE A422_16BE A420_16LE A420_16BE GBR_16LE GBR_16BE RBGA",
    (1, 26): "Y216_LE Y216_BE Y416_LE Y416_BE GRAY10_LE16",
    (1, 28): "NV16_10LE40 BGR10x2_LE RGB10x2_LE",
    (1, 30): "RGBA_F16LE RGBA_F16BE RGBA_F32LE RGBA_F32BE",
}


@pytest.fixture(scope="module", autouse=True)
def gstreamer() -> None:
    Gst.init(None)


def known_here() -> dict[str, GstVideo.VideoFormat]:
    """Return the raw formats of the installed GStreamer by name."""
    infos = [info for info in format_table.installed_infos() if format_table.is_raw(info)]
    return {info.name: GstVideo.VideoFormat.from_string(info.name) for info in infos}


def layouts() -> Iterator[tuple[VideoFormat, GstVideo.VideoInfo]]:
    """Yield the layout of every format in every size. GStreamer has more chroma rows for interlaced video."""
    modes = (GstVideo.VideoInterlaceMode.PROGRESSIVE, GstVideo.VideoInterlaceMode.INTERLEAVED)
    for (name, value), (width, height), mode in itertools.product(known_here().items(), SIZES, modes):
        info = GstVideo.VideoInfo()
        assert info.set_interlaced_format(value, mode, width, height)
        yield FORMATS[name], info


def cuts_rows(fmt: VideoFormat, info: GstVideo.VideoInfo) -> bool:
    """Whether this GStreamer reserves too few bytes for the last pixel of its rows.

    Older releases (1.22) take 10 bits a sample for UYVP, not the 5 bytes that a pair of pixels shares, so odd widths
    get strides that are too short. Such a frame is refused, as reading its last row would leave the buffer.
    """
    return fmt.name == "UYVP" and info.width % 2 == 1 and info.stride[0] < (info.width + 1) // 2 * 5


def component_of(fmt: VideoFormat, info: GstVideo.VideoInfo, plane: int) -> int:
    """Return a component in the plane."""
    return next(index for index in range(info.finfo.n_components) if info.finfo.plane[index] == plane)


@pytest.mark.proves("C1")
def test_every_raw_format_of_this_gstreamer_has_a_row() -> None:
    assert sorted(known_here().keys() - FORMATS.keys()) == []


def test_a_row_unknown_to_this_gstreamer_belongs_to_a_newer_one() -> None:
    here = Gst.version()[:2]
    # An odd minor number is a development release.
    newer = {name for since, names in NEWER.items() if since > here for name in names.split()}
    assert sorted(FORMATS.keys() - known_here().keys() - newer) == []
    assert {name for names in NEWER.values() for name in names.split()} <= FORMATS.keys()


def test_the_table_is_what_its_tool_makes_of_this_gstreamer() -> None:
    text = format_table.TABLE.read_text(encoding="utf-8")
    assert format_table.updated(text) == text


def test_planes_rows_and_row_bytes_agree_with_gstreamer() -> None:
    for fmt, info in layouts():
        assert fmt.n_planes == info.finfo.n_planes, fmt.name
        if cuts_rows(fmt, info):
            continue
        for plane in range(len(fmt.planes)):
            where = (fmt.name, info.width, info.height, plane)
            assert fmt.row_bytes(plane, info.width) <= info.stride[plane], where
            h_shift = info.finfo.h_sub[component_of(fmt, info, plane)]
            assert fmt.rows(plane, info.height) == -(-info.height >> h_shift), where


def test_tight_layouts_are_gstreamers_where_it_adds_no_padding() -> None:
    compared = set()
    for fmt, info in layouts():
        if not fmt.planes or info.height % 4:
            continue
        layout = fmt.tight_layout(info.width, info.height)
        if layout.strides == tuple(info.stride[: fmt.n_planes]):
            assert layout.offsets == tuple(info.offset[: fmt.n_planes]), (fmt.name, info.width, info.height)
            assert layout.size == info.size, (fmt.name, info.width, info.height)
            compared.add(fmt.name)
    # GStreamer pads no format at 1920×1080, so every format was compared.
    assert compared == {name for name in known_here() if FORMATS[name].planes}


def test_other_strides_follow_the_first_as_in_gstreamer() -> None:
    for name, value in known_here().items():
        fmt = FORMATS[name]
        if fmt.kind != "planes":
            continue
        for stride in (2048, 2112, 2560):
            info = GstVideo.VideoInfo()
            assert info.set_format(value, 333, 177)
            expected = tuple(info.finfo.extrapolate_stride(plane, stride) for plane in range(fmt.n_planes))
            assert fmt.tight_layout(333, 177, stride).strides == expected, (name, stride)


def test_gstreamers_own_layout_is_always_sound() -> None:
    for fmt, info in layouts():
        header = VideoFrameHeader(width=info.width, height=info.height, n_planes=fmt.n_planes)
        header.format_name = fmt.name
        header.stride[:] = [stride % 2**32 for stride in info.stride]
        header.plane_offsets[:] = info.offset
        fault = validate_geometry(header, info.size)
        if cuts_rows(fmt, info):
            assert fault is not None
            assert fault.rule == "stride"
            continue
        assert fault is None, fault
        assert validate_geometry(header, info.offset[fmt.n_planes - 1]) is not None, (fmt.name, info.width, info.height)


def test_the_flags_that_cross_have_gstreamers_bits() -> None:
    for name, bit in BUFFER_FLAGS.items():
        flags = Gst.BufferFlags if hasattr(Gst.BufferFlags, name) else GstVideo.VideoBufferFlags
        assert int(getattr(flags, name)) == bit, name


# All components and all bytes differ, so that a swap of components or bytes is noticed.
COLOUR = {"A": 0xC1D2, "R": 0x2F41, "G": 0x6B57, "B": 0xA863, "Y": 0x4B17, "U": 0x7329, "V": 0x963E}


def converted(source: str, target: str) -> bytes:
    """Return a 12×4 picture of COLOUR, converted by GStreamer from a format with 16-bit components."""
    pixel = np.array([COLOUR[letter] for letter in FORMATS[source].components], FORMATS[source].dtype)
    pipeline = Gst.parse_launch(
        f"appsrc name=src caps=video/x-raw,format={source},width=12,height=4,framerate=0/1 ! "
        f"videoconvert dither=none ! video/x-raw,format={target} ! appsink name=sink sync=false"
    )
    try:
        assert pipeline.set_state(Gst.State.PLAYING) != Gst.StateChangeReturn.FAILURE
        pipeline.get_by_name("src").emit("push-buffer", Gst.Buffer.new_wrapped(np.tile(pixel, 48).tobytes()))
        sample = pipeline.get_by_name("sink").emit("try-pull-sample", 60 * Gst.SECOND)
        assert sample is not None, target
        buffer = sample.get_buffer()
        return bytes(buffer.extract_dup(0, buffer.get_size()))
    finally:
        pipeline.set_state(Gst.State.NULL)


def first_samples(fmt: VideoFormat, pixels: bytes) -> list[int]:
    """Return the samples of the components in the top left corner, read with the table."""
    info = GstVideo.VideoInfo()
    assert info.set_format(GstVideo.VideoFormat.from_string(fmt.name), 12, 4)
    planes = fmt.views(pixels, 12, 4, info.stride, info.offset)
    if fmt.is_word:
        return [int(planes[0][0, 0])] * len(fmt.components)
    samples: list[int] = []
    for plane, view in zip(fmt.planes, planes, strict=True):
        samples += view[0].ravel()[: plane.channels * plane.group_pixels].tolist()
    return samples


def test_the_components_are_where_gstreamer_puts_them() -> None:
    for name in known_here():
        fmt = FORMATS[name]
        if fmt.kind not in ("planes", "packed") or fmt.is_gray:
            continue
        samples = first_samples(fmt, converted("ARGB64" if fmt.is_rgb else "AYUV64", name))
        assert len(samples) == len(fmt.components), name
        for letter, sample, bits, shift in zip(fmt.components, samples, fmt.bits, fmt.shift, strict=True):
            if letter != "x":
                value = (sample >> shift) & ((1 << bits) - 1)
                assert abs(value - (COLOUR[letter] >> (16 - bits))) <= 1, (name, letter, hex(sample))
