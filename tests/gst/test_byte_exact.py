"""Frames of every format and of odd sizes cross between processes byte for byte, with their strides."""

from __future__ import annotations

import numpy as np
import pytest

from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2.video import FrameParams, VideoFramePublisher, VideoFrameSubscriber
from tests.gst import scenes
from tests.gst.pairs import Stages, receive, receiver_of, sender_of
from tests.gst.pictures import Layout, digest, digest_of, padded_layout, picture
from tests.waiting import arrived, wait_until

PADDED = ["I420", "NV12", "BGR", "GRAY16_LE", "YUY2", "P010_10LE", "RGBA"]
WIDTH, HEIGHT = 333, 177
# Whole tiles and whole groups of pixels in every format.
WHOLE = 768
SIZES = [[33, 17], [1, 1], [WHOLE, 256], [2, 2], [WIDTH, HEIGHT]]


@pytest.mark.proves("C2")
def test_a_padded_picture_keeps_its_bytes_and_strides(stages: Stages, service: str) -> None:
    """From sink to source and from sink to Python at the same time, one format after the other."""
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    with VideoFrameSubscriber(service) as subscriber:
        for number, format in enumerate(PADDED):
            layout = padded_layout(format, WIDTH, HEIGHT, 37, 128)
            assert sender.push(format, WIDTH, HEIGHT, number=number, pad=37, gap=128, pts=number) == "ok"
            frame = receiver.pull()
            assert (frame["format"], frame["digest"]) == (format, digest_of(format, WIDTH, HEIGHT, number))
            assert (tuple(frame["strides"]), tuple(frame["offsets"])) == (layout.strides, layout.offsets)
            with arrived(subscriber.receive_blocking(60_000)) as received:
                header = received.header
                strides, offsets = list(header.stride), list(header.plane_offsets)
                found = digest(received.pixels, format, WIDTH, HEIGHT, strides, offsets)
                assert (header.format_name, found) == (format, frame["digest"])
                planes = header.n_planes
                assert (tuple(strides[:planes]), tuple(offsets[:planes])) == (layout.strides, layout.offsets)


