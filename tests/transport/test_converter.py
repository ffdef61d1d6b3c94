"""Renditions of received frames, compared with libswscale itself and with formulas."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

av = pytest.importorskip("av")
from av.video.reformatter import VideoReformatter

from gst_iceoryx2._extras.av import PIXEL_FORMATS, filter_graph
from gst_iceoryx2._wire.caps import parse_caps, video_caps
from gst_iceoryx2._wire.formats import FORMATS, get_format
from gst_iceoryx2._wire.rendition import Rect, RenditionName, RenditionShape
from gst_iceoryx2.errors import FormatError, MissingExtraError
from gst_iceoryx2.feed.canvas import Canvas, Palette
from gst_iceoryx2.serve.converter import Converter, SourceShape
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from gst_iceoryx2.video.colour import to_rgb
from tests.pictures import planes as noise

# SWS_AREA, SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT and SWS_FULL_CHR_H_INP of libswscale/swscale.h.
FLAGS = 1 << 5 | 1 << 18 | 1 << 13 | 1 << 14
OLD = 0xEE
"""What the loans contain before they are filled."""

Planes = Sequence[np.ndarray]


class Rendition(NamedTuple):
    """Copies of the planes of a rendition, and its caps."""

    planes: list[np.ndarray]
    caps: str | None
    shape: RenditionShape

    def rgb(self) -> np.ndarray:
        """Return the whole rendition as RGB, by its caps, as a receiver would see it."""
        shape = self.shape
        return to_rgb(self.planes, get_format(shape.format), shape.width, shape.height, self.colorimetry)

    @property
    def colorimetry(self) -> Any:
        return parse_caps(self.caps).fields.get("colorimetry") if self.caps else None


class Studio:
    """Publishes pictures, receives them, and converts them into loans."""

    def __init__(self) -> None:
        self.source = VideoFramePublisher("video/source/frame/v2")
        self.target = VideoFramePublisher("video/target/frame/v2")
        self.subscriber = VideoFrameSubscriber("video/source/frame/v2")
        self.source.wait_for_subscribers(1, timeout=60)

    def convert(
        self, views: Planes, format: str, size: tuple[int, int], shape: RenditionShape, colorimetry: str | None = None
    ) -> Rendition:
        """Return the rendition of a picture."""
        with self.source.loan(*size, format) as loan:
            # Rows of YUY2 with an odd width have a sample outside of the array.
            loan.bytes()[:] = 128
            for target, view in zip(loan.planes, views, strict=True):
                target[...] = view
        frame = self.subscriber.receive_blocking(10_000)
        assert frame is not None
        with frame:
            converter = Converter(shape, SourceShape(*size, format, colorimetry))
            target = self.target.loan(shape.width, shape.height, shape.format)
            target.bytes()[:] = OLD
            converter.fill(frame, target)
            planes = [plane.copy() for plane in target.planes]
            target.discard()
        return Rendition(planes, converter.caps, shape)

    def close(self) -> None:
        self.subscriber.close()
        self.source.close()
        self.target.close()


@pytest.fixture
def studio() -> Iterator[Studio]:
    one = Studio()
    yield one
    one.close()


def whole(size: tuple[int, int], format: str, there: tuple[int, int]) -> RenditionShape:
    """Return a shape that shows the whole source in the whole rendition."""
    return RenditionShape(*size, format, None, (0, 0, *there), (0, 0, *size))


def padded(size: tuple[int, int], format: str, there: tuple[int, int], rect: Rect) -> RenditionShape:
    return RenditionShape(*size, format, None, (0, 0, *there), rect)


def flat(format: str, width: int, height: int, colour: tuple[int, int, int], colorimetry: str | None = None) -> Planes:
    """Return the planes of a picture of one colour."""
    known = get_format(format)
    layout = known.tight_layout(width, height)
    views = known.views(np.zeros(layout.size, np.uint8), width, height, layout.strides, layout.offsets)
    Canvas(views, Palette(known, height, colorimetry)).fill(0, 0, width, height, colour)
    return views


def of_swscale(
    views: Planes, name: str, size: tuple[int, int], target: str, wanted: tuple[int, int], **colours: int
) -> list[np.ndarray]:
    """Return the rows of each plane as PyAV's own reformatter makes them."""
    picture = av.VideoFrame(*size, name)
    for view, plane in zip(views, picture.planes, strict=True):
        rows = np.ascontiguousarray(view).reshape(len(view), -1).view(np.uint8)
        np.frombuffer(plane, np.uint8)[:] = 128
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: len(rows), : rows.shape[1]] = rows
    done = VideoReformatter().reformat(picture, *wanted, target, interpolation=FLAGS, threads=1, **colours)
    return [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).copy() for plane in done.planes]


