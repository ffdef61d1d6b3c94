"""What becomes of the bytes of a camera driver: copied, flipped, converted or decoded into a frame."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import simplejpeg

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2.errors import FormatError
from gst_iceoryx2.feed import SettingError, SourceError
from gst_iceoryx2.feed.filling import filler, published_colorimetry
from gst_iceoryx2.feed.flip import check_flip
from gst_iceoryx2.feed.scaler import Scaler, tag_colorimetry
from gst_iceoryx2.feed.v4l2 import api
from gst_iceoryx2.feed.v4l2.choice import Choice
from gst_iceoryx2.feed.v4l2.pixel_formats import GSTREAMER, code_of, colorimetry_of, number_of
from gst_iceoryx2.video.colour import to_rgb

WIDTH, HEIGHT = 64, 48
SRGB = 8
FLIPS = {"180": np.s_[::-1, ::-1], "horizontal": np.s_[:, ::-1], "vertical": np.s_[::-1]}


class Frame:
    """A frame to fill, in memory of its own."""

    def __init__(self, format: str) -> None:
        self.format = get_format(format)
        layout = self.format.tight_layout(WIDTH, HEIGHT)
        self.memory = np.zeros(layout.size, np.uint8)
        self.planes = self.format.views(self.memory, WIDTH, HEIGHT, layout.strides, layout.offsets)

    def numpy_view(self) -> np.ndarray:
        (plane,) = self.planes
        return plane

    def rgb(self, colorimetry: str | None = None) -> np.ndarray:
        return to_rgb(self.planes, self.format, WIDTH, HEIGHT, colorimetry).astype(int)


def filled(
    code: str, captured: str | None, format: str, memory: np.ndarray, *, flip: Any = None, padding: int = 0
) -> tuple[Frame, bool]:
    pix = api.PixFormat(width=WIDTH, height=HEIGHT, pixelformat=number_of(code), sizeimage=len(memory), colorspace=SRGB)
    if captured is not None:
        pix.bytesperline = get_format(captured).row_bytes(0, WIDTH) + padding
    frame = Frame(format)
    choice = Choice(code, captured, format, WIDTH, HEIGHT, Fraction(30))
    is_whole = filler(choice, pix, flip).fill(memory, len(memory), frame)  # type: ignore[arg-type]
    return frame, is_whole


def mjpg(format: str) -> Choice:
    return Choice("MJPG", None, format, WIDTH, HEIGHT, None)


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, size, dtype=np.uint8)


def picture_in(format: str, padding: int = 0) -> np.ndarray:
    known = get_format(format)
    stride = known.row_bytes(0, WIDTH) + padding if padding else None
    return noise(known.tight_layout(WIDTH, HEIGHT, stride).size)


def photo() -> np.ndarray:
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:, :32] = (200, 50, 30)
    rgb[:24] //= 2
    rgb[:8, 8:16] = (20, 220, 90)
    return rgb


@pytest.mark.parametrize(("code", "format"), GSTREAMER.items(), ids=str)
def test_every_raw_format_is_copied_byte_by_byte_and_flipped_as_a_picture(code: str, format: str) -> None:
    assert code_of(number_of(code)) == code
    memory = picture_in(format)
    frame, is_whole = filled(code, format, format, memory)
    assert is_whole
    assert np.array_equal(frame.memory, memory)
    straight = frame.rgb()
    for flip, turned in FLIPS.items():
        assert np.array_equal(filled(code, format, format, memory, flip=flip)[0].rgb(), straight[turned]), flip


@pytest.mark.parametrize("format", ["YUY2", "I420", "NV12", "RGB"])
def test_padding_of_the_driver_is_left_out(format: str) -> None:
    (code,) = (code for code, name in GSTREAMER.items() if name == format)
    memory = picture_in(format, padding=32)
    frame, _ = filled(code, format, format, memory, padding=32)
    known = get_format(format)
    layout = known.tight_layout(WIDTH, HEIGHT, known.row_bytes(0, WIDTH) + 32)
    wanted = known.views(memory, WIDTH, HEIGHT, layout.strides, layout.offsets)
    for plane, source in zip(frame.planes, wanted, strict=True):
        assert np.array_equal(plane, source)


@pytest.mark.parametrize("code", ["YUYV", "NV61", "AYUV", "RGBP", "GREY", "NV12"])
@pytest.mark.parametrize("format", ["RGB", "BGR"])
def test_every_raw_format_is_converted_to_rgb_as_by_to_rgb(code: str, format: str) -> None:
    captured = GSTREAMER[code]
    memory = picture_in(captured)
    known = get_format(captured)
    layout = known.tight_layout(WIDTH, HEIGHT)
    views = known.views(memory, WIDTH, HEIGHT, layout.strides, layout.offsets)
    # The colorimetry that an sRGB colour space has in Video4Linux2.
    wanted = to_rgb(views, known, WIDTH, HEIGHT, None if known.is_rgb else "1:4:7:1" if known.is_gray else "2:4:7:1")
    assert np.array_equal(filled(code, captured, format, memory)[0].rgb(), wanted)


def test_other_conversions_are_ffmpegs() -> None:
    pytest.importorskip("av")
    luma, chroma = 90, (120, 140)
    memory = np.tile(np.array([luma, chroma[0], luma, chroma[1]], np.uint8), WIDTH * HEIGHT // 2)
    frame, _ = filled("YUYV", "YUY2", "NV12", memory)
    assert set(np.unique(frame.planes[0])) == {luma}
    assert frame.planes[1][3, 5].tolist() == list(chroma)
    turned, _ = filled("YUYV", "YUY2", "NV12", memory, flip="180")
    assert np.array_equal(turned.memory, frame.memory)
    with pytest.raises(SettingError, match=r"cannot convert VYUY to NV12; use RGB, BGR, or one of the camera's own"):
        filled("VYUY", "VYUY", "NV12", memory)


@pytest.mark.parametrize("flip", [None, *FLIPS])
@pytest.mark.parametrize("format", ["RGB", "BGR", "RGBA", "BGRx", "I420", "NV12"])
def test_a_jpeg_is_decoded_into_the_frame(format: str, flip: str | None) -> None:
    if format in ("I420", "NV12"):
        pytest.importorskip("av")
    data = np.frombuffer(jpeg.encode_rgb(photo(), 98, "444") + bytes(400), np.uint8)
    frame, is_whole = filled("MJPG", None, format, data, flip=flip)
    wanted = photo().astype(int)[FLIPS[flip] if flip else np.s_[:]]
    assert is_whole
    difference = np.abs(frame.rgb(published_colorimetry(mjpg(format), api.PixFormat())) - wanted)
    # Chroma of I420 has a quarter of the samples, so the edges of the areas differ.
    assert difference.mean() < 3
    assert np.median(difference) <= 1


@pytest.mark.parametrize("format", ["RGB", "BGR", "GRAY8", "I420", "NV12"])
def test_a_gray_jpeg_is_decoded_to_every_format(format: str) -> None:
    if format in ("I420", "NV12"):
        pytest.importorskip("av")
    gray = np.repeat(np.arange(HEIGHT, dtype=np.uint8)[:, None] * 5, WIDTH, axis=1)
    data = np.frombuffer(simplejpeg.encode_jpeg(gray[..., None], 98, "GRAY", "Gray"), np.uint8)
    frame, is_whole = filled("MJPG", None, format, data)
    assert is_whole
    assert np.abs(frame.rgb(published_colorimetry(mjpg(format), api.PixFormat())) - gray[..., None]).max() <= 3


@pytest.mark.parametrize("chroma", ["444", "422", "420", "440", "411"])
@pytest.mark.parametrize("format", ["RGB", "NV12"])
def test_a_jpeg_of_every_chroma_resolution_is_decoded(format: str, chroma: str) -> None:
    if format == "NV12":
        pytest.importorskip("av")
    data = np.frombuffer(simplejpeg.encode_jpeg(photo(), 98, "RGB", chroma), np.uint8)
    frame, _ = filled("MJPG", None, format, data)
    difference = np.abs(frame.rgb(published_colorimetry(mjpg(format), api.PixFormat())) - photo())
    assert np.median(difference) <= 2


@pytest.mark.parametrize("space", [SRGB, 7, 3, 0])
@pytest.mark.parametrize(
    ("code", "format", "samples"),
    [
        ("YUYV", "NV12", (100, 90, 100, 150)),
        ("YUYV", "GRAY8", (100, 128, 100, 128)),
        ("GREY", "I420", (100,)),
        ("RGB3", "I420", (90, 100, 200)),
    ],
)
def test_the_colorimetry_of_a_converted_picture_is_stated(
    code: str, format: str, samples: tuple[int, ...], space: int
) -> None:
    """Without it, a subscriber assumes the limited range, and BT.709 for HD, whatever the camera sends."""
    pytest.importorskip("av")
    captured = get_format(GSTREAMER[code])
    straight = Frame(captured.name)
    straight.memory[...] = np.resize(np.array(samples, np.uint8), len(straight.memory))
    pix = api.PixFormat(
        width=WIDTH,
        height=HEIGHT,
        bytesperline=captured.row_bytes(0, WIDTH),
        sizeimage=len(straight.memory),
        colorspace=space,
    )
    choice = Choice(code, captured.name, format, WIDTH, HEIGHT, None)
    frame = Frame(format)
    filler(choice, pix, None).fill(straight.memory, len(straight.memory), frame)  # type: ignore[arg-type]
    theirs = None if captured.is_rgb else colorimetry_of(pix, captured.is_gray)
    assert np.abs(frame.rgb(published_colorimetry(choice, pix)) - straight.rgb(theirs)).max() <= 3


@pytest.mark.parametrize("format", ["RGB", "I420"])
def test_a_jpeg_that_is_cut_off_shows_what_is_there_and_is_not_whole(format: str) -> None:
    if format == "I420":
        pytest.importorskip("av")
    noisy = noise(WIDTH * HEIGHT * 3).reshape(HEIGHT, WIDTH, 3)
    data = np.frombuffer(jpeg.encode_rgb(noisy, 95, "420"), np.uint8)
    whole, _ = filled("MJPG", None, format, data)
    cut, is_whole = filled("MJPG", None, format, data[: len(data) * 2 // 3])
    assert not is_whole
    assert np.array_equal(cut.planes[0][:8], whole.planes[0][:8])
    assert not np.array_equal(cut.planes[0], whole.planes[0])


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    """The thumbnail in the header of a picture that is cut off has an end marker of its own."""
    data, thumbnail = jpeg.encode_rgb(photo(), 98), jpeg.encode_rgb(photo()[:16, :16])
    header = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2, "big") + b"Exif\0\0" + thumbnail
    whole = data[:2] + header + data[2:]
    for end, is_whole in ((None, True), (-1, False), (-100, False)):
        assert filled("MJPG", None, "RGB", np.frombuffer(whole[:end], np.uint8))[1] is is_whole
    # Bytes that fill the space before a marker, and data that ends in its header.
    assert jpeg.is_whole(data[:2] + b"\xff\xff" + data[2:] + bytes(9))
    assert not any(jpeg.is_whole(whole[:end]) for end in range(len(whole)))


@pytest.mark.parametrize("format", ["RGB", "I420"])
@pytest.mark.parametrize("data", [bytes(100), b"\xff\xd8\xff", b"GIF89a" * 20], ids=["zeros", "start", "another"])
def test_what_is_no_jpeg_is_an_error(data: bytes, format: str) -> None:
    if format == "I420":
        pytest.importorskip("av")
    with pytest.raises(FormatError, match="JPEG picture"):
        filled("MJPG", None, format, np.frombuffer(data, np.uint8))


def test_a_jpeg_of_another_size_is_an_error() -> None:
    data = np.frombuffer(jpeg.encode_rgb(photo()[:40], 90), np.uint8)
    with pytest.raises(FormatError, match="a JPEG picture has 64x40 pixels instead of 64x48"):
        filled("MJPG", None, "RGB", data)


def test_motion_jpeg_without_huffman_tables_is_decoded() -> None:
    """USB cameras leave the tables out, because they are the ones of the JPEG standard."""
    data = jpeg.encode_rgb(photo(), 90)
    without = data
    while (at := without.find(b"\xff\xc4")) >= 0:
        without = without[:at] + without[at + 2 + int.from_bytes(without[at + 2 : at + 4], "big") :]
    assert len(without) < len(data) - 300
    wanted, _ = filled("MJPG", None, "RGB", np.frombuffer(data, np.uint8))
    assert np.array_equal(filled("MJPG", None, "RGB", np.frombuffer(without, np.uint8))[0].memory, wanted.memory)


def test_a_driver_with_too_few_bytes_is_told() -> None:
    with pytest.raises(
        SourceError, match="pictures have 100 bytes, but YUY2 at 64x48 with rows of 128 bytes needs 6144"
    ):
        filled("YUYV", "YUY2", "YUY2", noise(100))


@pytest.mark.parametrize(
    ("flip", "format", "width", "text"),
    [
        ("90", "RGB", 64, "cannot flip by '90'; use one of 180, horizontal, vertical"),
        ("180", "v210", 48, "cannot flip v210, because its pixels share bytes"),
        ("180", "YUY2", 63, "cannot flip YUY2 of odd width 63"),
    ],
)
def test_what_cannot_be_flipped_is_told(flip: str, format: str, width: int, text: str) -> None:
    with pytest.raises(SettingError, match=text):
        check_flip(flip, get_format(format), width)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        # Values: V4L2_COLORSPACE_…, V4L2_YCBCR_ENC_…, V4L2_QUANTIZATION_…, V4L2_XFER_FUNC_… in videodev2.h.
        ({"colorspace": 8}, "2:4:7:1"),
        ({"colorspace": 1}, "bt601"),
        ({"colorspace": 3}, "bt709"),
        ({"colorspace": 2}, "smpte240m"),
        ({"colorspace": 7}, "1:4:7:1"),
        ({"colorspace": 8, "quantization": 1}, "1:4:7:1"),
        ({"colorspace": 8, "ycbcr_enc": 2, "xfer_func": 1}, "bt709"),
        ({"colorspace": 10}, "2:6:5:7"),
        ({"colorspace": 0}, None),
        ({"colorspace": 11}, None),
    ],
)
def test_the_colours_of_a_driver_have_gstreamers_names(fields: dict[str, int], text: str | None) -> None:
    assert colorimetry_of(api.PixFormat(**fields), is_gray=False) == text


def test_gray_pictures_have_the_full_range_unless_the_driver_says_otherwise() -> None:
    assert colorimetry_of(api.PixFormat(colorspace=SRGB), is_gray=True) == "1:4:7:1"
    assert colorimetry_of(api.PixFormat(colorspace=SRGB, quantization=2), is_gray=True) == "2:4:7:1"


@pytest.mark.parametrize("colorimetry", ["bt601", "bt709", "1:4:7:1", "2:6:5:7", "smpte240m"])
def test_pictures_for_ffmpeg_carry_their_colorimetry(colorimetry: str) -> None:
    av = pytest.importorskip("av")
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuyv422")
    tag_colorimetry(picture, colorimetry)
    assert Scaler("I420", WIDTH, HEIGHT, picture).colorimetry == colorimetry


@pytest.mark.parametrize("format", ["YUY2", "UYVY", "YVYU"])
def test_pairs_of_pixels_of_an_odd_width_are_filled(format: str) -> None:
    """A file scaled to an odd width in YUY2 failed with an error of numpy, because its rows end with half a pair."""
    av = pytest.importorskip("av")
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, value in zip(picture.planes, (90, 120, 140), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    known = get_format(format)
    layout = known.tight_layout(37, 5)
    frame = Frame("GRAY8")
    frame.planes = known.views(np.zeros(layout.size, np.uint8), 37, 5, layout.strides, layout.offsets)
    Scaler(format, 37, 5, picture).filler(picture)(frame)  # type: ignore[arg-type]
    luma = format.index("Y")
    assert (abs(frame.planes[0][:, :, luma % 2].astype(int) - 90) <= 1).all()
