"""A reader that waits for its publisher gets the first frame, and every frame of a lossless publisher."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gi
import numpy as np
import pytest

gi.require_version("Gst", "1.0")
from gi.repository import Gst

from gst_iceoryx2.contract import seconds
from gst_iceoryx2.errors import ClosedError
from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.gst import scenes
from tests.gst.pairs import Stages
from tests.transport import raw

if TYPE_CHECKING:
    from tests.gst.stage import Stage

FRAMES = 200
ROUNDS = 5
# A publisher waits this long for its readers to connect, and before it closes its port. A round that takes longer tells
# nothing if frames are missing: the reader may not have run for so long.
PATIENCE = min(seconds("connect"), seconds("find"))
TRIES = 20
_numbers = itertools.count()
SIZE = "video/x-raw,format=GRAY8,width=64,height=48"


def wait_as_a_reader(stage: Stage, kind: str, service: str, properties: str = "") -> None:
    """Open a reader and collect its frames up to the end of the stream. `collected` returns them."""
    got: list[Any] = []
    if kind == "sdk":
        subscriber = VideoFrameSubscriber(service)

        def read() -> None:
            with subscriber, contextlib.suppress(ClosedError):
                for frame in subscriber:
                    got.append(frame.offset)
                    del frame
                got.append(subscriber.stats.dropped)

        thread = threading.Thread(target=read)
        thread.start()
        stage.kept[service] = [got, subscriber, thread]
    else:
        stage.launch(
            f"iceoryx2src name=src service={service} {properties} ! fakesink name=out sync=false signal-handoffs=true",
            service,
        )
        stage.element("out", service).connect("handoff", lambda _, buffer, __: got.append(buffer.offset))
        stage.state("PLAYING", service, timeout=0)
        stage.kept[service] = [got]


def collected(stage: Stage, service: str, timeout: float) -> list[int]:
    """Wait for the end of the stream. Return the numbers of the received frames, then how many were missed."""
    got, *reader = stage.kept[service]
    if reader:
        subscriber, thread = reader
        thread.join(timeout)
        subscriber.close()
        thread.join(60)
    else:
        message = stage.message(["eos", "error"], service, timeout)
        assert message is None or message["type"] == "eos"
        got.append(stage.get("src", "frames-dropped", service))
        stage.drop(service)
    return list(got)


def publish_and_go(stage: Stage, kind: str, service: str, count: int, properties: str = "lossless=true") -> float:
    """Publish without loss as fast as possible, end the stream, close the publisher, and return the seconds taken."""
    start = time.monotonic()
    if kind == "sdk":
        # A Python publisher cannot be lossless. Its buffer holds every frame.
        with VideoFramePublisher(service, qos=Qos(buffer_size=count + 1)) as publisher:
            for number in range(count):
                publisher.publish(np.full((48, 64), number % 256, np.uint8), format="GRAY8", offset=number)
            publisher.end_of_stream()
    else:
        sink = f"iceoryx2sink service={service} sync=false {properties}"
        stage.play(f"videotestsrc num-buffers={count} ! {SIZE} ! {sink}", service)
        message = stage.message(["eos", "error"], service, 60)
        assert message is not None
        assert message["type"] == "eos"
        stage.drop(service)
    return time.monotonic() - start


def check(reading: Stage, reader: str, frames: int, publish: Callable[..., float], demand: str = "") -> None:
    """Let a reader wait for a publisher, and check that it gets every frame."""
    for _ in range(TRIES):
        service = f"video/{next(_numbers)}"
        reading.run(wait_as_a_reader, kind=reader, service=service, properties=demand)
        is_late = publish(service=service) >= PATIENCE
        got = reading.run(collected, service=service, timeout=5 if is_late else 60, limit=150)
        if got == [*range(frames), 0]:
            return
        assert is_late, got
    pytest.fail(f"frames are missing in each of {TRIES} rounds, at last: {got}")


@pytest.mark.parametrize("publisher", ["sdk", "element"])
@pytest.mark.parametrize("reader", ["sdk", "element"])
@pytest.mark.proves("L2", "L14")
def test_a_reader_that_waits_misses_nothing(stages: Stages, publisher: str, reader: str) -> None:
    """The publisher notified once and did not wait: between 0 and 200 of 200 frames arrived."""
    sending, receiving = stages(), stages()
    # A requirement does not change when the source connects.
    demand = "safe-overflow=false" if publisher == "element" else ""
    publish = partial(sending.run, publish_and_go, kind=publisher, count=FRAMES, limit=90)
    for _ in range(ROUNDS):
        check(receiving, reader, FRAMES, publish, demand)


@pytest.mark.parametrize("publisher", ["sdk", "element"])
@pytest.mark.proves("L14")
def test_five_frames_at_once_arrive_in_the_same_process(stages: Stages, publisher: str) -> None:
    stage = stages()
    for _ in range(ROUNDS):
        for reader in ("element", "sdk"):
            check(stage, reader, 5, partial(stage.run, publish_beside, kind=publisher, limit=90))


def publish_beside(stage: Stage, kind: str, service: str) -> float:
    """Publish five frames as `publish_and_go` does, in a pipeline that is not kept in the stage."""
    if kind == "sdk":
        return publish_and_go(stage, kind, service, 5)
    start = time.monotonic()
    pipeline = Gst.parse_launch(f"videotestsrc num-buffers=5 ! {SIZE} ! iceoryx2sink service={service} sync=false")
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    assert message is not None
    assert message.type == Gst.MessageType.EOS
    pipeline.set_state(Gst.State.NULL)
    return time.monotonic() - start


@pytest.mark.parametrize("properties", ["", "lossless=true"])
@pytest.mark.proves("L14")
def test_a_sink_that_waits_for_a_listener_which_does_not_connect_can_be_stopped(
    stages: Stages, service: str, properties: str
) -> None:
    listener = raw.event_service(raw.node(), service).listener_builder().create()
    for state in ("NULL", "PAUSED"):
        sender = stages()
        sink = f"iceoryx2sink name=sink service={service} sync=false {properties}"
        sender.play(f"videotestsrc is-live=true ! {SIZE} ! {sink}")
        sender.state(state, timeout=0)
        sender.drop()
    del listener


def hold_the_start(stage: Stage) -> None:
    """Hold the source's thread, as a busy machine does, before it receives anything."""
    may_start = threading.Event()

    def hold(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        if info.get_event().type == Gst.EventType.STREAM_START:
            may_start.wait(60)
        return Gst.PadProbeReturn.OK

    stage.element("src").get_static_pad("src").add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, hold)
    stage.kept["start"] = [may_start]


def let_it_start(stage: Stage) -> None:
    """Release the source's thread."""
    stage.kept["start"][0].set()


@pytest.mark.proves("L14")
def test_a_source_whose_thread_runs_late_skips_nothing(stages: Stages, service: str) -> None:
    """It skipped all frames but the newest when it connected, as after a pause."""
    reader = stages()
    reader.launch(f"iceoryx2src name=src service={service} ! appsink name=out sync=false")
    reader.run(hold_the_start)
    reader.state("PLAYING", timeout=0)
    with VideoFramePublisher(service) as publisher:
        for number in range(6):
            publisher.publish(np.full((48, 64), number, np.uint8), format="GRAY8", offset=number)
            if number == 0:
                # Elements downstream may ask for caps at any time. The answer needs a frame, so the source connects.
                reader.run(scenes.query_caps, element="src", pad="src")
        reader.run(let_it_start)
        assert [reader.pull()["offset"] for _ in range(6)] == list(range(6))
    assert reader.get("src", "frames-skipped") == 0