SOURCES = ["NV12", "I420", "YUY2", "UYVY", "P010_10LE", "I420_10LE", "Y444", "BGR", "RGBA", "GRAY8", "GRAY16_LE"]
TARGETS = ["I420", "NV12", "YUY2", "P010_10LE", "RGB", "BGR", "RGBA", "BGRA", "ARGB", "GRAY8", "GBR", "RGBA64_LE"]
# Source and rendition: smaller, larger, narrower but higher, and only another format.
SIZES = [((64, 48), (40, 24)), ((40, 32), (64, 64)), ((66, 34), (24, 50)), ((48, 32), (48, 32)), ((37, 35), (23, 19))]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.proves("D3")
def test_a_rendition_has_the_very_bytes_of_swscale(studio: Studio, target: str) -> None:
    known = get_format(target)
    apart = known.is_rgb and known.dtype == "u1" and known.kind == "packed"
    for source in SOURCES:
        there = get_format(source)
        for size, wanted in SIZES:
            if source == target and size == wanted:
                continue
            views = noise(source, *size)
            colours = {
                "src_colorspace": 5,
                "dst_colorspace": 5,
                "src_color_range": 2 if there.is_rgb or there.is_gray else 1,
                "dst_color_range": 2 if known.is_rgb or known.is_gray else 1,
            }
            done = studio.convert(views, source, size, whole(wanted, target, size))
            by_order = there.is_rgb and size == wanted
            name = PIXEL_FORMATS[target] if by_order or not apart else "gbrap" if known.has_alpha else "gbrp"
            rows = of_swscale(views, PIXEL_FORMATS[source], size, name, wanted, **colours)
            if apart and not by_order:
                letters = [known.components.index(letter) for letter in "GBRA"[: len(rows)]]
                picture = np.zeros((wanted[1], wanted[0], len(rows)), np.uint8)
                for index, plane in zip(letters, rows, strict=True):
                    picture[..., index] = plane[: wanted[1], : wanted[0]]
                assert np.array_equal(done.planes[0], picture), (source, size, wanted)
                # libswscale's own RGB in one plane is rounded in another way if it interpolates.
                (direct,) = of_swscale(views, PIXEL_FORMATS[source], size, PIXEL_FORMATS[target], wanted, **colours)
                direct = direct[: wanted[1], : picture[0].size].reshape(picture.shape)
                assert np.abs(direct.astype(int) - picture).max() <= 1, (source, size, wanted)
                continue
            for plane, row in zip(done.planes, rows, strict=True):
                mine = plane.reshape(len(plane), -1).view(np.uint8)
                assert np.array_equal(mine, row[: len(mine), : mine.shape[1]]), (source, size, wanted)


@pytest.mark.parametrize("target", ["RGB", "BGRA", "I420", "Y444"])
def test_a_rendition_equals_the_filters_scale_and_pad(studio: Studio, target: str) -> None:
    """FFmpeg's own filters, with a picture in the middle of black."""
    views, known = noise("NV12", 320, 180), get_format(target)
    picture = av.VideoFrame(320, 180, "nv12")
    for view, plane in zip(views, picture.planes, strict=True):
        rows = view.reshape(len(view), -1)
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: len(rows), : rows.shape[1]] = rows
    name = ("gbrap" if known.has_alpha else "gbrp") if known.is_rgb else PIXEL_FORMATS[target]
    flags = "area+accurate_rnd+full_chroma_int+full_chroma_inp"
    matrix = "in_color_matrix=bt601:out_color_matrix=bt601:in_range=tv"
    filters = [("scale", f"64:36:flags={flags}:{matrix}"), ("format", name), ("pad", "64:64:0:14")]
    graph = filter_graph(picture, Fraction(1, 1000), filters)
    graph.push(picture)
    expected = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in graph.pull().planes]
    shape = RenditionName("cam0", 64, 64, target).shape(320, 180, "NV12")
    assert shape.rect == (0, 14, 64, 36)
    planes = studio.convert(views, "NV12", (320, 180), shape).planes
    if known.is_rgb:
        planes = [planes[0][..., known.components.index(letter)] for letter in "GBRA"[: len(known.components)]]
    for plane, rows in zip(planes, expected, strict=True):
        assert np.array_equal(plane, rows[: len(plane), : plane.shape[1]])


