"""Unusual publishers: caps that change with every frame, numbers such as NaN, a publisher that is killed."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._wire.stamp import Stamp, boot_id
from gst_iceoryx2.video import CustomMeta, VideoFramePublisher, VideoFrameSubscriber, build_aux
from tests.damage import sound_frame
from tests.gst.conftest import Place
from tests.gst.pairs import Stages, receiver_of, sender_of
from tests.gst.pictures import digest_of
from tests.transport.raw import RawPublisher
from tests.waiting import arrived, wait_until

ODD_NUMBERS = "a=(double)nan, b=(double)inf, c=(double)-inf, d=(string)nan, e=(double)-0, f=(double)1e-320"


@pytest.mark.proves("C1", "H6")
def test_caps_that_change_with_every_frame(stages: Stages, service: str, domain: Place) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    formats, sizes = ["NV12", "BGR", "I420", "GRAY16_LE", "v210"], [(64, 48), (333, 177), (2, 1), (640, 360)]
    segments = set()
    for number in range(120):
        format, (width, height) = formats[number % 5], sizes[number % 4]
        caps = f"framerate=(fraction){number + 1}/1"
        sender.push(format, width, height, number=number, caps=caps)
        frame = receiver.pull()
        assert (frame["format"], frame["width"], frame["height"]) == (format, width, height)
        assert caps in frame["caps"]
        assert frame["digest"] == digest_of(format, width, height, number)
        segments.add(sum(1 for _ in Path("/dev/shm").glob(f"{domain.prefix}*.data")))
    # A larger frame replaces the memory. The old memory is freed with its last frame.
    assert max(segments) <= 2


@pytest.mark.proves("H7")
def test_nan_and_infinity_cross_in_both_directions(stages: Stages, service: str, environment: dict[str, str]) -> None:
    sender = sender_of(stages, service)
    with VideoFrameSubscriber(service) as subscriber:
        sender.push("GRAY8", 16, 16, custom_metas={"AimPoint": ODD_NUMBERS})
        frame = arrived(subscriber.receive_blocking(60_000))
        (meta,) = frame.metas
        assert isinstance(meta, CustomMeta)
        fields = dict(meta.fields)
    assert math.isnan(fields.pop("a"))
    assert math.copysign(1, fields["e"]) == -1
    assert fields == {"b": math.inf, "c": -math.inf, "d": "nan", "e": 0.0, "f": 1e-320}

    receiver = receiver_of(stages, "back")
    with VideoFramePublisher("back") as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        odd = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": "nan", "e": -0.0, "f": 1e-320}
        publisher.publish(np.zeros((16, 16), np.uint8), format="GRAY8", metas=[CustomMeta("AimPoint", odd)])
        metas = {name: text for name, text, _ in receiver.pull()["metas"]}
        text = metas["AimPoint"]
    assert "a=(double)nan" in text
    assert "b=(double)inf" in text
    assert "c=(double)-inf" in text
    assert "d=(string)nan" in text


@pytest.mark.proves("H8")
def test_unknown_metas_are_omitted_and_known_metas_are_received(
    stages: Stages, service: str, environment: dict[str, str]
) -> None:
    publisher = RawPublisher(service, buffer_size=10)
    receiver = receiver_of(stages, service)
    header, size = sound_frame("GRAY8", 16, 16)
    unknown = struct.pack("<II", 10 + 16 + 5, 16) + b"SomebodysOwnMeta" + bytes([0, 9]) + b"\xff\0\xff\0\xff"
    blob = build_aux(None, [Stamp(boot_id(), 7, 3, capture=2, due=1).record(), unknown, unknown])
    header.aux_size = len(blob)
    for _ in range(3):
        publisher.send(header, bytes(size) + blob)
        frame = receiver.pull()
        assert [time for name, _, time in frame["metas"] if name == "GstReferenceTimestampMeta"] == [1, 2]
        assert "SomebodysOwnMeta" not in {name for name, _, _ in frame["metas"]}
    assert receiver.get("src", "frames-invalid") == 0
    publisher.close()


BEGIN_AND_WAIT = """
import sys, time
from gst_iceoryx2.video import VideoFramePublisher
publisher = VideoFramePublisher(sys.argv[1])
publisher.wait_for_subscribers(1, timeout=60)
for number in range(5):
    with publisher.loan(64, 48) as loan:
        loan.numpy_view()[...] = number
loans = [publisher.loan(64, 48) for _ in range(3)]
for loan in loans:
    loan.__enter__().numpy_view()[...] = 99
print("in the middle", flush=True)
time.sleep(60)
"""


@pytest.mark.proves("L8", "H5")
def test_a_publisher_that_dies_with_loans_in_its_hands(
    stages: Stages, service: str, environment: dict[str, str]
) -> None:
    receiver = receiver_of(stages, service)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", BEGIN_AND_WAIT, service], stdout=subprocess.PIPE, env=environment
        ) as publisher:
            assert publisher.stdout is not None
            assert publisher.stdout.readline() == b"in the middle\n"
            seen = [receiver.pull(keep=True) for _ in range(5)]
            publisher.kill()
            # Frames that were sent are received, and no other ones.
            assert receiver.pull(timeout=0.3) is None
        assert len({frame["digest"] for frame in seen}) == 5
    assert receiver.kept_digests() == [frame["digest"] for frame in seen] * 3
    receiver.release()


@pytest.mark.proves("L8")
def test_a_pipeline_that_dies_with_frames_on_their_way(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service, "on-disconnect=wait")
    for _ in range(3):
        sender = stages()
        # The queue is full of loans, and one frame is being sent.
        sender.play(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=100/1 "
            f"! queue min-threshold-buffers=5 ! iceoryx2sink name=sink service={service}"
        )
        assert all(receiver.pull() is not None for _ in range(10))
        sender.kill()
        before = time.monotonic()
        while receiver.pull(timeout=0.3) is not None:
            assert time.monotonic() < before + 60
    # The next publisher removes the files of the dead ones.
    last = sender_of(stages, service)
    last.push("GRAY8", 16, 16)
    assert receiver.pull()["width"] == 16


@pytest.mark.parametrize("policy", ["wait", "eos", "error"])
@pytest.mark.proves("L7")
def test_a_killed_publisher_is_a_disconnect(stages: Stages, service: str, policy: str) -> None:
    receiver = receiver_of(stages, service, f"on-disconnect={policy}")
    sender = sender_of(stages, service)
    sender.push("GRAY8", 16, 16)
    assert receiver.pull() is not None
    sender.kill()
    if policy == "eos":
        wait_until(lambda: receiver.pull(timeout=0.5) == {"eos": True})
    if policy == "error":
        message = receiver.message(["error"])
        assert message is not None
        assert service in message["debug"] + message["text"]
    if policy == "wait":
        assert receiver.message(["error", "eos"], timeout=2) is None
        again = sender_of(stages, service)
        again.push("GRAY8", 16, 16)
        assert receiver.pull() is not None
