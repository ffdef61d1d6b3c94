"""RGB from the SDK equals RGB from videoconvert, for every format that the installed GStreamer knows."""

from __future__ import annotations

import warnings

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
from gst_iceoryx2.video.colour import to_rgb

Gst.init(None)

KNOWN = [
    name
    for name, fmt in FORMATS.items()
    if fmt.kind != "tiled" and GstVideo.VideoFormat.from_string(name) != GstVideo.VideoFormat.UNKNOWN
]

# videoconvert converts 8-bit YUV with 8 bits of precision, and wider samples with 16 bits.
TOLERANCE_8_BITS = 6
TOLERANCE = 2


def videoconvert(caps: str, data: bytes) -> np.ndarray:
    """Return the RGB picture of GStreamer, with repeated chroma and without dithering, as in the SDK."""
    pipeline = Gst.parse_launch(
        "appsrc name=source ! videoconvert dither=none chroma-mode=none ! "
        "video/x-raw,format=RGB,colorimetry=sRGB ! appsink name=sink sync=false"
    )
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    source.set_property("caps", Gst.Caps.from_string(caps))
    pipeline.set_state(Gst.State.PLAYING)
    try:
        source.emit("push-buffer", Gst.Buffer.new_wrapped(data))
        sample = sink.emit("try-pull-sample", 60 * Gst.SECOND)
        assert sample is not None, f"videoconvert gives nothing for {caps}"
        info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
        buffer = sample.get_buffer()
        rows = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8).reshape(info.height, -1)
        return rows[:, : info.width * 3].reshape(info.height, info.width, 3)
    finally:
        pipeline.set_state(Gst.State.NULL)


def picture_of(fmt: VideoFormat, size: int) -> np.ndarray:
    """Return random samples within their bits. GStreamer lets larger samples wrap around."""
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    if np.dtype(fmt.dtype).kind == "f":
        return np.random.default_rng(size).random(size // np.dtype(fmt.dtype).itemsize).astype(fmt.dtype).view(np.uint8)
    if fmt.dtype.endswith("u2") and not fmt.is_word:
        samples = (data.view(fmt.dtype) & ((1 << fmt.bits[0]) - 1)) << fmt.shift[0]
        return samples.astype(fmt.dtype).view(np.uint8)
    return data


def reliable_columns(fmt: VideoFormat, width: int) -> int:
    """Return how many columns GStreamer converts correctly.

    In the last pixel of an odd row of VYUY its unpack function swaps U and V, and with three samples a word it reads
    the last V of some odd widths out of the next row.
    """
    odd_words = fmt.name in ("NV12_10LE32", "NV16_10LE32") and -(-width // 2) * 2 > -(-width // 3) * 3
    return width - 1 if odd_words or (fmt.name == "VYUY" and width % 2) else width


@pytest.mark.parametrize("colorimetry", [None, "bt709", "1:4:0:0", "2:6:7:1"])
@pytest.mark.parametrize("name", KNOWN)
def test_rgb_is_that_of_videoconvert(name, colorimetry):
    fmt = FORMATS[name]
    coarse = max(fmt.bits) <= 8 and not fmt.is_rgb
    for width, height in ((32, 16), (33, 17), (4, 578)):
        if name == "UYVP" and width % 2:
            continue  # GStreamer's default stride cuts the last pair of pixels off
        info = GstVideo.VideoInfo()
        info.set_format(GstVideo.VideoFormat.from_string(name), width, height)
        pixels = picture_of(fmt, info.size)
        views = fmt.views(pixels, width, height, info.stride[: fmt.n_planes], info.offset[: fmt.n_planes])
        caps = f"video/x-raw,format={name},width={width},height={height},framerate=0/1"
        theirs = videoconvert(caps + (f",colorimetry={colorimetry}" if colorimetry else ""), pixels.tobytes())
        ours = to_rgb(views, fmt, width, height, colorimetry)
        columns = reliable_columns(fmt, width)
        difference = np.abs(ours.astype(int) - theirs)[:, :columns]
        assert difference.max() <= (TOLERANCE_8_BITS if coarse else TOLERANCE), (width, height)
        assert difference.mean() <= (2.5 if coarse else 0.6), (width, height)


@pytest.mark.parametrize("name", ["I420", "NV12", "YUY2", "BGR", "P010_10LE", "RGB16", "v210"])
def test_the_test_picture_comes_out_in_its_colours(name):
    """Convert the bars of videotestsrc to the format, with GStreamer's default settings."""
    pipeline = Gst.parse_launch(
        "videotestsrc pattern=smpte100 num-buffers=1 ! video/x-raw,format=BGRx,width=280,height=120 ! videoconvert ! "
        f"video/x-raw,format={name} ! appsink name=sink sync=false"
    )
    pipeline.set_state(Gst.State.PLAYING)
    try:
        sample = pipeline.get_by_name("sink").emit("try-pull-sample", 60 * Gst.SECOND)
        assert sample is not None
        info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
        buffer = sample.get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
        colorimetry = sample.get_caps().get_structure(0).get_string("colorimetry")
    finally:
        pipeline.set_state(Gst.State.NULL)
    fmt = FORMATS[name]
    views = fmt.views(data, 280, 120, info.stride[: fmt.n_planes], info.offset[: fmt.n_planes])
    picture = to_rgb(views, fmt, 280, 120, colorimetry)
    middles = picture[20, 20::40][:7].astype(int)
    bars = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255)]
    assert np.abs(middles - np.array(bars)).max() <= 8