COLOURS = [(200, 40, 90), (16, 180, 60), (250, 250, 250)]
DRAWABLE = [name for name in PIXEL_FORMATS if name in FORMATS]


def worst(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int(np.abs(picture.astype(int) - colour).max())


@pytest.mark.parametrize("source", DRAWABLE)
def test_a_colour_stays_the_same_in_every_format(studio: Studio, source: str) -> None:
    """Each source format, to a third of the target formats; all pairs occur over the formats."""
    first = DRAWABLE.index(source)
    for target in DRAWABLE[first % 3 :: 3]:
        for size, wanted in (((48, 34), (32, 20)), ((34, 24), (40, 41))):
            for colour in COLOURS[:1] if first % 2 else COLOURS[1:]:
                done = studio.convert(flat(source, *size, colour), source, size, whole(wanted, target, size))
                if FORMATS[source].is_gray or FORMATS[target].is_gray:
                    luma = round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
                    colour = (luma, luma, luma)
                assert worst(done.rgb(), colour) <= 3, (target, size, wanted, colour)


OTHERS = [name for name, one in FORMATS.items() if one.planes and name not in PIXEL_FORMATS]


def test_a_format_that_pyav_lacks_is_converted_by_way_of_rgb(studio: Studio) -> None:
    for source in OTHERS:
        check_by_way_of_rgb(studio, source)


def check_by_way_of_rgb(studio: Studio, source: str) -> None:
    size, wanted = (36, 24), (24, 18)
    known = FORMATS[source]
    views = noise(source, *size)
    if known.dtype[1] == "f":
        views = [np.full(view.shape, 0.25, view.dtype) for view in views]
    exact = to_rgb(views, known, *size)
    done = studio.convert(views, source, size, whole(wanted, "RGB", size))
    rows = of_swscale([exact], "rgb24", size, "gbrp", wanted, src_color_range=2, dst_color_range=2)
    for channel, plane in zip((1, 2, 0), rows, strict=True):
        assert np.array_equal(done.planes[0][..., channel], plane[: wanted[1], : wanted[0]]), source
    assert studio.convert(views, source, size, whole(wanted, "NV12", size)).colorimetry == "bt601", source


BARS = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)]


@pytest.mark.parametrize("colorimetry", ["bt601", "bt709", "smpte240m", "bt2020", "1:4:0:0", "1:3:5:1", "2:2:0:0"])
def test_bars_have_their_colours_with_every_matrix_and_range(studio: Studio, colorimetry: str) -> None:
    """A matrix of another standard would shift green by up to 40 levels, and another range black by 16."""
    size, wanted = (64, 32), (40, 20)
    for source in ("NV12", "YUY2", "Y444", "P010_10LE"):
        for colour in BARS:
            views = flat(source, *size, colour, colorimetry)
            for target in ("RGB", "BGRA", "GBR"):
                done = studio.convert(views, source, size, whole(wanted, target, size), colorimetry)
                assert worst(done.rgb(), colour) <= 3, (source, target, colour)
                assert done.caps is None
            kept = studio.convert(views, source, size, whole(wanted, "I420", size), colorimetry)
            assert kept.colorimetry == colorimetry
            assert worst(kept.rgb(), colour) <= 3, (source, colour)


@pytest.mark.parametrize(("height", "wanted", "name"), [(1080, 64, "bt709"), (576, 64, "bt601"), (64, 1080, "bt601")])
def test_the_default_colorimetry_is_that_of_the_sources_height(
    studio: Studio, height: int, wanted: int, name: str
) -> None:
    """A rendition with 64 rows would have BT.601 by default, but its samples come from BT.709."""
    done = studio.convert(
        flat("NV12", 64, height, BARS[3]), "NV12", (64, height), whole((64, wanted), "I420", (64, height))
    )
    assert done.colorimetry == name
    assert worst(done.rgb(), BARS[3]) <= 3


