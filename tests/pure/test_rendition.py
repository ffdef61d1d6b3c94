"""Names of renditions and their geometry."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2._wire.rendition import CODECS, Rect, RenditionName, codec_of
from gst_iceoryx2.errors import FormatError

SIDES = st.none() | st.integers(1, 32768)
RATES = st.none() | st.integers(1, 1_000_000).map(lambda thousandths: Fraction(thousandths, 1000))
WITH_ROWS = sorted(name for name, known in FORMATS.items() if known.kind != "tiled")
SHAPE_TEXTS = st.text("@x-+.019RGBcropstretch", max_size=12)
SOURCES = st.text(min_size=1, max_size=12) | st.text("@x/ -+.640RGB", min_size=1, max_size=12)


@st.composite
def names(draw):
    parts = (
        draw(SOURCES),
        draw(SIDES),
        draw(SIDES),
        draw(st.none() | st.sampled_from(WITH_ROWS)),
        draw(RATES),
        draw(st.sampled_from(["pad", "crop", "stretch"])),
    )
    # A name asks for something.
    return RenditionName(*parts) if any(part is not None for part in parts[1:5]) else RenditionName(parts[0], 640)


def shape_of(text: str, width: int, height: int, format: str = "NV12", pixel_aspect: Fraction | int = 1):
    name = RenditionName.parse(text)
    assert name is not None
    return name.shape(width, height, format, pixel_aspect)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cam0@640x640", ("cam0", 640, 640, None, None, "pad")),
        ("cam0@640x", ("cam0", 640, None, None, None, "pad")),
        ("cam0@x480", ("cam0", None, 480, None, None, "pad")),
        ("cam0@-RGB", ("cam0", None, None, "RGB", None, "pad")),
        ("cam0@@15", ("cam0", None, None, None, 15, "pad")),
        ("cam0@-RGB@0.5", ("cam0", None, None, "RGB", Fraction(1, 2), "pad")),
        ("cam0@640x640-P010_10LE@29.97+crop", ("cam0", 640, 640, "P010_10LE", Fraction(2997, 100), "crop")),
        ("cam0@640x640+stretch", ("cam0", 640, 640, None, None, "stretch")),
        ("front@left@640x640", ("front@left", 640, 640, None, None, "pad")),
        ("cam0@640x480@-RGB", ("cam0@640x480", None, None, "RGB", None, "pad")),
        ("cam0@640x480@@15", ("cam0@640x480", None, None, None, 15, "pad")),
        ("cam0@640x480@15", ("cam0", 640, 480, None, 15, "pad")),
        ("cam0@@640x480", ("cam0@", 640, 480, None, None, "pad")),
        ("lab 2/kamera ü@640x480", ("lab 2/kamera ü", 640, 480, None, None, "pad")),
        ("a\nb@640x480", ("a\nb", 640, 480, None, None, "pad")),
    ],
)
def test_a_name_has_these_parts_and_is_written_back(text, parts):
    name = RenditionName.parse(text)
    assert name == RenditionName(*parts)
    assert str(name) == text


@pytest.mark.parametrize("text", ["cam0@0640x0480", "cam0@640x480@15.0", "cam0@640x480@015.10"])
def test_spellings_with_further_zeros_mean_the_same_as_the_shortest(text):
    name = RenditionName.parse(text)
    assert name is not None
    assert str(name) in ("cam0@640x480", "cam0@640x480@15", "cam0@640x480@15.1")


@pytest.mark.parametrize(
    "text",
    [
        *("cam0", "front@left", "@640x480", "cam0@", "cam0@x", "cam0@x-RGB", "cam0@640", "cam0@640x480-", "cam0@+crop"),
        *("cam0@640X480", "cam0@640x480@", "cam0@640x480@15fps", "cam0@640x480@15/2", "cam0@640x480@1.0001"),
        *("cam0@640x480+pad", "cam0@640x480+crop+crop", "cam0@640x480 ", "cam0@640x480\n", "cam0@٦٤٠x480", "cam0@-5x5"),
        *("cam0@-640x480@x", "cam0@1234567x480", "cam0@640x480@RGB", "cam0@15@640", ""),
        *(f"cam0@{codec}" for codec in CODECS),
        "video/cam0@640x480/frame/v2",
    ],
)
def test_other_names_are_ordinary(text):
    assert RenditionName.parse(text) is None


@given(names())
@example(RenditionName("a@", fps=Fraction(15)))
@example(RenditionName("a@640x480", fps=Fraction(15)))
@example(RenditionName("a@-RGB", 640, 480, fps=Fraction(15)))
@example(RenditionName("a@@15", fps=Fraction(15)))
def test_every_name_comes_back_from_its_text(name):
    assert RenditionName.parse(str(name)) == name
    assert hash(RenditionName.parse(str(name))) == hash(name)


@given(st.text(max_size=30) | st.builds("{}@{}".format, SOURCES, SHAPE_TEXTS))
@example("cam0@999999x1")
def test_every_text_is_a_rendition_or_an_ordinary_name_or_cannot_be_for_a_reason(text):
    try:
        name = RenditionName.parse(text)
    except FormatError:
        return
    assert name is None or RenditionName.parse(str(name)) == name


SIZES = "use 1 to 32768 pixels"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cam0@0x0", f"the width is 0; {SIZES}"),
        ("cam0@640x0", f"the height is 0; {SIZES}"),
        ("cam0@40000x40000", f"the width is 40000; {SIZES}"),
        ("cam0@32768x32769", f"the height is 32769; {SIZES}"),
        ("cam0@640x640-rgb", "'rgb' is not a raw video format in GStreamer; did you mean 'RGB'?"),
        ("cam0@-I42O", "'I42O' is not a raw video format in GStreamer; did you mean 'I420'?"),
        (
            "cam0@-NV12_64Z32",
            "NV12_64Z32 is tiled or uses a palette, so only GStreamer can lay it out; use another format, such as NV12",
        ),
        ("cam0@@0", "the frame rate is 0; use 0.001 to 1000 frames per second with at most 3 decimals"),
        ("cam0@@1001", "the frame rate is 1001; use 0.001 to 1000 frames per second with at most 3 decimals"),
    ],
)
def test_a_rendition_that_cannot_be_is_refused_with_the_remedy(text, reason):
    with pytest.raises(FormatError) as caught:
        RenditionName.parse(text)
    assert str(caught.value) == f'cannot make "{text}": {reason}'


@pytest.mark.parametrize(
    "parts", [("", 640), ("cam0",), ("cam0", 640, None, None, Fraction(30000, 1001)), ("cam0", -1)], ids=str
)
def test_names_that_no_text_could_give_are_refused(parts):
    with pytest.raises(FormatError, match="cannot make"):
        RenditionName(*parts)


def test_the_names_of_codecs_are_reserved():
    assert [codec_of(f"cam0@{codec}") for codec in CODECS] == list(CODECS) == ["h264", "h265", "av1"]
    assert codec_of("cam0@640x640@h264") == "h264"
    for name in ("cam0", "h264", "@h264", "cam0@H264", "cam0@h264@15", "cam0@640x640"):
        assert codec_of(name) is None


# -- geometry --------------------------------------------------------------------------------------------------------

HD = (0, 0, 1920, 1080)


@pytest.mark.parametrize(
    ("text", "size", "source_rect", "rect"),
    [
        ("cam0@640x640", (640, 640), HD, (0, 140, 640, 360)),
        ("cam0@640x640+crop", (640, 640), (420, 0, 1080, 1080), (0, 0, 640, 640)),
        ("cam0@640x640+stretch", (640, 640), HD, (0, 0, 640, 640)),
        ("cam0@640x", (640, 360), HD, (0, 0, 640, 360)),
        ("cam0@x360", (640, 360), HD, (0, 0, 640, 360)),
        # The other side would be 359.4 and 853.3 pixels.
        ("cam0@639x", (639, 360), HD, (0, 0, 639, 360)),
        ("cam0@x480", (854, 480), HD, (0, 0, 854, 480)),
        ("cam0@1920x1080", (1920, 1080), HD, HD),
        ("cam0@-NV12", (1920, 1080), HD, HD),
        ("cam0@@15", (1920, 1080), HD, HD),
        ("cam0@-NV12+crop", (1920, 1080), HD, HD),
        # A size that was asked for is kept, although it is odd. The picture would be 360.6 high: (641 - 360) / 2 = 140.
        ("cam0@641x641", (641, 641), HD, (0, 140, 641, 360)),
        ("cam0@300x900", (300, 900), HD, (0, 366, 300, 168)),
        ("cam0@300x900+crop", (300, 900), (780, 0, 360, 1080), (0, 0, 300, 900)),
    ],
)
def test_the_picture_fits_into_the_size(text, size, source_rect, rect):
    shape = shape_of(text, 1920, 1080)
    assert (shape.width, shape.height, shape.format) == (*size, "NV12")
    assert (shape.source_rect, shape.rect) == (source_rect, rect)
    assert shape.pixel_aspect == 1


def test_pixels_of_the_source_that_are_not_square_keep_the_shape_of_the_picture():
    """720x576 with pixels of 16:11 shows 1047.3x576, which is 20:11."""
    pal = {"width": 720, "height": 576, "pixel_aspect": Fraction(16, 11)}
    padded = shape_of("cam0@640x640", **pal)
    assert padded.rect == (0, 144, 640, 352)
    assert padded.pixel_aspect == 1
    assert shape_of("cam0@640x", **pal).height == 352
    # A square part of the picture is 576 high and 396 of its pixels wide.
    assert shape_of("cam0@640x640+crop", **pal).source_rect == (162, 0, 396, 576)
    # Without a size, pixels keep their shape.
    same = shape_of("cam0@-RGB", **pal)
    assert (same.width, same.height, same.pixel_aspect) == (720, 576, Fraction(16, 11))


@pytest.mark.parametrize(
    ("format", "rect"),
    [
        ("RGB", (0, 31, 111, 62)),  # no common chroma: 62.4 pixels high
        ("NV12", (0, 30, 111, 62)),
        ("YUY2", (0, 31, 111, 62)),
        ("YUV9", (0, 28, 111, 64)),
    ],
)
def test_rectangles_begin_and_end_where_the_format_has_whole_chroma(format, rect):
    assert shape_of(f"cam0@111x125-{format}", 1920, 1080, "RGB").rect == rect


def test_names_with_the_same_shape_share_a_conversion():
    texts = ("cam0@640x360", "cam0@640x360-NV12", "cam0@640x", "cam0@x360+crop", "cam0@640x360+stretch")
    assert len({shape_of(text, 1920, 1080) for text in texts}) == 1


@pytest.mark.parametrize(
    ("text", "width", "height", "format", "reason"),
    [
        ("cam0@32768x", 8, 16, "NV12", f"the height is 65536 for a source of 8x16; {SIZES}"),
        ("cam0@x640", 32768, 1, "NV12", f"the width is 20971520 for a source of 32768x1; {SIZES}"),
        ("cam0@640x640", 0, 16, "NV12", f"the width is 0; {SIZES}"),
        ("cam0@640x640-RGB", 16, 16, "NV12_4L4", "NV12_4L4 is tiled"),
        ("cam0@640x640", 16, 16, "what", "'what' is not a raw video format"),
    ],
)
def test_a_source_of_which_a_rendition_cannot_be_made_is_told(text, width, height, format, reason):
    with pytest.raises(FormatError, match=f'^cannot make "{text}": {reason}'):
        shape_of(text, width, height, format)


GRIDS = {"NV12": (2, 2), "RGB": (1, 1), "YUY2": (2, 1), "YUV9": (4, 4)}


def assert_placed(rect: Rect, width: int, height: int, aspect: Fraction, format: str) -> None:
    """A rectangle lies in its picture, on whole chroma, and is the largest one of its shape, but for the rounding."""
    begins, lengths, picture = rect[:2], rect[2:], (width, height)
    exact = min(width, height * aspect), min(height, width / aspect)
    for begin, length, whole, wanted, grid in zip(begins, lengths, picture, exact, GRIDS[format], strict=True):
        assert 0 <= begin < begin + length <= whole
        assert (begin, length) == (0, whole) or begin % grid == length % grid == 0
        assert abs(length - wanted) <= (grid / 2 if wanted > grid else grid)
        # In the middle, but for the rounding: no more than two groups on one side.
        assert 0 <= whole - length - 2 * begin <= 2 * grid


@given(
    names(),
    st.integers(1, 32768),
    st.integers(1, 32768),
    st.sampled_from(sorted(GRIDS)),
    st.fractions(Fraction(1, 8), 8, max_denominator=100),
)
def test_every_rendition_of_every_source_is_placed_by_the_same_rule(name, width, height, format, pixels):
    made = name.format if name.format in GRIDS else format
    name = RenditionName(name.source, name.width, name.height, made, name.fps, name.fit)
    try:
        shape = name.shape(width, height, format, pixels)
    except FormatError:
        # The side that is left out would be too large.
        assert (name.width is None) != (name.height is None)
        return
    whole, target = (0, 0, width, height), (0, 0, shape.width, shape.height)
    aspect = pixels * Fraction(width, height)
    if name.width and name.height:
        assert (shape.width, shape.height) == (name.width, name.height)
        if name.fit == "pad":
            assert_placed(shape.rect, shape.width, shape.height, aspect, made)
        elif name.fit == "crop":
            assert_placed(shape.source_rect, width, height, Fraction(name.width, name.height) / pixels, format)
    elif name.width or name.height:
        across, down = GRIDS[made]
        exact = name.width or aspect * name.height, name.height or name.width / aspect
        assert abs(shape.width - exact[0]) <= (across / 2 if exact[0] > across else across)
        assert abs(shape.height - exact[1]) <= (down / 2 if exact[1] > down else down)
    else:
        assert (shape.width, shape.height, shape.pixel_aspect) == (width, height, pixels)
    assert shape.source_rect == whole or (name.width and name.height and name.fit == "crop")
    assert shape.rect == target or (name.width and name.height and name.fit == "pad")


def test_the_grid_of_packed_bytes_has_whole_groups_and_pairs_of_pixels():
    """v210 packs 6 pixels of 4:2:2 into 16 bytes, NV12_10LE32 3 samples into 4, GRAY10_LE32 the same without chroma."""
    for format, grid in (("v210", (6, 1)), ("NV12_10LE32", (6, 2)), ("GRAY10_LE32", (3, 1)), ("IYU1", (4, 1))):
        x, y, wide, high = shape_of(f"cam0@1201x1500-{format}", 1920, 1080, "RGB").rect
        assert (x, wide) == (0, 1201)
        assert y % grid[1] == high % grid[1] == 0
        x, y, wide, high = shape_of(f"cam0@1500x601-{format}", 1920, 1080, "RGB").rect
        assert (y, high) == (0, 601)
        assert x % grid[0] == wide % grid[0] == 0
