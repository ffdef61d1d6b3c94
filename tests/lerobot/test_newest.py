"""The pictures that a LeRobot camera gives, over real streams. These tests do not need LeRobot."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2.video import VideoFrameHeader, VideoFramePublisher
from tests.conftest import Place
from tests.lerobot.numbered import HEIGHT, WIDTH, drawn, number_in
from tests.transport.raw import RawPublisher
from tests.waiting import wait_until

PACKAGE = Path(__file__).parents[2] / "integrations" / "lerobot_camera_iox2" / "lerobot_camera_iox2"
CAM0 = "video/cam0/frame/v2"
LONG = 20.0

# Loaded by its path, because importing the package imports LeRobot.
spec = importlib.util.spec_from_file_location("newest", PACKAGE / "newest.py")
assert spec is not None and spec.loader is not None  # noqa: PT018
newest: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(newest)
Shape, NewestPicture = newest.Shape, newest.NewestPicture

PROGRAM = """
import time
import numpy as np
from gst_iceoryx2.video import VideoFramePublisher

with VideoFramePublisher("video/cam0/frame/v2") as publisher:
    while True:
        publisher.publish(np.zeros((240, 320, 3), np.uint8))
        time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test here its own domain."""


@pytest.fixture
def publisher() -> Iterator[VideoFramePublisher]:
    """Return a publisher of cam0 with 30 fps that has sent number 0."""
    with VideoFramePublisher(CAM0, framerate=30) as sender:
        sender.publish(drawn(0), format="RGB")
        yield sender


@contextmanager
def publishing() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that publishes cam0 without a frame rate, until the block ends."""
    program = subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=subprocess.DEVNULL)
    try:
        wait_until(newest.listing, LONG)
        yield program
    finally:
        program.send_signal(signal.SIGINT)
        program.wait()


@contextmanager
def reading(expected: Any = None, **settings: Any) -> Iterator[Any]:
    camera = NewestPicture("cam0", expected or Shape(), **settings)
    try:
        yield camera
    finally:
        camera.close()


def test_next_gives_the_newest_picture_once(publisher: VideoFramePublisher) -> None:
    with reading() as camera:
        assert number_in(camera.next(LONG)) == 0
        for number in range(1, 6):
            publisher.publish(drawn(number), format="RGB")
        assert number_in(camera.next(LONG)) == 5
        with pytest.raises(TimeoutError, match="no new frame of cam0 within 10 ms: its publisher sends no frames"):
            camera.next(0.01)


def test_latest_does_not_take_a_picture_away_from_next(publisher: VideoFramePublisher) -> None:
    with reading() as camera:
        camera.next(LONG)
        publisher.publish(drawn(7), format="RGB")
        assert number_in(camera.latest(60_000)) == number_in(camera.latest(60_000)) == 7
        assert number_in(camera.next(0)) == 7


def test_skip_forgets_the_pictures_that_have_arrived(publisher: VideoFramePublisher) -> None:
    with reading() as camera:
        camera.next(LONG)
        publisher.publish(drawn(1), format="RGB")
        camera.skip()
        with pytest.raises(TimeoutError):
            camera.next(0.01)


@pytest.mark.parametrize(("format", "is_bgr"), [("RGB", False), ("BGR", True)])
def test_channels_come_in_the_order_that_was_asked_for(
    publisher: VideoFramePublisher, format: str, is_bgr: bool
) -> None:
    picture = drawn(300)
    with reading(is_bgr=is_bgr) as camera:
        camera.next(LONG)
        publisher.publish(picture[..., ::-1], format="BGR")
        received = camera.next(LONG)
    assert np.array_equal(received[..., ::-1] if is_bgr else received, picture)
    assert received.flags.writeable


def test_the_age_is_the_time_since_the_capture(publisher: VideoFramePublisher) -> None:
    with reading() as camera:
        camera.next(LONG)
        publisher.publish(drawn(1), format="RGB", captured_at=time.monotonic_ns() - 90 * 10**9)
        with pytest.raises(TimeoutError, match=r"of cam0 is 9\d{4} ms old, more than 80000 ms: its publisher sends no"):
            camera.latest(80_000)
        assert number_in(camera.latest(3_600_000)) == 1


