"""Publishers and subscribers start and exit in any order, with other sizes, formats and QoS."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TypeVar

import pytest

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.gst import scenes
from tests.gst.pairs import Stages, receive, receiver_of, send, sender_of
from tests.gst.pictures import digest_of, rows_of
from tests.gst.remote import Stage
from tests.transport import raw
from tests.waiting import wait_until

SIZE = {"format": "GRAY8", "width": 40, "height": 30}


_Frame = TypeVar("_Frame")


def sent(number: int) -> str:
    return digest_of(**SIZE, number=number)


def send_with(
    sender: Stage, service: str, settings: str, number: int, receive: Callable[[float], _Frame | None]
) -> _Frame:
    """Send a picture, and return what `receive` returns for it within its timeout, in seconds.

    A sink waits a second for subscribers to leave a service with other settings. On a busy machine they are later; then
    the sink refuses the service, and is started again.
    """
    for _ in range(20):
        send(sender, service, f"wait-for-connection=true {settings}")
        sender.push(**SIZE, number=number)
        while (error := sender.message(["error"], timeout=0)) is None:
            if (frame := receive(0.5)) is not None:
                return frame
        assert f"service {service} exists with" in error["debug"].replace('"', ""), error
        sender.drop()
    raise AssertionError(error)


PICTURES = [
    ("GRAY8", 40, 30),
    ("NV12", 64, 48),
    ("RGBA", 333, 177),
    ("I420", 16, 16),
    ("BGR", 640, 480),
    ("GRAY8", 2, 2),
]
SETTINGS = [
    "",
    "buffer-size=3",
    "borrowed-max=2 max-subscribers=3",
    "lossless=true",
    "history-size=4",
    "safe-overflow=false buffer-size=20",
    "",
]


@pytest.mark.proves("C6")
def test_a_publisher_comes_back_with_other_pictures(stages: Stages, service: str) -> None:
    sender, receiver = stages(), receiver_of(stages, service)
    for number, (format, width, height) in enumerate(PICTURES):
        send(sender, service)
        sender.push(format, width, height, number=number)
        frame = receiver.pull()
        assert frame["digest"] == digest_of(format, width, height, number)
        assert frame["flags"] & 1 << 6, "a restart is a discontinuity"
        sender.drop()
    assert receiver.message(["error", "eos"], timeout=0) is None


@pytest.mark.proves("L1")
def test_a_publisher_comes_back_with_other_qos(stages: Stages, service: str) -> None:
    """Waiting subscribers do not keep the old service. Held frames would: an appsink keeps one."""
    sender, receiver = stages(), stages()
    receiver.play(f"iceoryx2src name=src service={service} ! fakesink sync=false enable-last-sample=false")
    with VideoFrameSubscriber(service) as subscriber:
        for number, settings in enumerate(SETTINGS, 1):
            send_with(
                sender, service, settings, number, lambda timeout: subscriber.receive_blocking(int(timeout * 1000))
            ).release()
            receiver.run(scenes.wait_for, element="src", prop="frames-received", value=number)
            sender.drop()
    assert receiver.message(["error", "eos"], timeout=0) is None


def test_a_held_frame_keeps_the_old_service_and_the_publisher_adopts_it(stages: Stages, service: str) -> None:
    receiver, sender = receiver_of(stages, service), stages()
    send(sender, service)
    sender.push(**SIZE)
    assert receiver.pull(keep=True)["digest"] == sent(0)
    sender.drop()
    send(sender, service, "wait-for-connection=true")
    sender.push(**SIZE, number=1)
    assert receiver.pull()["digest"] == sent(1)
    assert receiver.kept_digests() == [sent(0)]


@pytest.mark.proves("L1")
def test_an_appsink_keeps_the_service_by_the_frame_that_was_pulled_last_until_it_is_stopped(
    stages: Stages, service: str
) -> None:
    """GStreamer keeps the frame even with enable-last-sample=false. docs/gstreamer.md says what to do."""
    receiver, sender = receiver_of(stages, service), stages()
    send(sender, service)
    sender.push(**SIZE)
    assert receiver.pull()["digest"] == sent(0)
    sender.drop()
    send(sender, service, "wait-for-connection=true buffer-size=20")
    sender.push(**SIZE, number=1)
    error = sender.message(["error"])
    for word in (service, "buffer-size", "10", "20"):
        assert word in error["debug"], error
    sender.drop()
    receiver.state("NULL", timeout=0)
    send(sender, service, "wait-for-connection=true buffer-size=20")
    receiver.state("PLAYING", timeout=0)
    sender.push(**SIZE, number=2)
    assert receiver.pull()["digest"] == sent(2)


@pytest.mark.proves("L1")
def test_an_appsink_that_gets_copies_keeps_nothing(stages: Stages, service: str) -> None:
    receiver, sender = receiver_of(stages, service, "borrowed-max=1"), stages()
    for number, settings in enumerate(["", "buffer-size=20", "borrowed-max=2"]):
        assert send_with(sender, service, settings, number, receiver.pull)["digest"] == sent(number)
        sender.drop()
    assert receiver.get("src", "frames-copied") == 3


def test_receivers_come_and_go(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service, ""), stages()
    sender.push(**SIZE, number=99)
    for number in range(8):
        receive(receiver, service)
        wait_until(lambda: sender.get("sink", "num-clients") == 1)
        sender.push(**SIZE, number=number)
        # The newest frame from before comes first.
        wait_until(lambda: receiver.pull()["digest"] == sent(number))  # noqa: B023 (called at once)
        receiver.drop()
        wait_until(lambda: sender.get("sink", "num-clients") == 0)


def test_either_side_may_be_killed_at_any_time(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    for number in range(3):
        sender = sender_of(stages, service)
        sender.push(**SIZE, number=number)
        assert receiver.pull()["digest"] == sent(number)
        sender.kill()
    sender = sender_of(stages, service)
    sender.push(**SIZE, number=9)
    assert receiver.pull()["digest"] == sent(9)
    for number in range(3):
        receiver.kill()
        receiver = receiver_of(stages, service)
        wait_until(lambda: sender.get("sink", "num-clients") == 1)
        sender.push(**SIZE, number=10 + number)
        wait_until(lambda: receiver.pull()["digest"] == sent(10 + number))  # noqa: B023


class OtherHeader(ctypes.Structure):
    """A foreign header."""

    _fields_ = (("number", ctypes.c_uint64),)

    @staticmethod
    def type_name() -> str:
        return "OtherHeader"


@pytest.mark.parametrize("end", ["source", "sink"])
def test_a_service_of_another_kind_is_refused_with_what_it_carries(stages: Stages, service: str, end: str) -> None:
    node = raw.node()
    other = raw.video_service(node, service, OtherHeader)
    publisher = other.publisher_builder().create()
    stage = stages()
    if end == "source":
        receive(stage, service)
    else:
        send(stage, service, "")
        stage.push(**SIZE)
    error = stage.message(["error"])
    for word in (service, "OtherHeader", "VideoFrameHeader"):
        assert word in error["debug"], error
    stage.drop()
    del publisher, other, node


def test_python_and_pipelines_take_turns_as_publishers(stages: Stages, service: str) -> None:
    receiver, sender = receiver_of(stages, service), stages()
    for number in range(0, 6, 2):
        with VideoFramePublisher(service) as publisher:
            publisher.wait_for_subscribers(1, timeout=60)
            publisher.publish(rows_of(**SIZE, number=number)[0], format="GRAY8")
            assert receiver.pull()["digest"] == sent(number)
        send(sender, service)
        sender.push(**SIZE, number=number + 1)
        assert receiver.pull()["digest"] == sent(number + 1)
        sender.drop()
