"""Frames of every format as JPEG pictures, compared with the SDK's own conversion to RGB."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.formats import FORMATS, get_format
from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2.errors import FormatError, UnsupportedViewError
from gst_iceoryx2.video import VideoFrame, VideoFrameHeader, VideoFramePublisher, VideoFrameSubscriber
from tests.pictures import padded
from tests.transport.raw import RawPublisher
from tests.waiting import arrived

pytestmark = pytest.mark.usefixtures("domain")

WIDTH, HEIGHT = 83, 47
COLORIMETRIES = (None, "bt601", "bt709", "bt2020", "1:3:5:1")
PACKED = ("RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR")


class Loop:
    """Sends a picture to itself and returns the received frame."""

    def __init__(self, service: str, colorimetry: str | None = None) -> None:
        caps = f"video/x-raw, colorimetry=(string){colorimetry}" if colorimetry else None
        self.publisher, self.subscriber = VideoFramePublisher(service, caps=caps), VideoFrameSubscriber(service)

    def frame(self) -> VideoFrame:
        return arrived(self.subscriber.receive_blocking(60_000))

    def close(self) -> None:
        self.publisher.close()
        self.subscriber.close()


@pytest.fixture
def loop(service: str) -> Iterator[Loop]:
    made = Loop(service)
    yield made
    made.close()


def smooth(format: str, seed: int) -> tuple[np.ndarray, ...]:
    """Return planes of one colour, not gray, in any format that is not packed into bits."""
    known = get_format(format)
    layout = known.tight_layout(WIDTH, HEIGHT)
    views = known.views(np.zeros(layout.size, np.uint8), WIDTH, HEIGHT, layout.strides, layout.offsets)
    values = np.random.default_rng(seed).uniform(0.3, 0.7, len(known.components) + 1)
    index = 0
    for view, plane in zip(views, known.planes, strict=True):
        parts = view.reshape(*view.shape[:2], -1)
        for channel in range(parts.shape[2]):
            bits, shift = known.bits[min(index, len(known.bits) - 1)], known.shift[min(index, len(known.shift) - 1)]
            if plane.group_pixels > 1:
                # Brightness and chroma alternate in one plane, so they get the same value.
                bits, shift, value = known.bits[0], known.shift[0], 0.45
            else:
                value = values[index]
            is_float = view.dtype.kind == "f"
            parts[..., channel] = value if is_float else np.uint32(value * ((1 << bits) - 1)) << shift
            index += 1
    return views


SMOOTH = [name for name, known in FORMATS.items() if known.kind not in ("tiled", "opaque") and not known.is_word]


@pytest.mark.parametrize("colorimetry", COLORIMETRIES)
def test_every_format_has_the_colours_that_to_rgb_has(service: str, colorimetry: str | None) -> None:
    loop = Loop(service, colorimetry)
    wrong = {}
    for seed, format in enumerate(SMOOTH):
        loop.publisher.publish(smooth(format, seed), format=format)
        with loop.frame() as frame:
            wanted, picture = frame.to_rgb().astype(int), jpeg.decode(jpeg.encode(frame, 97, "444")).astype(int)
        assert picture.shape == wanted.shape
        # If a row ends within a pair of pixels, its last chroma lies in the padding.
        if np.abs(picture - wanted)[:, :-3].max() > 8:
            wrong[format] = picture[0, 0], wanted[0, 0]
    loop.close()
    assert not wrong


@pytest.mark.parametrize("format", [*PACKED, "I420", "YV12", "NV12", "NV21", "Y444", "Y42B", "GRAY8", "YUY2", "UYVY"])
def test_rows_and_columns_stay_where_they_are(loop: Loop, format: str) -> None:
    """Coloured blocks in padded rows show swapped channels and shifted rows."""
    data, params = padded(format, WIDTH, HEIGHT)
    blocks = np.kron(np.random.default_rng(1).integers(40, 216, (6, 11), np.uint8), np.ones((8, 8), np.uint8))
    raw = np.frombuffer(data, np.uint8).copy()
    known = get_format(format)
    layout = known.tight_layout(WIDTH, HEIGHT, params.stride0)
    first = known.views(raw, WIDTH, HEIGHT, layout.strides, layout.offsets)[0]
    for view in known.views(raw, WIDTH, HEIGHT, layout.strides, layout.offsets):
        view[...] = 128
    pattern = blocks[:HEIGHT, :WIDTH]
    first[...] = pattern if first.ndim == 2 else pattern[..., None]
    if format in ("YUY2", "UYVY"):
        first[..., 1 if format == "YUY2" else 0] = 128
    loop.publisher.publish_frame(raw.tobytes(), params)
    with loop.frame() as frame:
        wanted, picture = frame.to_rgb().astype(int), jpeg.decode(jpeg.encode(frame, 95, "444")).astype(int)
    assert np.abs(picture - wanted).mean() < 3


def test_nothing_of_the_frame_is_held_afterwards(loop: Loop) -> None:
    loop.publisher.publish(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    frame = loop.frame()
    jpeg.encode(frame)
    frame.release()
    assert loop.subscriber.stats.held == 0


def test_tiles_have_no_picture_and_say_so(service: str) -> None:
    tiled = VideoFrameHeader()
    tiled.pts = tiled.dts = tiled.duration = tiled.offset = NONE_U64
    tiled.width, tiled.height, tiled.n_planes, tiled.format_name = 16, 8, 2, "NV12_64Z32"
    tiled.stride[:2], tiled.plane_offsets[:2] = [16, 16], [0, 128]
    raw = RawPublisher(service)
    with VideoFrameSubscriber(service) as subscriber:
        raw.send(tiled, bytes(192))
        frame = arrived(subscriber.receive_blocking(60_000))
        with frame, pytest.raises(UnsupportedViewError, match="NV12_64Z32"):
            jpeg.encode(frame)
    del frame
    raw.close()


def test_the_end_of_a_stream_has_no_picture(loop: Loop) -> None:
    loop.publisher.end_of_stream()
    with loop.frame() as frame, pytest.raises(FormatError, match="no picture"):
        jpeg.encode(frame)


@pytest.mark.parametrize("data", [b"", b"JFIF", b"\xff\xd8\xff\xd9", bytes(1000)])
def test_what_is_no_jpeg_picture_is_refused_with_its_size(data: bytes) -> None:
    with pytest.raises(FormatError, match=f"{len(data)} bytes"):
        jpeg.decode(data)


def test_a_damaged_picture_is_refused() -> None:
    whole = jpeg.encode_rgb(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    with pytest.raises(FormatError):
        jpeg.decode(whole[: len(whole) // 2])


def test_a_picture_that_is_larger_than_allowed_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(FormatError, match="100x50 has more than 4999"):
        jpeg.decode(jpeg.encode_rgb(np.zeros((50, 100, 3), np.uint8)), max_pixels=4999)
