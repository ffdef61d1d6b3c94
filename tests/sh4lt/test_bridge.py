"""A bridge between a service and a path carries every pixel with one copy."""

from __future__ import annotations

import logging
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2.bridge import Bridge
from gst_iceoryx2.sh4lt import Follower, Frame, Writer
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place
from tests.sh4lt.conftest import on_tmpfs
from tests.waiting import wait_until

SERVICE = "video/stage/frame/v2"
CAPS = "video/x-raw, format=(string){}, width=(int){}, height=(int){}, framerate=(fraction)30/1"
pytestmark = on_tmpfs


@contextmanager
def running(source: str, target: str) -> Iterator[list[int]]:
    """Runs a bridge in a thread; when it has ended, the list holds the number of frames that passed."""
    bridge, counts = Bridge(source, target), []
    thread = threading.Thread(target=lambda: counts.append(bridge.run().passed))
    thread.start()
    try:
        yield counts
    finally:
        bridge.stop()
        thread.join()


def noise(format: str, width: int, height: int) -> list[np.ndarray]:
    shapes = {
        "RGBA": [(height, width, 4)],
        "BGR": [(height, width, 3)],
        "I420": [(height, width)] + 2 * [((height + 1) // 2, (width + 1) // 2)],
    }[format]
    random = np.random.default_rng(11)
    return [random.integers(0, 256, shape, np.uint8) for shape in shapes]


@pytest.mark.parametrize("format", ["RGBA", "BGR", "I420"])
@pytest.mark.proves("S6")
def test_from_a_service_to_a_path_every_pixel_arrives(path: Path, domain: Place, format: str) -> None:
    planes = noise(format, 33, 17)
    with (
        VideoFramePublisher(SERVICE) as publisher,
        Follower(path) as follower,
        running(SERVICE, f"sh4lt:{path}") as counts,
    ):
        publisher.wait_for_subscribers(1, timeout=60)
        publisher.publish(planes[0] if len(planes) == 1 else planes, format=format)
        # The path exists from the first frame, which no reader received.
        wait_until(lambda: (follower.read(0), follower.is_connected)[1])
        frame = None
        while frame is None:
            publisher.publish(planes[0] if len(planes) == 1 else planes, format=format)
            frame = follower.read(0.2)
        assert frame.caps is not None
        assert [frame.caps.fields[key] for key in ("format", "width", "height")] == [format, 33, 17]
        assert all(map(np.array_equal, frame.planes, planes))
    # The reader may have connected before the first frame was written, and then this frame is the one that it has read.
    assert counts[0] >= 1


@pytest.mark.parametrize("format", ["RGBA", "BGR", "I420"])
def test_from_a_path_to_a_service_every_pixel_arrives_with_its_time(path: Path, domain: Place, format: str) -> None:
    planes = noise(format, 33, 17)
    layout = {"RGBA": 33 * 17 * 4, "BGR": 100 * 17, "I420": 1008}[format]
    caps = CAPS.format(format, 33, 17)
    whole = np.zeros(layout, np.uint8)
    target = whole.view()
    for view, plane in zip(Frame(target, caps).planes, planes, strict=True):
        view[...] = plane
    with (
        Writer(path, caps) as writer,
        VideoFrameSubscriber(SERVICE) as subscriber,
        running(f"sh4lt:{path}", SERVICE) as counts,
    ):
        wait_until(lambda: writer.clients == 1)
        frame = None
        while frame is None:
            before = time.monotonic_ns()
            writer.write(whole)
            frame = subscriber.receive_blocking(200)
        with frame:
            assert (frame.format, frame.width, frame.height) == (format, 33, 17)
            assert all(map(np.array_equal, frame.planes, planes))
            assert frame.caps is not None
            assert "framerate=(fraction)30/1" in frame.caps
            # There are no times on the wire: the moment of its arrival is the frame's.
            assert frame.captured_at is not None
            assert before <= frame.captured_at <= time.monotonic_ns()
    assert counts[0] >= 1


Ends = tuple[VideoFramePublisher, VideoFrameSubscriber]


@pytest.fixture
def both_bridges(path: Path, domain: Place) -> Iterator[Ends]:
    """A publisher and a subscriber, with a bridge to a path and a bridge back between them."""
    there, back = "video/there/frame/v2", "video/back/frame/v2"
    with (
        VideoFramePublisher(there) as publisher,
        VideoFrameSubscriber(back) as subscriber,
        running(there, f"sh4lt:{path}"),
        running(f"sh4lt:{path}", back),
    ):
        publisher.wait_for_subscribers(1, timeout=60)
        yield publisher, subscriber


def test_a_change_of_caps_comes_through_both_bridges(both_bridges: Ends) -> None:
    publisher, subscriber = both_bridges
    for width, height in [(64, 48), (32, 24), (640, 480)]:
        picture = np.full((height, width, 3), width % 251, np.uint8)
        deadline = time.monotonic() + 10
        while True:
            assert time.monotonic() < deadline
            publisher.publish(picture, format="BGR")
            frame = subscriber.receive_blocking(100)
            if frame is None:
                continue
            with frame:
                if (frame.width, frame.height) == (width, height):
                    assert np.array_equal(frame.numpy_view(), picture)
                    break


@contextmanager
def no_memory_for_a_copy(size: int) -> Iterator[None]:
    """A copy on the way would need memory of its own for a frame: numpy and Python tell how much they took."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield
        assert tracemalloc.get_traced_memory()[1] - before < size // 2
    finally:
        tracemalloc.stop()


def test_there_is_one_copy_from_shared_memory_to_shared_memory(both_bridges: Ends) -> None:
    size = 1920 * 1080 * 4
    picture = np.zeros((1080, 1920, 4), np.uint8)
    publisher, subscriber = both_bridges

    def arrives() -> bool:
        publisher.publish(picture, format="RGBA")
        frame = subscriber.receive_blocking(200)
        if frame is None:
            return False
        with frame:
            return frame.pixels.nbytes == size

    wait_until(arrives)
    with no_memory_for_a_copy(size):
        for _ in range(3):
            wait_until(arrives)


def test_a_path_without_video_is_refused_in_the_log(
    path: Path, domain: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gst_iceoryx2")
    with (
        Writer(path, "audio/x-raw, format=(string)S16LE, rate=(int)48000, channels=(int)2") as writer,
        running(f"sh4lt:{path}", SERVICE) as counts,
    ):
        wait_until(lambda: writer.clients == 1)
        writer.write(bytes(64))
        wait_until(lambda: "not raw video" in caplog.text)
    assert counts == [0]