def test_a_padded_picture_from_python_keeps_its_bytes_and_strides(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    with VideoFramePublisher(service) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        for number, format in enumerate(PADDED):
            known = get_format(format)
            stride0 = known.row_bytes(0, WIDTH) // 16 * 16 + 64
            layout = known.tight_layout(WIDTH, HEIGHT, stride0)
            pixels = picture(format, WIDTH, HEIGHT, Layout(*layout), number)
            params = FrameParams(WIDTH, HEIGHT, format, known.n_planes, stride0, offset=number, pts=number)
            publisher.publish_frame(pixels, params)
            frame = receiver.pull()
            assert (frame["format"], frame["digest"]) == (format, digest_of(format, WIDTH, HEIGHT, number))
            assert (tuple(frame["strides"]), tuple(frame["offsets"])) == (layout.strides, layout.offsets)
            assert frame["offset"] == number


def has_spare_samples(format: str, width: int) -> bool:
    """Whether rows of `width` pixels end within a group of pixels. GStreamer writes undefined bytes there."""
    layout = get_format(format)
    if layout.kind in ("opaque", "tiled"):
        return True
    return layout.kind == "packed" and 2 * layout.row_bytes(0, width) != width * layout.row_bytes(0, 2)


@pytest.mark.proves("C1")
def test_every_format_that_gstreamer_makes_crosses_without_a_copy(stages: Stages, service: str) -> None:
    """One stream grows and shrinks, so that its memory is replaced while frames are on their way."""
    # Unused bits of odd rows and tiles are not written, so they differ between two pieces of memory.
    sender, receiver = stages(MALLOC_PERTURB_="85"), stages(MALLOC_PERTURB_="170")
    receive(receiver, service)
    formats = sender.run(scenes.formats_of, element="videotestsrc", pad="src")
    # GStreamer 1.22 reserves one byte less for odd rows of UYVP than it writes. The sink refuses such frames.
    formats.remove("UYVP")
    assert len(formats) > 90
    expected, vague = {}, set()
    for width, height in SIZES:
        made, again = (
            stage.run(scenes.still, formats=formats, width=width, height=height) for stage in (sender, receiver)
        )
        for format in formats:
            expected[format, width] = made[format]
            loose = has_spare_samples(format, width) and width != WHOLE
            if loose or made[format]["digest"] != again[format]["digest"]:
                vague.add((format, width))
    # GStreamer reserves more for the chroma tiles of this format than it writes.
    assert {format for format, width in vague if width == WHOLE} <= {"NV12_16L32S"}
    sender.play(
        f"videotestsrc {scenes.STILL} ! capsfilter name=caps caps=video/x-raw,format=I420,width=33,height=17 "
        f"! iceoryx2sink name=sink service={service} lossless=true sync=false wait-for-connection=true"
    )
    sender.run(scenes.parade, formats=formats, sizes=SIZES)
    frames = receiver.run(scenes.collect)
    for frame in frames:
        key = frame["format"], frame["width"]
        before = expected[key]
        for part in ("caps", "strides", "offsets", "size"):
            assert frame[part] == before[part], key
        assert frame["digest"] == before["digest"] or key in vague, key
    seen = {(frame["format"], frame["width"]) for frame in frames}
    assert len(seen) == len(formats) * len(SIZES)
    counts = [sender.get("sink", f"frames-{kind}") for kind in ("sent", "zero-copy", "copied", "dropped")]
    assert counts == [len(frames), len(frames), 0, 0]


def test_the_moving_pattern_moves(stages: Stages, service: str) -> None:
    """Without this, the tests above would not notice swapped frames."""
    stage = stages()
    made = stage.run(
        scenes.play,
        text=f"videotestsrc num-buffers=2 {scenes.MOVING} ! video/x-raw,format=I420,width=33,height=17",
        frames=2,
        to=f"iceoryx2sink name=sink service={service} sync=false",
    )
    assert made["frames"][0]["digest"] != made["frames"][1]["digest"]


@pytest.mark.proves("C5")
def test_a_buffer_of_any_memories_arrives_whole(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    sender = sender_of(stages, service)
    several, shifted = {"split": [1000, 7, 20_000]}, {"lead": 24}
    for number, memories in enumerate((several, shifted, several | shifted)):
        for pad in (0, 21):
            sender.push("I420", WIDTH, HEIGHT, number=number, pad=pad, **memories)
            frame = receiver.pull()
            assert frame["digest"] == digest_of("I420", WIDTH, HEIGHT, number), (memories, pad)
    wait_until(lambda: sender.get("sink", "frames-copied") == 6)


@pytest.mark.proves("C5")
def test_a_buffer_without_memory_is_no_frame_and_no_error(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    sender = sender_of(stages, service)
    sender.push("GRAY8", 32, 8, number=0)
    sender.run(scenes.push_nothing, caps="video/x-raw,format=GRAY8,width=32,height=8,framerate=30/1")
    sender.push("GRAY8", 32, 8, number=1)
    assert [receiver.pull()["digest"] for _ in range(2)] == [digest_of("GRAY8", 32, 8, n) for n in range(2)]
    assert sender.message(["error"], timeout=0) is None


def test_a_buffer_smaller_than_its_picture_is_dropped_and_counted(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    sender = sender_of(stages, service)
    sender.push("GRAY8", 32, 8, number=0)
    caps = "video/x-raw,format=GRAY8,width=32,height=8,framerate=30/1"
    sender.run(scenes.push_nothing, caps=caps, size=32 * 8 - 1)
    sender.push("GRAY8", 32, 8, number=1)
    assert [receiver.pull()["digest"] for _ in range(2)] == [digest_of("GRAY8", 32, 8, n) for n in range(2)]
    assert sender.get("sink", "frames-dropped") == 1
    wait_until(lambda: sender.get("sink", "frames-sent") == 2)


def test_the_lowest_rows_of_cropped_buffers_survive(stages: Stages, service: str) -> None:
    """videocrop moves the offsets of GstVideoMeta into the picture if downstream supports GstVideoMeta."""
    receiver = receiver_of(stages, service)
    sender = stages()
    crop = "videocrop left=6 top=4 right=10 bottom=2"
    source = f"videotestsrc num-buffers=3 {scenes.MOVING} ! video/x-raw,format=NV12,width={WIDTH},height={HEIGHT}"
    made = sender.run(
        scenes.play,
        text=f"{source} ! {crop}",
        frames=3,
        to=f"iceoryx2sink name=sink service={service} sync=false wait-for-connection=true",
    )
    for before in made["frames"]:
        after = receiver.pull()
        assert (after["width"], after["height"]) == (WIDTH - 16, HEIGHT - 6)
        assert after["digest"] == before["digest"]


@pytest.mark.parametrize(
    ("codec", "width", "height"),
    [
        ("avenc_mpeg4 bitrate=4000000 ! avdec_mpeg4", 333, 177),
        ("x264enc tune=zerolatency ! avdec_h264", 334, 178),
        ("jpegenc ! jpegdec", 333, 177),
        ("vp8enc deadline=1 ! vp8dec", 333, 177),
    ],
)
def test_what_decoders_make_arrives_as_they_made_it(
    stages: Stages, service: str, codec: str, width: int, height: int
) -> None:
    """Decoders ask for padded rows, push memory that they still read, or push frames with an offset."""
    receiver = receiver_of(stages, service)
    sender = stages()
    source = f"videotestsrc num-buffers=30 {scenes.MOVING} ! video/x-raw,format=I420,width={width},height={height}"
    made = sender.run(
        scenes.play,
        text=f"{source} ! {codec}",
        frames=30,
        to=f"iceoryx2sink name=sink service={service} sync=false wait-for-connection=true leaky-type=none",
    )
    digests = [receiver.pull()["digest"] for _ in made["frames"]]
    assert digests == [frame["digest"] for frame in made["frames"]]
    assert made["counts"]["sent"] == 30


@pytest.mark.proves("C2")
def test_padding_that_a_pool_user_asks_for_is_granted_without_a_copy(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    sender = sender_of(stages, service)
    answer = sender.run(
        scenes.push_from_pool, format="NV12", width=WIDTH, height=HEIGHT, padding=[3, 2, 6, 4], stride_align=7
    )
    assert answer["flow"] == "ok"
    assert all(stride % 8 == 0 and stride > WIDTH for stride in answer["strides"])
    assert receiver.pull()["digest"] == digest_of("NV12", WIDTH, HEIGHT, 4)
    frame = receiver.pull()
    assert frame["digest"] == digest_of("NV12", WIDTH, HEIGHT, 5)
    assert (frame["strides"], frame["offsets"]) == (answer["strides"], answer["offsets"])
    # The sink counts a frame after it has sent it.
    wait_until(lambda: sender.get("sink", "frames-zero-copy") == 1)


def test_the_digest_notices_what_it_should() -> None:
    """Swapped rows, planes, colours and frames, and a shift by one byte change the digest."""
    layout = padded_layout("I420", 32, 16)
    rows = np.frombuffer(picture("I420", 32, 16, layout), np.uint8)
    sound = digest(rows, "I420", 32, 16, layout.strides, layout.offsets)
    assert sound == digest_of("I420", 32, 16)
    swapped_planes = (layout.offsets[0], layout.offsets[2], layout.offsets[1])
    assert digest(rows, "I420", 32, 16, layout.strides, swapped_planes) != sound
    assert digest(np.roll(rows, 1), "I420", 32, 16, layout.strides, layout.offsets) != sound
    upside_down = rows.copy()
    upside_down[:512] = rows[:512].reshape(16, 32)[::-1].reshape(-1)
    assert digest(upside_down, "I420", 32, 16, layout.strides, layout.offsets) != sound
    assert digest_of("I420", 32, 16, 1) != sound
