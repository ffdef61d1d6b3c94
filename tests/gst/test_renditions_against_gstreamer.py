"""Renditions look like the pictures of GStreamer's own scaler and converter."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("av")
gi = pytest.importorskip("gi")
gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
with warnings.catch_warnings():
    # The importer of PyGObject 3.42 (Debian 12) uses an interface that Python 3.11 deprecates.
    warnings.simplefilter("ignore", ImportWarning)
    from gi.repository import Gst, GstVideo

from benchmarks.scenery import scenery
from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2._wire.rendition import RenditionShape
from gst_iceoryx2.serve.converter import Converter, SourceShape
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from gst_iceoryx2.video.colour import to_rgb
from tests.conftest import Place

Gst.init(None)

SIZE = (640, 360)
LEAST_PSNR = 32
# GStreamer 1.24 has one element for both. The default method takes two samples to shrink each axis, which moves edges
# by up to 0.85 pixels at 3:2; "bilinear2" takes all of them.
CONVERT = "videoconvertscale" if Gst.ElementFactory.find("videoconvertscale") else "videoconvert ! videoscale"
CONVERT += " method=bilinear2"
CASES = [
    ("NV12", "RGB", (320, 320), (0, 70, 320, 180)),
    ("NV12", "I420", (426, 240), (0, 0, 426, 240)),
    ("YUY2", "BGR", (200, 300), (0, 0, 200, 300)),
    ("BGR", "RGB", (320, 320), (0, 70, 320, 180)),
    ("BGR", "NV12", (960, 540), (0, 0, 960, 540)),
    ("I420", "RGBA", (1280, 1280), (0, 280, 1280, 720)),
    ("P010_10LE", "NV12", (320, 180), (0, 0, 320, 180)),
    ("RGBA", "GRAY8", (320, 240), (0, 30, 320, 180)),
]


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test its own domain."""


def picture(format: str, *, has_edges: bool) -> np.ndarray:
    """Return the bytes of a scene, or of a white rectangle, with rows as GStreamer stores them."""
    known = get_format(format)
    info = GstVideo.VideoInfo()
    info.set_format(GstVideo.VideoFormat.from_string(format), *SIZE)
    pixels = np.zeros(info.size, np.uint8)
    views = known.views(pixels, *SIZE, info.stride[: known.n_planes], info.offset[: known.n_planes])
    for index, view in enumerate(views):
        is_chroma = format in ("NV12", "I420", "P010_10LE") and index
        samples = view.reshape(len(view), -1)
        # Chroma is half as strong as luma, as in real scenes.
        values = scenery(samples.shape[1], len(samples), index).astype(np.int64)
        if has_edges:
            rows, columns = np.indices(view.shape[:2])
            inside = (rows >= 90) & (rows < 270) & (columns >= 160) & (columns < 480)
            values = (128 if is_chroma else np.where(inside, 220, 40)) + 0 * rows
            values = (values[..., None] if view.ndim == 3 else values) + np.zeros(view.shape, np.int64)
            if format == "YUY2":
                values[..., 1] = 128
        elif is_chroma:
            values = 128 + (values - 128) // 2
        samples[...] = values.reshape(samples.shape) << (8 * (samples.itemsize - 1))
    return pixels


def of_gstreamer(format: str, data: bytes, shape: RenditionShape) -> np.ndarray:
    """Return the RGB picture of GStreamer's elements."""
    target, size = shape.format, (shape.width, shape.height)
    borders = shape.rect[2:] != size
    pipeline = Gst.parse_launch(
        f"appsrc name=source caps=video/x-raw,format={format},width={SIZE[0]},height={SIZE[1]},framerate=0/1,"
        f"pixel-aspect-ratio=1/1 ! {CONVERT} add-borders={borders} ! video/x-raw,format={target},width={size[0]},"
        f"height={size[1]},pixel-aspect-ratio=1/1 ! appsink name=sink sync=false"
    )
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    try:
        source.emit("push-buffer", Gst.Buffer.new_wrapped(data))
        sample = sink.emit("try-pull-sample", 20 * Gst.SECOND)
        assert sample is not None
        info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
        buffer = sample.get_buffer()
        pixels = buffer.extract_dup(0, buffer.get_size())
        colorimetry = sample.get_caps().get_structure(0).get_string("colorimetry")
    finally:
        pipeline.set_state(Gst.State.NULL)
    known = get_format(target)
    views = known.views(pixels, *size, info.stride[: known.n_planes], info.offset[: known.n_planes])
    return to_rgb(views, known, *size, colorimetry)


def of_converter(format: str, pixels: np.ndarray, shape: RenditionShape) -> np.ndarray:
    """Return the RGB picture of the converter."""
    known, made = get_format(format), get_format(shape.format)
    info = GstVideo.VideoInfo()
    info.set_format(GstVideo.VideoFormat.from_string(format), *SIZE)
    views = known.views(pixels, *SIZE, info.stride[: known.n_planes], info.offset[: known.n_planes])
    service = "video/scene/frame/v2"
    with VideoFramePublisher(service) as publisher, VideoFrameSubscriber(service) as subscriber:
        publisher.wait_for_subscribers(1, timeout=60)
        publisher.publish(views, format=format)
        frame = subscriber.receive_blocking(10_000)
        assert frame is not None
        with frame, VideoFramePublisher("video/small/frame/v2") as target:
            converter = Converter(shape, SourceShape.of(frame))
            loan = target.loan(shape.width, shape.height, shape.format)
            converter.fill(frame, loan)
            picture = to_rgb(loan.planes, made, shape.width, shape.height, converter.colorimetry)
            loan.discard()
    return picture


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def edges(line: np.ndarray) -> list[float]:
    """Return where a line of samples crosses the middle between black and white, between samples if need be."""
    values = line.astype(float) - (float(line.min()) + float(line.max())) / 2
    at = np.flatnonzero((values[:-1] < 0) != (values[1:] < 0))
    return [float(i + values[i] / (values[i] - values[i + 1])) for i in at]


@pytest.mark.parametrize(("source", "target", "size", "rect"), CASES, ids=str)
def test_a_rendition_looks_like_gstreamers(
    source: str, target: str, size: tuple[int, int], rect: tuple[int, int, int, int]
) -> None:
    pixels = picture(source, has_edges=False)
    shape = RenditionShape(*size, target, None, (0, 0, *SIZE), rect)
    ours, theirs = of_converter(source, pixels, shape), of_gstreamer(source, pixels.tobytes(), shape)
    assert psnr(ours, theirs) >= LEAST_PSNR


@pytest.mark.parametrize(("source", "target", "size", "rect"), CASES, ids=str)
def test_edges_are_where_gstreamer_puts_them(
    source: str, target: str, size: tuple[int, int], rect: tuple[int, int, int, int]
) -> None:
    pixels = picture(source, has_edges=True)
    shape = RenditionShape(*size, target, None, (0, 0, *SIZE), rect)
    ours, theirs = of_converter(source, pixels, shape), of_gstreamer(source, pixels.tobytes(), shape)
    left, top, width, height = rect
    for cut in ((top + height // 2, slice(left, left + width), 1), (slice(top, top + height), left + width // 2, 1)):
        found, expected = edges(ours[cut]), edges(theirs[cut])
        assert len(found) == len(expected) == 2
        assert np.abs(np.subtract(found, expected)).max() <= 0.5
