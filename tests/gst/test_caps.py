"""Caps follow the frames: they change in mid-stream and keep every field."""

from __future__ import annotations

import pytest

from gst_iceoryx2._wire.caps import parse_caps
from gst_iceoryx2.video import FrameParams, VideoFramePublisher, VideoFrameSubscriber
from tests.gst import scenes
from tests.gst.pairs import Stages, receiver_of, sender_of
from tests.gst.pictures import digest_of, padded_layout, picture
from tests.gst.remote import Stage
from tests.waiting import arrived

FULL = (
    "framerate=(fraction)30000/1001, pixel-aspect-ratio=(fraction)12/11, interlace-mode=(string)interleaved, "
    "field-order=(string)top-field-first, colorimetry=(string)bt601, chroma-site=(string)mpeg2, "
    "multiview-mode=(string)mono"
)


@pytest.mark.proves("C1")
def test_frames_grow_and_shrink_while_others_are_held(stages: Stages, service: str) -> None:
    sizes = [(64, 48), (333, 177), (1, 1), (1280, 720), (64, 48), (640, 480), (2, 900)]
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    for number, (width, height) in enumerate(sizes):
        for format in ("NV12", "BGR"):
            sender.push(format, width, height, number=number)
            frame = receiver.pull(keep=True)
            assert (frame["format"], frame["width"], frame["height"]) == (format, width, height)
            assert frame["digest"] == digest_of(format, width, height, number)
    expected = [digest_of(f, w, h, number) for number, (w, h) in enumerate(sizes) for f in ("NV12", "BGR")]
    assert receiver.kept_digests() == expected


