"""Coordinates in a rendition and in its source, with frames that crossed a service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.metas import encode_meta
from gst_iceoryx2._wire.stamp import Stamp, boot_id, read_stamp
from gst_iceoryx2.serve import Rendition, RenditionName, RenditionShape, rendition_meta
from gst_iceoryx2.video import (
    CustomMeta,
    VideoFrame,
    VideoFrameHeader,
    VideoFramePublisher,
    VideoFrameSubscriber,
    build_aux,
)
from gst_iceoryx2.video.rendition import RenditionMetas
from tests.conftest import Place
from tests.transport.raw import RawPublisher
from tests.waiting import arrived

SOURCE, SIZE = "video/cam 0/frame/v2", (1920, 1080)
Send = Callable[..., VideoFrame]


@pytest.fixture
def send(domain: Place) -> Iterator[Send]:
    """Send a frame of some size with metas, and return it as it arrives, without its pixels."""
    with VideoFramePublisher(SOURCE) as publisher, VideoFrameSubscriber(SOURCE) as subscriber:
        publisher.wait_for_subscribers(timeout=60)

        def send(width: int, height: int, *metas: CustomMeta) -> VideoFrame:
            publisher.publish(
                np.zeros((height, width), np.uint8), format="GRAY8", metas=metas, captured_at=5_000_000_000
            )
            frame = arrived(subscriber.receive_blocking(60_000))
            frame.release()
            return frame

        yield send


def shape_of(text: str) -> RenditionShape:
    name = RenditionName.parse(text)
    assert name is not None
    return name.shape(*SIZE, "GRAY8")


def made(send: Send, text: str) -> tuple[VideoFrame, Rendition]:
    """Return the frame of a source, and what a frame of its rendition tells."""
    shape, source = shape_of(text), send(*SIZE)
    rendition = Rendition.of(send(shape.width, shape.height, rendition_meta(source, SOURCE, shape)))
    assert rendition is not None
    return source, rendition


def test_the_worker_encodes_the_same_metas_frame_by_frame(stamped: Callable[..., VideoFrame]) -> None:
    shape, ids = shape_of("cam0@640x640"), (bytes(range(16)), bytes(16))
    metas = RenditionMetas(SOURCE, shape)
    for boot in ids:
        for publisher, sequence in ((1, 2), (1, 3), (None, 4), (2**64 - 1, None)):
            frame = stamped(boot, publisher=publisher, sequence=sequence)
            assert metas.encode(frame) == encode_meta(rendition_meta(frame, SOURCE, shape))


@pytest.mark.proves("D4")
def test_a_rendition_tells_which_frame_it_was_made_from(send: Send) -> None:
    source, rendition = made(send, "cam 0@640x640")
    assert rendition == Rendition(
        service=SOURCE,
        publisher=read_stamp(source.aux).publisher,
        sequence=source.sequence,
        captured_at=5_000_000_000,
        due_at=source.due_at,
        source_size=SIZE,
        source_rect=(0, 0, 1920, 1080),
        rect=(0, 140, 640, 360),
    )


@pytest.mark.parametrize(
    ("text", "corner", "in_source"),
    [
        # The middle of the first pixel of the picture lies 1.5 pixels from the edges of the source.
        ("cam0@640x640", (0, 140), (1, 1)),
        ("cam0@640x640+crop", (0, 0), (420.34375, 0.34375)),
        ("cam0@640x640+stretch", (0, 0), (1, 0.34375)),
        ("cam0@640x", (639, 359), (1918, 1078)),
        ("cam0@-GRAY8", (7, 9), (7, 9)),
    ],
)
def test_pixels_and_boxes_map_to_the_source_and_back(
    send: Send, text: str, corner: tuple[float, float], in_source: tuple[float, float]
) -> None:
    _, rendition = made(send, text)
    assert rendition.to_source(*corner) == pytest.approx(in_source)
    for point in (corner, (100, 200), (319.5, 250.25), (-3, 700)):
        assert rendition.from_source(*rendition.to_source(*point)) == pytest.approx(point)
    x, y, width, height = rendition.source_rect
    whole = (x, y, x + width, y + height)
    left, top, across, down = rendition.rect
    assert rendition.from_source_box(whole) == pytest.approx((left, top, left + across, top + down))
    box = (left + 10, top + 20, left + 30.5, top + 40)
    there = rendition.to_source_box(box)
    assert there is not None
    assert rendition.from_source_box(there) == pytest.approx(box)
    # A box has the edges of its pixels, half a pixel from their middle.
    scale = width / across, height / down
    middle = rendition.to_source(left + 10, top + 20)
    assert there[:2] == pytest.approx((middle[0] + 0.5 - scale[0] / 2, middle[1] + 0.5 - scale[1] / 2))


def test_a_bright_pixel_of_the_source_is_found_where_the_rendition_shows_it(send: Send) -> None:
    """The rendition is made by averaging, without the code under test."""
    _, rendition = made(send, "cam0@640x640")
    source = np.zeros(SIZE[::-1])
    source[700, 1001] = 9
    picture = np.zeros((640, 640))
    picture[140:500] = source.reshape(360, 3, 640, 3).mean(axis=(1, 3))
    y, x = np.unravel_index(picture.argmax(), picture.shape)
    assert rendition.to_source(int(x), int(y)) == pytest.approx((1001, 700), abs=1)
    assert rendition.from_source(1001, 700) == pytest.approx((x, y), abs=0.5)


def test_boxes_are_cut_to_the_picture(send: Send) -> None:
    _, padded = made(send, "cam0@640x640")
    assert padded.to_source_box((-50, 0, 320, 320)) == (0, 0, 960, 540)
    assert padded.to_source_box((0, 0, 640, 140)) is None
    assert padded.from_source_box((1900, 1000, 2000, 2000)) == pytest.approx((633.3333, 473.3333, 640, 500))
    _, cropped = made(send, "cam0@640x640+crop")
    assert cropped.from_source_box((0, 0, 420, 1080)) is None
    assert cropped.from_source_box((0, 0, 1920, 1080)) == (0, 0, 640, 640)


def test_a_frame_without_the_meta_is_no_rendition(send: Send) -> None:
    assert Rendition.of(send(*SIZE)) is None
    assert Rendition.of(send(*SIZE, CustomMeta("Iox2Other", {"service": SOURCE}))) is None


@pytest.fixture
def stamped(domain: Place) -> Iterator[Callable[..., VideoFrame]]:
    """Send a frame of a source with any stamp, and return it as it arrives."""
    raw = RawPublisher("stamped", 16 + SIZE[0] * SIZE[1])
    subscriber = VideoFrameSubscriber("stamped")

    def send(boot: bytes, **numbers: int | None) -> VideoFrame:
        aux = build_aux(None, [Stamp(boot, **numbers).record()])
        header = VideoFrameHeader(n_planes=1, aux_size=len(aux))
        header.width, header.height, header.stride[0], header.format_name = *SIZE, SIZE[0], "GRAY8"
        raw.send(header, bytes(SIZE[0] * SIZE[1]) + aux)
        return arrived(subscriber.receive_blocking(60_000))

    yield send
    subscriber.close()
    raw.close()


def test_a_source_of_another_boot_maps_nothing(send: Send, stamped: Callable[..., VideoFrame]) -> None:
    """Its service may be on another machine, and its times belong to another clock."""
    shape = shape_of("cam0@640x640")
    meta = rendition_meta(stamped(bytes(range(16)), publisher=1, sequence=2), SOURCE, shape)
    assert meta.fields["boot-id"] == "000102030405060708090a0b0c0d0e0f"
    assert Rendition.of(send(640, 640, meta)) is None


def test_a_source_of_unknown_boot_maps_without_times(send: Send, stamped: Callable[..., VideoFrame]) -> None:
    """Its times belong to an unknown clock."""
    frame = stamped(bytes(16), publisher=1, sequence=2, capture=3, due=4)
    rendition = Rendition.of(send(640, 640, rendition_meta(frame, SOURCE, shape_of("cam0@640x640"))))
    assert rendition is not None
    assert (rendition.publisher, rendition.sequence) == (1, 2)
    assert (rendition.captured_at, rendition.due_at) == (None, None)


def test_a_source_without_a_stamp_maps_without_an_identity(send: Send, stamped: Callable[..., VideoFrame]) -> None:
    rendition = Rendition.of(send(640, 640, rendition_meta(stamped(bytes(16)), SOURCE, shape_of("cam0@640x640"))))
    assert rendition is not None
    assert (rendition.publisher, rendition.sequence, rendition.captured_at, rendition.due_at) == (None,) * 4
    assert rendition.to_source(0, 140) == (1, 1)


def test_every_stamp_can_be_carried(send: Send, stamped: Callable[..., VideoFrame]) -> None:
    """Fields hold signed numbers: a stamp with larger ones ended the converter."""
    most = 2**64 - 2
    frame = stamped(boot_id(), publisher=most, sequence=most, capture=most, due=2**63 - 1)
    rendition = Rendition.of(send(640, 640, rendition_meta(frame, SOURCE, shape_of("cam0@640x640"))))
    assert rendition is not None
    assert (rendition.publisher, rendition.sequence) == (most, most)
    assert (rendition.captured_at, rendition.due_at) == (None, 2**63 - 1)


GOOD: dict[str, Any] = {
    "service": SOURCE,
    "boot-id": boot_id().hex(),
    "publisher": f"{1:016x}",
    "sequence": f"{2:016x}",
    "capture": 3,
    "due": 4,
    "source-size": (64, 32),
    "source-rect": (0, 0, 64, 32),
    "rect": (0, 4, 16, 8),
}
HOSTILE: list[dict[str, Any]] = [
    *({"service": value} for value in (5, None)),
    *({"boot-id": value} for value in (None, "", 0, "0" * 32, boot_id().hex().upper() + " ", boot_id().hex()[:-1])),
    *(
        {"source-size": value}
        for value in (None, 64, "64x32", (64,), (64, 32, 1), (64.0, 32.0), (40000, 40000), (0, 0))
    ),
    *({"source-size": (-64, -32)}, {"source-size": (True, True)}, {"source-size": ()}),
    *({"source-rect": value} for value in (None, (0, 0, 65, 32), (1, 0, 64, 32), (-1, 0, 64, 32), (0, 0, 0, 32))),
    *({"rect": value} for value in (None, (), (0, 0, 16, 0), (0, 0, -1, -1), (0, 0, 17, 16), (0, 16, 16, 1))),
    *(
        {"rect": value}
        for value in ((2**40, 0, 16, 16), (0, 0, 2**62, 2**62), ("0", "0", "1", "1"), (0.0, 0.0, 1.0, 1.0))
    ),
]


def test_values_that_contradict_the_frame_map_nothing(send: Send) -> None:
    """Any process can send the meta."""
    assert Rendition.of(send(16, 16, CustomMeta("Iox2Rendition", GOOD))) is not None
    for hostile in HOSTILE:
        fields = {name: value for name, value in (GOOD | hostile).items() if value is not None}
        assert Rendition.of(send(16, 16, CustomMeta("Iox2Rendition", fields))) is None, hostile


@pytest.mark.parametrize("value", ["", "xyz", "1" * 17, 5, -1, 0.5, (1, 2), True])
def test_an_identity_or_a_time_that_cannot_be_is_unknown(send: Send, value: Any) -> None:
    fields = GOOD | dict.fromkeys(("publisher", "sequence"), value)
    fields |= {} if value == 5 else dict.fromkeys(("capture", "due"), value)
    rendition = Rendition.of(send(16, 16, CustomMeta("Iox2Rendition", fields)))
    assert rendition is not None
    assert (rendition.publisher, rendition.sequence) == (None, None)
    assert (rendition.captured_at, rendition.due_at) == ((3, 4) if value == 5 else (None, None))


def test_the_last_meta_counts(send: Send) -> None:
    """A rendition of a rendition passes the first one's meta on, if its program does not remove it."""
    first, last = GOOD | {"sequence": f"{7:016x}"}, GOOD
    rendition = Rendition.of(send(16, 16, CustomMeta("Iox2Rendition", first), CustomMeta("Iox2Rendition", last)))
    assert rendition is not None
    assert rendition.sequence == 2


def test_the_end_of_a_stream_is_no_rendition(domain: Place) -> None:
    with VideoFramePublisher(SOURCE) as publisher, VideoFrameSubscriber(SOURCE) as subscriber:
        publisher.wait_for_subscribers(timeout=60)
        publisher.publish(np.zeros((16, 16), np.uint8), format="GRAY8", metas=[CustomMeta("Iox2Rendition", GOOD)])
        publisher.end_of_stream()
        assert Rendition.of(arrived(subscriber.receive_blocking(60_000))) is not None
        end = arrived(subscriber.receive_blocking(60_000))
        assert end.is_eos()
        assert Rendition.of(end) is None