def test_frames_without_capture_times_have_no_age() -> None:
    with VideoFramePublisher(CAM0, aux_bytes=0) as sender:
        sender.publish(drawn(1), format="RGB")
        with reading() as camera:
            assert number_in(camera.next(LONG)) == 1
            with pytest.raises(RuntimeError, match="the age of cam0 is unknown, because its frames carry no"):
                camera.latest(500)


def test_a_stream_without_frames_says_so() -> None:
    nothing = pytest.raises(RuntimeError, match="no frame of cam0 has arrived yet: its publisher sends no frames")
    with VideoFramePublisher(CAM0), reading() as camera, nothing:
        camera.latest(500)


def test_an_end_is_named_and_the_stream_goes_on_after_it(publisher: VideoFramePublisher) -> None:
    with reading() as camera:
        camera.next(LONG)
        publisher.end_of_stream()
        with pytest.raises(TimeoutError, match="the stream has ended; it goes on when its publisher starts again"):
            camera.next(0.5)
        publisher.publish(drawn(9), format="RGB")
        assert number_in(camera.next(LONG)) == 9


def test_a_killed_publisher_is_named_and_its_successor_is_read() -> None:
    with publishing() as program, reading() as camera:
        camera.next(LONG)
        program.kill()
        program.wait()
        camera.skip()
        with pytest.raises(TimeoutError, match="it has no publisher; it goes on when one starts"):
            camera.next(0.1)
        with publishing():
            assert camera.next(LONG).shape == (HEIGHT, WIDTH, 3)


def test_a_missing_stream_is_refused_with_those_that_exist(publisher: VideoFramePublisher) -> None:
    with pytest.raises(ConnectionError, match=r'no such stream "cam1" in .+: did you mean cam0\?'):
        NewestPicture("cam1", Shape())


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (Shape(640, 480), r"sends 320x240, but 640x480 is configured; .+ set service to cam0@640x480-RGB$"),
        (Shape(width=640), r"sends 320x240, but 640x240 is configured; .+ set service to cam0@640x-RGB$"),
        (Shape(fps=15), r"sends 30 fps, but 15 fps is configured; .+ set service to cam0@-RGB@15$"),
        (Shape(fps=60), r"sends 30 fps, but 60 fps is configured; configure at most the stream's frame rate$"),
    ],
)
def test_another_shape_is_refused_with_both_numbers(
    publisher: VideoFramePublisher, expected: Any, message: str
) -> None:
    with pytest.raises(RuntimeError, match=f"^cam0 {message}"):
        newest.look("cam0", expected, LONG)


def test_a_shape_that_changes_later_is_refused(publisher: VideoFramePublisher) -> None:
    with reading(newest.look("cam0", Shape(), LONG)) as camera:
        camera.next(LONG)
        publisher.publish(np.zeros((48, 64, 3), np.uint8))
        with pytest.raises(RuntimeError, match="cam0 sends 64x48, but 320x240 is configured"):
            camera.next(LONG)


def test_a_tiled_format_is_refused() -> None:
    tiled = VideoFrameHeader()
    tiled.pts = tiled.dts = tiled.duration = tiled.offset = NONE_U64
    tiled.width, tiled.height, tiled.n_planes, tiled.format_name = 16, 8, 2, "NV12_64Z32"
    tiled.stride[:2], tiled.plane_offsets[:2] = [16, 16], [0, 128]
    raw = RawPublisher(CAM0)
    with reading() as camera:
        raw.send(tiled, bytes(192))
        with pytest.raises(RuntimeError, match="cam0 cannot be converted to RGB: NV12_64Z32 is tiled"):
            camera.next(LONG)
    raw.close()


def test_the_list_has_what_the_stream_states(publisher: VideoFramePublisher) -> None:
    (found,) = newest.listing()
    assert (found["type"], found["id"]) == ("iox2", "cam0")
    assert found["default_stream_profile"] == {"format": "RGB", "width": WIDTH, "height": HEIGHT, "fps": 30.0}


def test_a_frame_rate_that_is_not_stated_is_measured() -> None:
    with publishing():
        assert newest.look("cam0", Shape(), LONG).fps in range(1, 51)