@pytest.mark.parametrize(("wanted", "name"), [(576, "bt601"), (578, "bt709")])
def test_rgb_becomes_the_default_of_the_renditions_height(studio: Studio, wanted: int, name: str) -> None:
    for source in ("BGR", "GRAY8"):
        colour = BARS[0] if source == "GRAY8" else BARS[5]
        done = studio.convert(flat(source, 64, 40, colour), source, (64, 40), whole((64, wanted), "NV12", (64, 40)))
        assert done.colorimetry == name
        assert worst(done.rgb(), colour) <= 3


@pytest.mark.parametrize("target", ["RGB", "I420", "GRAY8"])
@pytest.mark.parametrize("size", [(32, 20), (10, 10)], ids=str)
def test_gray_with_limited_range_stays_as_bright(studio: Studio, target: str, size: tuple[int, int]) -> None:
    """libswscale takes gray for full range, whatever it is told."""
    colour = (150, 150, 150)
    views = flat("GRAY8", 48, 40, colour, "2:4:0:0")
    assert views[0].max() == 145
    done = studio.convert(views, "GRAY8", (48, 40), whole(size, target, (48, 40)), "2:4:0:0")
    assert worst(done.rgb(), colour) <= 2


@pytest.mark.parametrize("target", DRAWABLE)
def test_the_border_is_black_whatever_the_loan_contained(studio: Studio, target: str) -> None:
    white = (255, 255, 255)
    for colorimetry in ("bt601", "1:4:0:0"):
        views = flat("NV12", 40, 30, white, colorimetry)
        for rect in ((0, 8, 64, 48), (8, 0, 48, 64), (16, 16, 32, 32), (0, 0, 64, 64)):
            left, top, width, height = rect
            done = studio.convert(views, "NV12", (40, 30), padded((64, 64), target, (40, 30), rect), colorimetry)
            picture = done.rgb()
            inside = np.zeros((64, 64), bool)
            inside[top : top + height, left : left + width] = True
            assert worst(picture[inside], white) <= 2, rect
            assert picture[~inside].max(initial=0) == 0, rect
            known = FORMATS[target]
            if known.has_alpha:
                alpha = done.planes[-1][..., known.components.index("A")] if known.n_planes == 1 else done.planes[3]
                assert (alpha == (1 << known.bits[-1]) - 1).all(), rect


def edge(line: np.ndarray) -> float:
    """Return where a line of samples crosses the middle between its ends, in samples from the left edge."""
    level = (float(line[0]) + float(line[-1])) / 2
    at = int(np.argmax(line > level))
    low, high = float(line[at - 1]), float(line[at])
    return at - 0.5 + (level - low) / (high - low)


GEOMETRY = [
    # size of the source, rendition, part of the source, part of the rendition
    ((320, 180), (64, 64), (0, 0, 320, 180), (0, 14, 64, 36)),
    ((320, 180), (640, 640), (0, 0, 320, 180), (0, 140, 640, 360)),
    ((320, 180), (60, 100), (110, 0, 100, 180), (0, 0, 60, 100)),
    ((320, 180), (100, 180), (110, 0, 100, 180), (0, 0, 100, 180)),
    ((320, 180), (33, 77), (0, 0, 320, 180), (0, 0, 33, 77)),
    ((333, 177), (320, 200), (0, 0, 333, 177), (0, 14, 320, 170)),
    ((1920, 1080), (24, 18), (0, 0, 1920, 1080), (0, 2, 24, 16)),
    ((40, 30), (8, 6), (0, 0, 40, 30), (0, 0, 8, 6)),
]


@pytest.mark.parametrize("format", ["NV12", "BGR", "YUY2", "YV12"])
@pytest.mark.proves("D4")
def test_an_edge_is_where_it_belongs_to_half_a_pixel(studio: Studio, format: str) -> None:
    for size, wanted, part, rect in GEOMETRY:
        check_edges(studio, format, size, wanted, part, rect)


