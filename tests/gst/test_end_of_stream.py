"""Every receiver gets the end of a stream after its last frame."""

from __future__ import annotations

import pytest

from gst_iceoryx2.video import VideoFrameSubscriber
from tests.gst import scenes
from tests.gst.pairs import Stages, receive, receiver_of, send, sender_of
from tests.gst.pictures import digest_of
from tests.waiting import arrived

SIZE = {"format": "GRAY8", "width": 40, "height": 30}


def sent(number: int) -> str:
    return digest_of(**SIZE, number=number)


@pytest.mark.proves("L6")
def test_the_end_comes_after_the_last_frame(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    with VideoFrameSubscriber(service) as subscriber:
        # The sink waits half a second for its second reader. So the frames that are compared come after both connected.
        sender.push(**SIZE, number=99)
        assert receiver.pull()["digest"] == sent(99)
        arrived(subscriber.receive_blocking(60_000)).release()
        for number in range(3):
            sender.push(**SIZE, number=number)
        sender.end()
        assert sender.message(["eos", "error"])["type"] == "eos"
        sender.drop()
        assert [receiver.pull()["digest"] for _ in range(3)] == [sent(number) for number in range(3)]
        assert receiver.pull() == {"eos": True}
        assert receiver.message(["eos", "error"])["type"] == "eos"
        assert [frame.numpy_view().shape for frame in subscriber] == [(30, 40)] * 3


@pytest.mark.proves("L6")
def test_the_end_is_not_lost_when_the_buffers_overflow(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), stages()
    receive(receiver, service, limits="max-buffers=1")
    sender.push(**SIZE, number=99)
    assert receiver.pull()["digest"] == sent(99)
    for number in range(50):
        sender.push(**SIZE, number=number)
    sender.end()
    assert sender.message(["eos", "error"])["type"] == "eos"
    frames = receiver.run(scenes.collect)
    assert frames[-1]["digest"] == sent(49)
    # The buffer holds nine frames and the end. Frames that were pushed before the buffer was full come first.
    assert 9 <= len(frames) < 50
    assert receiver.get("src", "frames-dropped") == 50 - len(frames)


@pytest.mark.parametrize("joiner", ["pipeline", "python"])
@pytest.mark.proves("L6")
def test_a_late_joiner_gets_the_last_frame_and_the_end(stages: Stages, service: str, joiner: str) -> None:
    """The end replaced the last frame in the history, so a late joiner got only the end."""
    sender = sender_of(stages, service, "")
    for number in range(2):
        sender.push(**SIZE, number=number)
    sender.end()
    assert sender.message(["eos", "error"])["type"] == "eos"
    if joiner == "pipeline":
        for _ in range(2):
            receiver = receiver_of(stages, service)
            assert receiver.pull()["digest"] == sent(1)
            assert receiver.pull() == {"eos": True}
    else:
        with VideoFrameSubscriber(service) as subscriber:
            assert [frame.sequence for frame in subscriber] == [1]


def test_a_stream_can_begin_again_after_its_end(stages: Stages, service: str) -> None:
    sender, receiver = stages(), stages()
    for number in range(3):
        receive(receiver, service)
        send(sender, service)
        sender.push(**SIZE, number=number)
        sender.end()
        assert receiver.pull()["digest"] == sent(number)
        assert receiver.pull() == {"eos": True}
        sender.drop()
        receiver.drop()
