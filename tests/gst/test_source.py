"""iceoryx2src pushes frames in order, marks gaps, and copies before it runs out of loans."""

from __future__ import annotations

import itertools

import pytest

from gst_iceoryx2.contract import message
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.gst import scenes
from tests.gst.pairs import Stages, receive, receiver_of
from tests.gst.pictures import digest_of, rows_of
from tests.gst.remote import Stage
from tests.waiting import wait_until

DISCONT = 1 << 6
"""GST_BUFFER_FLAG_DISCONT. Source: gst/gstbuffer.h."""

SIZE = {"format": "GRAY8", "width": 40, "height": 30}


def publish(publisher: VideoFramePublisher, number: int) -> None:
    """Send picture `number` from this process."""
    publisher.publish(rows_of(**SIZE, number=number)[0], format="GRAY8", pts=number)


def sent(number: int) -> str:
    return digest_of(**SIZE, number=number)


def numbers_of(receiver: Stage, last: int) -> list[tuple[int, bool]]:
    """Return the frames up to number `last`: their numbers, and whether each is marked as a discontinuity."""
    seen: list[tuple[int, bool]] = []
    while not seen or seen[-1][0] != last:
        frame = receiver.pull()
        seen.append((frame["offset"], bool(frame["flags"] & DISCONT)))
    return seen


def gaps(seen: list[tuple[int, bool]]) -> list[bool]:
    """Return for each frame but the first whether a frame is missing before it."""
    return [after[0] != before[0] + 1 for before, after in itertools.pairwise(seen)]


@pytest.mark.proves("C6", "M7")
def test_a_frame_behind_a_gap_is_marked_and_what_is_missing_is_counted(stages: Stages, service: str) -> None:
    receiver = stages()
    receive(receiver, service, limits="max-buffers=1")
    with VideoFramePublisher(service) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        publish(publisher, 0)
        receiver.run(scenes.wait_for, element="src", prop="frames-received", value=1)
        publish(publisher, 1)
        receiver.run(scenes.wait_for, element="src", prop="frames-received", value=2)
        # The appsink is full, one frame waits before it, and ten wait in the buffer.
        for number in range(2, 40):
            publish(publisher, number)
        seen = numbers_of(receiver, 39)
        assert sum(gaps(seen)) == 1
        assert [marked for _, marked in seen[1:]] == gaps(seen)
        assert receiver.get("src", "frames-dropped") == 40 - len(seen)
        assert receiver.get("src", "frames-skipped") == 0


@pytest.mark.proves("M7")
def test_a_source_that_wants_the_newest_frame_skips_what_waits_before_it(stages: Stages, service: str) -> None:
    receiver = stages()
    receive(receiver, service, "leaky-type=downstream", limits="max-buffers=1")
    with VideoFramePublisher(service) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        publish(publisher, 0)
        receiver.run(scenes.wait_for, element="src", prop="frames-received", value=1)
        for number in range(1, 9):
            publish(publisher, number)
        seen = numbers_of(receiver, 8)
        # The first frame, at most one that waited before the appsink, and the newest one.
        assert len(seen) <= 3
        assert [marked for _, marked in seen[1:]] == gaps(seen)
        assert receiver.get("src", "frames-skipped") == 9 - len(seen)
        assert receiver.get("src", "frames-dropped") == 0


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.proves("M3")
def test_a_small_borrow_limit_means_copies_and_no_error(stages: Stages, service: str, limit: int) -> None:
    sender = stages()
    receiver = receiver_of(stages, service)
    sender.play(
        f"appsrc name=in format=time ! iceoryx2sink service={service} borrowed-max={limit} wait-for-connection=true"
    )
    for number in range(6):
        sender.push(**SIZE, number=number, pts=number)
        assert receiver.pull(keep=True)["digest"] == sent(number)
    assert receiver.get("src", "frames-copied") == 6 - (limit - 1)
    assert receiver.kept_digests() == [sent(number) for number in range(6)]


@pytest.mark.proves("C4", "M3")
def test_a_consumer_that_keeps_everything_gets_copies_when_the_loans_run_out(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    with VideoFramePublisher(service) as publisher, VideoFrameSubscriber(service) as other:
        publisher.wait_for_subscribers(2, timeout=60)
        for number in range(40):
            publish(publisher, number)
            frame = receiver.pull(keep=True)
            assert frame["digest"] == sent(number)
            assert frame["readonly"] == [number < 9]
            assert other.receive_blocking(60_000).offset is not None
        assert receiver.kept_digests() == [sent(number) for number in range(40)]
        assert receiver.get("src", "frames-copied") == 31
        receiver.release()
        wait_until(lambda: receiver.count_kept() == 0)
        publish(publisher, 40)
        assert receiver.pull()["readonly"] == [True]


def test_the_name_of_an_encoded_stream_is_refused_with_names_that_can_be_used(stages: Stages) -> None:
    receiver = stages()
    receiver.launch("iceoryx2src service=video/cam0@h264/frame/v2 ! fakesink")
    assert receiver.state("PAUSED") == "failure"
    debug = receiver.message(["error"])["debug"]
    assert message("name_of_packets", codec="h264") in debug
    assert message("packets_advice", source="cam0") in debug