def check_edges(
    studio: Studio, format: str, size: tuple[int, int], wanted: tuple[int, int], part: Rect, rect: Rect
) -> None:
    x, y = part[0] + part[2] // 2 // 2 * 2, part[1] + part[3] // 2 // 2 * 2
    known = get_format(format)
    layout = known.tight_layout(*size)
    for axis, place, begin in ((1, x, 0), (0, y, 1)):
        views = known.views(np.zeros(layout.size, np.uint8), *size, layout.strides, layout.offsets)
        canvas = Canvas(views, Palette(known, size[1]))
        canvas.fill(0, 0, *size, (40, 40, 40))
        canvas.fill(place if axis else 0, 0 if axis else place, *size, (220, 220, 220))
        shape = RenditionShape(*wanted, "RGB", None, part, rect)
        picture = studio.convert(views, format, size, shape).rgb()
        left, top, width, height = rect
        inside = picture[top : top + height, left : left + width, 1]
        line = inside[height // 2] if axis else inside[:, width // 2]
        expected = (place - part[begin]) * rect[begin + 2] / part[begin + 2]
        assert abs(edge(line) - expected) <= 0.5, (size, wanted, axis, edge(line), expected)


@pytest.mark.parametrize("format", ["NV12", "I420", "BGR", "YUY2", "P010_10LE", "GRAY8", "v210", "YV12", "RGB16"])
def test_a_picture_that_keeps_its_format_and_size_is_copied(studio: Studio, format: str) -> None:
    views = noise(format, 48, 36)
    done = studio.convert(views, format, (48, 36), whole((48, 36), format, (48, 36)), "bt709")
    assert all(map(np.array_equal, done.planes, views))


@pytest.mark.parametrize("format", ["NV12", "I420", "BGR", "YUY2", "P010_10LE", "GRAY8", "YV12", "RGB16"])
def test_a_part_that_keeps_its_size_is_copied(studio: Studio, format: str) -> None:
    views = noise(format, 48, 36)
    shape = RenditionShape(20, 16, format, None, (8, 4, 20, 16), (0, 0, 20, 16))
    done = studio.convert(views, format, (48, 36), shape)
    for plane, view, place in zip(done.planes, views, get_format(format).planes, strict=True):
        x, y = 8 >> place.w_shift, 4 >> place.h_shift
        assert np.array_equal(plane, view[y : y + len(plane), x : x + plane.shape[1]])


TINY = [
    ((1, 1), (1, 1)),
    ((1, 1), (40, 30)),
    ((64, 48), (1, 1)),
    ((64, 48), (1, 20)),
    ((3, 300), (20, 2)),
    ((2100, 40), (32, 32)),
    ((7, 5), (9, 11)),
]


@pytest.mark.parametrize("target", ["RGB", "NV12", "YUY2", "GRAY8", "I420_10LE"])
def test_tiny_sizes_and_large_ratios_keep_the_colour(studio: Studio, target: str) -> None:
    for size, wanted in TINY:
        check_gray(studio, target, size, wanted)


def check_gray(studio: Studio, target: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    for source in ("NV12", "BGR", "YUY2", "GRAY8", "v210"):
        colour = (90, 90, 90)
        views = [np.full_like(view, 90) for view in noise("BGR", *size)] if source == "BGR" else None
        if source == "v210":
            # 10 bits each, three in a word.
            views = [np.zeros_like(view) for view in noise(source, *size)]
            views[0].view("<u4")[:, 0::2] = 512 | (64 + 876 * 90 // 255) << 10 | 512 << 20
            views[0].view("<u4")[:, 1::2] = (64 + 876 * 90 // 255) | 512 << 10 | (64 + 876 * 90 // 255) << 20
        done = studio.convert(views or flat(source, *size, colour), source, size, whole(wanted, target, size))
        assert worst(done.rgb(), colour) <= 3, (source, size, wanted)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((1, 2), (1, 1)), ((1, 3), (1, 1)), ((6, 6), (2, 2)), ((64, 48), (1, 1)), ((3200, 20), (16, 20))],
    ids=str,
)
def test_a_pixel_is_the_average_of_its_area(studio: Studio, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """libswscale alone returns single samples for few rows, and averages only some columns of many."""
    views = noise("BGR", *size)
    done = studio.convert(views, "BGR", size, whole(wanted, "BGR", size))
    (width, height), (wide, high) = wanted, size
    exact = views[0].reshape(height, high // height, width, wide // width, 3).mean((1, 3))
    assert np.abs(done.planes[0] - exact).max() <= 1


def test_the_depth_of_ten_bits_is_kept(studio: Studio) -> None:
    """A conversion by way of 8 bits would leave only 256 steps of the ramp."""
    luma = np.tile(np.linspace(64, 940, 1024).astype("<u2"), (64, 1))
    chroma = np.full((32, 1024), 512, "<u2")
    for wanted in ((512, 32), (1024, 64)):
        shape = whole(wanted, "P010_10LE", (1024, 64))
        done = studio.convert((luma, chroma[:, ::2], chroma[:, ::2]), "I420_10LE", (1024, 64), shape)
        assert len(np.unique(done.planes[0] >> 6)) > 430


def test_the_pixel_aspect_of_the_shape_is_in_the_caps(studio: Studio) -> None:
    shape = RenditionShape(48, 36, "BGR", None, (0, 0, 48, 36), (0, 0, 48, 36), Fraction(12, 11))
    done = studio.convert(noise("BGR", 48, 36), "BGR", (48, 36), shape)
    assert done.caps == video_caps("BGR", 48, 36, pixel_aspect_ratio=Fraction(12, 11))


@pytest.mark.parametrize(
    ("source", "target", "wanted"),
    [
        ("NV12", "v210", (48, 36)),
        ("NV12", "YV12", (48, 36)),
        ("v210", "v210", (24, 18)),
        ("NV12", "NV12_64Z32", (48, 36)),
    ],
)
def test_a_target_that_pyav_lacks_is_refused_with_both_formats(
    source: str, target: str, wanted: tuple[int, int]
) -> None:
    with pytest.raises(FormatError, match=f"^cannot convert {source} to {target}; use another"):
        Converter(whole(wanted, target, (48, 36)), SourceShape(48, 36, source))


def test_black_beside_a_format_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(FormatError, match=r"^cannot draw black beside a picture in v210; use another format"):
        Converter(padded((48, 64), "v210", (48, 36), (0, 14, 48, 36)), SourceShape(48, 36, "v210"))


def test_another_frame_or_loan_is_refused(studio: Studio) -> None:
    shape = whole((24, 18), "RGB", (48, 36))
    for size, target, fault in (
        ((40, 36), "RGB", "the frame is 40x36 BGR, but the converter was made for 48x36 BGR"),
        ((48, 36), "BGR", "the loan is 24x18 BGR, but the converter was made for 24x18 RGB"),
    ):
        studio.source.loan(*size, "BGR").send()
        frame, loan = studio.subscriber.receive_blocking(10_000), studio.target.loan(24, 18, target)
        assert frame is not None
        with frame, pytest.raises(FormatError, match=re.escape(fault)):
            Converter(shape, SourceShape(48, 36, "BGR")).fill(frame, loan)
        loan.discard()


def test_a_pyav_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "__version__", "14.4.0")
    with pytest.raises(MissingExtraError, match=r"need PyAV 17\.1 or newer, but 14\.4\.0 is installed"):
        Converter(whole((24, 18), "RGB", (48, 36)), SourceShape(48, 36, "NV12"))


def test_a_copy_does_not_need_pyav() -> None:
    program = """
import sys
sys.modules["av"] = None
from gst_iceoryx2._wire.rendition import RenditionShape
from gst_iceoryx2.errors import MissingExtraError
from gst_iceoryx2.serve.converter import Converter, SourceShape
source = SourceShape(48, 36, "NV12")
Converter(RenditionShape(48, 36, "NV12", None, (0, 0, 48, 36), (0, 0, 48, 36)), source)
Converter(RenditionShape(24, 24, "NV12", None, (8, 8, 24, 20), (0, 2, 24, 20)), source)
try:
    Converter(RenditionShape(24, 18, "NV12", None, (0, 0, 48, 36), (0, 0, 24, 18)), source)
except MissingExtraError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "need PyAV, which cannot be imported" in run.stdout, run.stderr