@pytest.mark.proves("C4")
def test_every_field_of_the_caps_survives(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    with VideoFrameSubscriber(service) as subscriber:
        sender.push("I420", 320, 240, caps=FULL)
        caps = receiver.pull()["caps"]
        expected = parse_caps(f"video/x-raw, format=(string)I420, width=(int)320, height=(int)240, {FULL}")
        assert parse_caps(caps) == expected
        frame = arrived(subscriber.receive_blocking(60_000))
        assert parse_caps(frame.parse_aux().caps or "") == expected


def test_a_field_that_no_reader_accepts_is_left_out_of_the_caps(stages: Stages, service: str) -> None:
    """Otherwise every reader would refuse every frame of this publisher."""
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    with VideoFrameSubscriber(service) as subscriber:
        sender.push(
            "I420", 320, 240, caps="framerate=(fraction)30/1, nested=(int)< < 1, 2 >, < 3 > >, flat=(int)< 1, 2 >"
        )
        assert "flat=(int)< 1, 2 >" in receiver.pull()["caps"]
        frame = arrived(subscriber.receive_blocking(60_000))
        caps = parse_caps(frame.parse_aux().caps or "").fields
        assert caps["flat"] == (1, 2)
        assert "nested" not in caps


def test_caps_may_change_without_the_picture(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    for rate in ("25/1", "50/1", "25/1"):
        sender.push("I420", 64, 48, caps=f"framerate=(fraction){rate}")
        assert f"framerate=(fraction){rate}" in receiver.pull()["caps"]


@pytest.mark.proves("C2")
def test_downstream_that_knows_no_video_meta_gets_default_strides(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service, video_meta=False)
    for number, format in enumerate(["I420", "NV12", "BGR", "GRAY16_LE", "YUY2", "P010_10LE", "RGBA", "v210"]):
        sender.push(format, 333, 177, number=number, pad=64, gap=64)
        frame = receiver.pull()
        assert frame["digest"] == digest_of(format, 333, 177, number)
        plain = receiver.run(scenes.default_layout_of, format=format, width=333, height=177)
        assert (frame["strides"], frame["offsets"], frame["size"]) == (
            plain["strides"],
            plain["offsets"],
            plain["size"],
        )
    assert receiver.get("src", "frames-copied") == 8


@pytest.mark.proves("C2")
def test_default_strides_cost_no_copy_anywhere(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service, video_meta=False)
    sender.push("I420", 333, 177, meta=False)
    frame = receiver.pull()
    assert frame["digest"] == digest_of("I420", 333, 177)
    assert frame["readonly"] == [True]
    assert receiver.get("src", "frames-copied") == 0


# Rows without padding: 333 and 167 bytes where GStreamer has 336 and 168, 966 bytes where it has 968.
ODD = [("I420", 333, 177), ("NV12", 333, 178), ("BGR", 322, 240)]
PLAIN = "appsink name={} sync=false enable-last-sample=false"


class Tight:
    """Publishes pictures whose rows have no padding, and checks what a stage receives."""

    def __init__(self, publisher: VideoFramePublisher, receiver: Stage, picture: tuple[str, int, int]) -> None:
        self.publisher, self.receiver, self.picture = publisher, receiver, picture
        self.tight = padded_layout(*picture)
        format, width, height = picture
        self.default = receiver.run(scenes.default_layout_of, format=format, width=width, height=height)
        self.number = 0

    def check(self, **sinks: bool) -> None:
        """Send a frame and check it in each sink: with its own rows, or with GStreamer's if the value is true."""
        self.number += 1
        data = picture(*self.picture, self.tight, self.number)
        self.publisher.publish_frame(data, FrameParams(*self.picture[1:], self.picture[0]))
        for sink, is_default in sinks.items():
            frame = self.receiver.pull(element=sink)
            assert frame["digest"] == digest_of(*self.picture, self.number), (sink, self.number)
            if is_default:
                assert (frame["strides"], frame["size"]) == (self.default["strides"], self.default["size"]), sink
            else:
                assert frame["strides"] == list(self.tight.strides), sink

    def copied(self) -> int:
        copied: int = self.receiver.get("src", "frames-copied")
        return copied


@pytest.mark.parametrize("picture", ODD, ids=lambda picture: picture[0])
@pytest.mark.proves("C2")
def test_a_branch_that_reads_other_rows_is_seen_when_it_comes_and_when_it_goes(
    stages: Stages, service: str, picture: tuple[str, int, int]
) -> None:
    """Frames were sheared and too short in a branch that was added later. Copying did not end with the branch."""
    receiver = stages()
    receiver.launch(f"iceoryx2src name=src service={service} ! tee name=tee ! {PLAIN.format('out')}")
    receiver.take_video_meta()
    receiver.state("PLAYING", timeout=0)
    with VideoFramePublisher(service) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        tight = Tight(publisher, receiver, picture)
        tight.check(out=False)
        assert tight.copied() == 0
        # The source already waits for a frame. This frame must be correct.
        receiver.run(scenes.add_branch, tee="tee", text=PLAIN.format("late"))
        for _ in range(3):
            tight.check(out=True, late=True)
        receiver.run(scenes.remove_branch, tee="tee", element="late")
        for _ in range(3):
            tight.check(out=False)
        assert tight.copied() == 3
        receiver.run(scenes.add_branch, tee="tee", text=PLAIN.format("reader"), video_meta=True)
        tight.check(out=False, reader=False)
        assert tight.copied() == 3


@pytest.mark.parametrize("picture", ODD, ids=lambda picture: picture[0])
@pytest.mark.proves("C2")
def test_an_element_that_is_exchanged_behind_a_queue_gets_the_rows_that_it_reads(
    stages: Stages, service: str, picture: tuple[str, int, int]
) -> None:
    receiver = stages()
    receiver.launch(f"iceoryx2src name=src service={service} ! queue name=queue ! {PLAIN.format('a')}")
    receiver.take_video_meta("a")
    receiver.state("PLAYING", timeout=0)
    with VideoFramePublisher(service) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        tight = Tight(publisher, receiver, picture)
        tight.check(a=False)
        receiver.run(scenes.exchange, behind="queue", element="a", text=PLAIN.format("b"), video_meta=False)
        for _ in range(3):
            tight.check(b=True)
        receiver.run(scenes.exchange, behind="queue", element="b", text=PLAIN.format("c"), video_meta=True)
        for _ in range(3):
            tight.check(c=False)
        assert tight.copied() == 3
