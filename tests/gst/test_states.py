"""State changes: blocked elements can be stopped, elements start and stop any number of times, and nothing leaks."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess

import pytest

from gst_iceoryx2.video import VideoFrameSubscriber
from tests.conftest import Place
from tests.gst import scenes
from tests.gst.pairs import Stages, receive, receiver_of, send, sender_of
from tests.gst.pictures import digest_of
from tests.gst.remote import run
from tests.waiting import arrived, wait_until

SIZE = {"format": "GRAY8", "width": 40, "height": 30}
TESTSRC = "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1"


def leaks(log: str) -> list[str]:
    """Return the objects that GStreamer's tracer found alive at the end."""
    return re.findall(r"object-alive, .*", log.split("object-removed, type-name", 1)[-1])


@pytest.mark.proves("L4")
def test_a_source_that_downstream_blocks_can_be_stopped(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), stages()
    receive(receiver, service, limits="max-buffers=1")
    for number in range(5):
        sender.push(**SIZE, number=number)
    receiver.run(scenes.wait_for, element="src", prop="frames-received", value=2)
    receiver.drop()


def test_both_ends_survive_fifty_rounds(stages: Stages, service: str) -> None:
    """Both ends run in one process, each with its own node, ports and threads. Nothing runs out."""
    stage = stages()
    stage.launch(f"{TESTSRC} ! iceoryx2sink name=sink service={service} sync=false", "there")
    stage.launch(f"iceoryx2src service={service} ! appsink name=out sync=false", "here")
    before = stage.run(scenes.resources)
    for number in range(50):
        for name in ("there", "here") if number % 2 else ("here", "there"):
            stage.state("PLAYING", name, timeout=0)
        if number % 10 == 0:
            assert stage.pull(name="here") is not None
        for name in ("there", "here") if number % 3 else ("here", "there"):
            stage.state("NULL", name, timeout=0)
            assert stage.message(["error"], name, timeout=0) is None
    after = stage.run(scenes.resources)
    # GLib keeps some threads for a while. The elements keep none.
    assert after["threads"] <= before["threads"] + 8
    assert after["ours"] == 0
    assert after["descriptors"] <= before["descriptors"] + 4


def test_storms_of_pauses_lose_neither_stream_nor_end(stages: Stages, service: str) -> None:
    sender, receiver = stages(), receiver_of(stages, service)
    sender.launch(
        f"{TESTSRC} ! queue ! iceoryx2sink name=sink service={service}".replace("true", "true num-buffers=300", 1)
    )
    sender.state("PLAYING")
    sender.run(scenes.wait_for, element="sink", prop="frames-sent", value=1)
    for _ in range(30):
        for state in ("PAUSED", "PLAYING"):
            sender.state(state, timeout=0)
            receiver.state(state, timeout=0)
    frames = receiver.run(scenes.collect)
    assert len(frames) > 10
    numbers = [frame["offset"] for frame in frames]
    assert numbers == sorted(set(numbers))
    assert sender.message(["error"], timeout=0) is None
    assert receiver.message(["error"], timeout=0) is None


@pytest.mark.parametrize("reason", ["nobody", "somebody slow"])
@pytest.mark.proves("L3")
def test_storms_of_pauses_do_not_deadlock_a_blocked_sink(stages: Stages, service: str, reason: str) -> None:
    """BaseSink holds one lock in `render` and for every state change, but calls `unlock` only before some changes."""
    sender = stages()
    sender.launch(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=48 ! queue ! iceoryx2sink name=sink "
        f"service={service} sync=false lossless=true wait-for-connection=true buffer-size=1"
    )
    with contextlib.ExitStack() as stack:
        if reason == "somebody slow":
            subscriber = stack.enter_context(VideoFrameSubscriber(service))
        sender.state("PLAYING")
        for _ in range(100):
            for state in ("PAUSED", "PLAYING"):
                sender.state(state, timeout=0)
        if reason == "somebody slow":
            seen = []
            while len(seen) < 20:
                frame = arrived(subscriber.receive_blocking(60_000))
                seen.append(frame.offset)
                frame.release()
            assert seen == list(range(20))
    sender.drop()


TRACED = {"GST_TRACERS": "leaks", "GST_DEBUG": "GST_TRACER:7", "GST_DEBUG_NO_COLOR": "1"}
RENDERED = "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48 ! tee name=t ! queue ! fakesink t. ! queue"


@pytest.mark.parametrize("properties", ["", "lossless=true", "aux-bytes=0"])
def test_a_publishing_pipeline_leaks_nothing(environment: dict[str, str], service: str, properties: str) -> None:
    line = f"{RENDERED} ! iceoryx2sink service={service} sync=false {properties}"
    done = run(["gst-launch-1.0", *line.split()], environment | TRACED)
    assert done.returncode == 0, done.stderr
    assert leaks(done.stderr) == []


def test_a_pipeline_that_is_interrupted_while_it_waits_leaks_nothing(
    environment: dict[str, str], domain: Place, service: str
) -> None:
    line = f"{RENDERED} ! iceoryx2sink service={service} sync=false wait-for-connection=true"
    process = subprocess.Popen(
        ["gst-launch-1.0", *line.split()], env=environment | TRACED, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    # Ctrl-C, once the publisher exists.
    wait_until(lambda: any(path.name.endswith(".data") for path in domain.shared_memory()))
    process.send_signal(signal.SIGINT)
    output, log = process.communicate(timeout=60)
    assert b"ERROR" not in output
    assert leaks(log.decode()) == []


def test_a_receiving_pipeline_leaks_nothing(stages: Stages, environment: dict[str, str], service: str) -> None:
    sender = stages()
    sender.play(f"{TESTSRC} ! iceoryx2sink service={service}")
    line = f"iceoryx2src service={service} num-buffers=40 ! queue ! videoconvert ! video/x-raw,format=RGB ! fakesink"
    done = run(["gst-launch-1.0", *line.split()], environment | TRACED)
    assert done.returncode == 0, done.stderr
    assert "Got EOS" in done.stdout
    assert leaks(done.stderr) == []


def test_a_frame_outlives_its_pipeline_and_its_publisher(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    for number in range(3):
        sender.push(**SIZE, number=number)
        receiver.pull(keep=True)
    expected = [digest_of(**SIZE, number=number) for number in range(3)]
    receiver.state("NULL", timeout=0)
    sender.kill()
    assert receiver.kept_digests() == expected
    send(sender_again := stages(), service, "")
    for number in range(40):
        sender_again.push(**SIZE, number=100 + number)
    assert receiver.kept_digests() == expected
    receiver.release()
