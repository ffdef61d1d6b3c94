"""`gst_iceoryx2.feed.Camera` and `iox2-video publish --camera`: pixels, copies, errors, unplugged cameras."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.caps import parse_caps
from gst_iceoryx2.feed import Camera as CameraSource
from gst_iceoryx2.feed import Feeder, Picture, SettingError, SourceError, camera_offer, cameras
from gst_iceoryx2.feed.v4l2 import api
from gst_iceoryx2.feed.v4l2.capture import MappedCapture
from gst_iceoryx2.feed.v4l2.device import Device
from gst_iceoryx2.feed.v4l2.pixel_formats import GSTREAMER
from gst_iceoryx2.video import BUFFER_FLAGS, VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.camera.conftest import Camera, plug, unplug
from tests.cli.commands import Command
from tests.conftest import Place
from tests.waiting import arrived, wait_until

Commands = Callable[..., Command]
# Numbers of vivid's test patterns.
BLACK, WHITE, RED, GREEN, BLUE, RAMP = 5, 6, 7, 8, 9, 20
RGB = {BLACK: (0, 0, 0), WHITE: (255, 255, 255), RED: (255, 0, 0), GREEN: (0, 255, 0), BLUE: (0, 0, 255)}
SMALL = ("--size", "320x180", "--fps", "30")
CAM = "video/cam0/frame/v2"
# The virtual machine is slow.
WAIT_MS = 60_000


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test its own domain."""


def shows(frame: VideoFrame, pattern: int) -> bool:
    """Whether every pixel of a frame has the colour of a test pattern."""
    return bool((abs(frame.to_rgb().astype(int) - RGB[pattern]) <= 8).all())


def see(subscriber: VideoFrameSubscriber, pattern: int, count: int = 3) -> None:
    """Wait for a frame with this colour; the frames after it must have it, too."""
    wait_until(lambda: shows(arrived(subscriber.receive_blocking(WAIT_MS)), pattern), 60)
    assert all(shows(arrived(subscriber.receive_blocking(WAIT_MS)), pattern) for _ in range(count))


def source_of(camera: Camera, **settings: Any) -> CameraSource:
    return CameraSource(camera.path, size=(320, 180), fps=Fraction(30), **settings)


@contextmanager
def pictures_of(
    source: CameraSource, publisher: VideoFramePublisher, interrupted_at: int | None = None
) -> Iterator[Iterator[Picture]]:
    """Yield the pictures of a source as a feed asks for them; the loan with a certain number is interrupted."""
    shape = source.shape
    loans = count(1)

    def lend(stride0: int | None) -> Any:
        if next(loans) == interrupted_at:
            raise KeyboardInterrupt
        return publisher.loan(shape.width, shape.height, shape.format, stride0=stride0)

    with closing(source):
        yield (picture for picture in source.pictures(lend) if picture is not None)


# -- copies ----------------------------------------------------------------------------------------------------------


def test_a_driver_writes_into_shared_memory_and_nothing_is_copied(camera: Camera, command: Commands) -> None:
    camera.paint(RED)
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL)
        see(subscriber, RED)
        info = command("info", "cam0")
        info.ends(0, 60)
        camera.paint(BLUE)
        see(subscriber, BLUE)
        publisher.interrupt()
        said = publisher.ends(130, 60)
    assert "publishing cam0: 320x180 YUY2 at 30 fps (YUYV, written by the driver into shared memory, no copy)" in said
    sent, by_reference = numbers_of(said)
    assert by_reference == sent >= 8
    assert f"source    camera vivid, YUYV, written by the driver into shared memory, no copy; {camera.path}" in info.out


def numbers_of(said: str) -> tuple[int, int]:
    """Return how many frames were sent, and how many of them without a copy."""
    words = said.split("cam0: ", 2)[-1].split()
    return int(words[0]), int(words[words.index("without") - 3]) if "without" in words else 0


def test_a_driver_that_refuses_the_memory_is_copied_once(camera: Camera, command: Commands) -> None:
    camera.paint(GREEN)
    # The next request for buffers, which is the trial with user pointers, fails.
    camera.set(inject_vidioc_reqbufs_error=1)
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL, "--frames", "8")
        see(subscriber, GREEN)
        said = publisher.ends(0, 60)
    assert "(YUYV, one copy per frame, because the driver only writes into its own memory)" in said
    assert numbers_of(said) == (8, 0)


@pytest.mark.parametrize("code", sorted(GSTREAMER))
def test_every_format_has_its_colours_without_a_copy(camera: Camera, code: str) -> None:
    if code not in {one.code for one in camera_offer(camera.path).formats}:
        pytest.skip(f"vivid does not have {code}")
    is_gray = GSTREAMER[code].startswith("GRAY")
    camera.set(osd_text_mode=2)
    for pattern in (BLACK, WHITE) if is_gray else (RED, BLUE):
        camera.set(test_pattern=pattern)
        with VideoFrameSubscriber(CAM) as subscriber:
            done = Feeder("cam0", source_of(camera, format=code), frames=2, wait_for=1).run()
            frames = list(subscriber)
        assert (done.sent, done.by_reference) == (2, 2)
        assert {frame.format for frame in frames} == {GSTREAMER[code]}
        assert shows(frames[-1], pattern), f"{code}: {frames[-1].to_rgb()[90, 160]}"
        del frames


def test_a_picture_is_flipped_in_one_copy(camera: Camera, command: Commands) -> None:
    camera.set(test_pattern=RAMP, osd_text_mode=2)
    with VideoFrameSubscriber(CAM) as subscriber:
        command("publish", "cam0", "--camera", camera.path, *SMALL, "--frames", "4", "--wait-for", "1").ends(0, 60)
        straight = [frame.to_rgb() for frame in subscriber][-1]
        said = command(
            "publish", "cam0", "--camera", camera.path, *SMALL, "--frames", "4", "--wait-for", "1", "--flip", "180"
        ).ends(0, 60)
        turned = arrived(subscriber.receive_blocking(WAIT_MS)).to_rgb()
    assert "one copy per frame, because it is flipped" in said
    assert not np.array_equal(straight, turned)
    assert np.array_equal(straight[::-1, ::-1], turned)


def test_gray_pictures_have_the_full_range(camera: Camera) -> None:
    """Luma of red is 54 of 255 in the full range, which is the default of a driver for gray."""
    camera.paint(RED)
    with VideoFrameSubscriber(CAM) as subscriber:
        Feeder("cam0", source_of(camera, format="GREY"), frames=2, wait_for=1).run()
        frame = arrived(subscriber.receive_blocking(WAIT_MS))
        assert np.array_equal(frame.to_rgb()[..., 0], frame.numpy_view().reshape(180, 320))
        assert abs(int(frame.numpy_view().flat[0]) - 54) <= 1
        del frame


def test_another_format_is_converted(camera: Camera) -> None:
    camera.paint(GREEN)
    with VideoFrameSubscriber(CAM) as subscriber:
        # vivid has BGR3, but no GBR.
        done = Feeder("cam0", source_of(camera, format="GBR"), frames=2, wait_for=1).run()
        assert shows(arrived(subscriber.receive_blocking(WAIT_MS)), GREEN)
    assert (done.shape.format, done.by_reference) == ("GBR", 0)


def test_two_cameras_are_captured_at_once(cameras: tuple[Camera, Camera], command: Commands) -> None:
    names = ("left", "right")
    with VideoFrameSubscriber("video/left/frame/v2") as left, VideoFrameSubscriber("video/right/frame/v2") as right:
        for camera, name, pattern in zip(cameras, names, (RED, GREEN), strict=True):
            camera.paint(pattern)
            command("publish", name, "--camera", camera.path, *SMALL)
        see(left, RED)
        see(right, GREEN)


def test_size_and_rate_change_from_one_stream_to_the_next(camera: Camera) -> None:
    camera.paint(RED)
    with VideoFrameSubscriber(CAM) as subscriber:
        for size, fps in (((320, 180), 60), ((640, 360), 10), ((320, 180), 15), ((1280, 720), 30)):
            source = CameraSource(camera.path, size=size, fps=Fraction(fps))
            done = Feeder("cam0", source, frames=2, wait_for=1).run()
            frame = arrived(subscriber.receive_blocking(WAIT_MS))
            assert (frame.width, frame.height, done.by_reference) == (*size, 2)
            assert shows(frame, RED)
            assert frame.caps is not None
            assert parse_caps(frame.caps).fields["framerate"] == Fraction(fps)
            del frame
            while subscriber.receive() is not None:
                pass


# -- the driver's memory ---------------------------------------------------------------------------------------------


def leave(source: CameraSource, pictures: Iterator[Picture], camera: Camera, how: str) -> None:
    """End a stream while the driver has frames to write into."""
    if how == "exception":
        raise RuntimeError("the program failed")
    if how == "interrupt":
        # Ctrl-C while a frame is lent and others are queued.
        with pytest.raises(KeyboardInterrupt):
            list(pictures)
        return
    if how == "stop":
        return
    if how == "disconnect":
        camera.set(disconnect=1)
    else:
        unplug()
    with pytest.raises(SourceError, match="was unplugged"):
        list(pictures)


@pytest.mark.parametrize("how", ["stop", "exception", "interrupt", "disconnect", "unbind"])
def test_the_driver_writes_into_no_frame_after_the_end(camera: Camera, how: str) -> None:
    """A frame that was given back too early shows the camera's red in a picture that the program has drawn."""
    camera.paint(RED)
    with VideoFramePublisher(CAM) as publisher, VideoFrameSubscriber(CAM) as subscriber:
        source = source_of(camera)
        try:
            with pictures_of(source, publisher, interrupted_at=8 if how == "interrupt" else None) as pictures:
                for _ in range(3):
                    picture = next(pictures)
                    assert picture.frame is not None
                    with picture.frame:
                        pass
                leave(source, pictures, camera, how)
        except RuntimeError:
            assert how == "exception"
        while subscriber.receive() is not None:
            pass
        # All frames that the publisher has, several times.
        for number in range(40):
            with publisher.loan(320, 180, "YUY2") as frame:
                frame.numpy_view()[...] = number
            held = arrived(subscriber.receive_blocking(WAIT_MS))
            if number % 8 == 0:
                time.sleep(0.2)
            assert (held.numpy_view() == number).all(), number
            del held


def test_the_driver_follows_when_the_publisher_replaces_its_memory(camera: Camera) -> None:
    """The kernel keeps the pages of earlier memory, which may have the addresses of the new one."""
    camera.paint(RED)
    with VideoFramePublisher(CAM, max_bytes=320 * 180 * 2) as publisher, VideoFrameSubscriber(CAM) as subscriber:
        source = source_of(camera)
        memories = set()
        with pictures_of(source, publisher) as pictures:
            for number, picture in enumerate(pictures):
                assert picture.frame is not None
                assert picture.is_by_reference
                memories.add(picture.frame.memory_id)
                picture.frame.send()
                held = arrived(subscriber.receive_blocking(WAIT_MS))
                assert shows(held, BLUE if number >= 20 else RED) or number in range(20, 26)
                del held
                if number == 8:
                    # A larger frame replaces the memory.
                    publisher.publish(np.zeros((720, 1280, 3), np.uint8))
                    arrived(subscriber.receive_blocking(WAIT_MS))
                if number == 19:
                    camera.paint(BLUE)
                if number == 40:
                    break
        assert len(memories) == 2


def test_readers_that_hold_everything_cost_frames_and_nothing_else(camera: Camera) -> None:
    camera.paint(RED)
    with (
        VideoFramePublisher(CAM, max_bytes=320 * 180 * 2, max_frames=12) as publisher,
        VideoFrameSubscriber(CAM) as subscriber,
        pictures_of(source_of(camera), publisher) as pictures,
    ):

        def send_next() -> VideoFrame | None:
            frame = next(pictures).frame
            assert frame is not None
            frame.send()
            return subscriber.receive() if len(held) < 9 else None

        held: list[VideoFrame] = []
        for _ in range(30):
            held.extend(frame for frame in [send_next()] if frame is not None)
        assert publisher.stats.dropped > 0
        assert len(held) == 9
        assert all(shows(frame, RED) for frame in held)
        held.clear()
        camera.paint(BLUE)
        wait_until(lambda: (frame := send_next()) is not None and shows(frame, BLUE), 60)


# -- unplugged -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["disconnect", "unbind"])
def test_an_unplugged_camera_ends_the_stream_in_words(camera: Camera, command: Commands, how: str) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL)
        arrived(subscriber.receive_blocking(WAIT_MS))
        path = camera.path
        if how == "disconnect":
            camera.set(disconnect=1)
        else:
            unplug()
        assert f"Error: the camera {path} was unplugged" in publisher.ends(1, 60)
        # The iteration ends with the stream.
        for _ in subscriber:
            pass


def test_with_reconnect_the_stream_goes_on_when_the_camera_is_back(camera: Camera, command: Commands) -> None:
    camera.paint(RED)
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL, "--reconnect")
        see(subscriber, RED)
        path = camera.path
        for pattern in (GREEN, BLUE):
            unplug()
            publisher.says(f"the camera {path} was unplugged; waiting for it", 60)
            plug()
            wait_until(lambda: camera.is_plugged, 60)
            camera.paint(pattern)
            see(subscriber, pattern)
        camera.set(disconnect=1)
        see(subscriber, BLUE, count=20)
        assert publisher.err.count(f"the camera {path} is back") >= 2
        publisher.interrupt()
        said = publisher.ends(130, 60)
        sent, by_reference = numbers_of(said)
        assert sent == by_reference


def test_a_camera_comes_back_with_the_settings_that_it_had(camera: Camera, command: Commands) -> None:
    """After an unplug, a camera has its own defaults again, and not what another program had set."""
    camera.configure(320, 180, "UYVY", 30)
    camera.paint(RED)
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, "--reconnect")
        see(subscriber, RED)
        unplug()
        publisher.says("waiting for it", 60)
        plug()
        wait_until(lambda: camera.is_plugged, 60)
        camera.paint(GREEN)
        see(subscriber, GREEN)
        frame = arrived(subscriber.receive_blocking(WAIT_MS))
        assert (frame.format, frame.width) == ("UYVY", 320)
        del frame


def test_a_copied_camera_comes_back_after_a_disconnection(camera: Camera, command: Commands) -> None:
    """vivid's camera only comes back when all buffers are unmapped, also those of the last picture."""
    camera.paint(RED)
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL, "--flip", "180", "--reconnect")
        see(subscriber, RED)
        path = camera.path
        for _ in range(2):
            before = publisher.err.count("is back")
            camera.set(disconnect=1)
            wait_until(lambda before=before: publisher.err.count(f"the camera {path} is back") > before, 60)
            see(subscriber, RED, count=20)


def test_a_camera_comes_back_although_a_forked_child_runs(camera: Camera) -> None:
    """A child inherits the open device, and would keep the driver writing into frames that were given back."""
    camera.paint(RED)
    with (
        VideoFramePublisher(CAM) as publisher,
        pictures_of(source_of(camera, reconnect=True), publisher) as pictures,
    ):

        def send(number: int) -> None:
            for _ in range(number):
                frame = next(pictures).frame
                assert frame is not None
                frame.send()

        send(3)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        try:
            camera.set(disconnect=1)
            send(20)
        finally:
            os.close(writer)
            os.close(reader)
            os.waitpid(child, 0)


def test_a_camera_that_is_dropped_is_closed(camera: Camera) -> None:
    def is_open() -> bool:
        links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
        return any(os.path.realpath(link) == camera.path for link in links)

    with VideoFramePublisher(CAM) as publisher:
        source = source_of(camera)
        shape = source.shape
        pictures = source.pictures(lambda _: publisher.loan(shape.width, shape.height, shape.format))
        while next(pictures) is None:
            pass
        assert is_open()
        del source, pictures
        gc.collect()
        assert not is_open()


def test_a_feed_stops_while_it_waits_for_its_camera(camera: Camera, command: Commands) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL, "--reconnect")
        arrived(subscriber.receive_blocking(WAIT_MS))
        unplug()
        publisher.says("waiting for it", 60)
        publisher.interrupt()
        publisher.ends(130, 30)


# -- errors of the driver --------------------------------------------------------------------------------------------


def test_a_damaged_picture_is_flagged_and_counted(camera: Camera, command: Commands) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL)
        assert not arrived(subscriber.receive_blocking(WAIT_MS)).flags & BUFFER_FLAGS["CORRUPTED"]
        camera.set(inject_v4l2_buf_flag_error=1)
        wait_until(lambda: arrived(subscriber.receive_blocking(WAIT_MS)).flags & BUFFER_FLAGS["CORRUPTED"], 60)
        assert not arrived(subscriber.receive_blocking(WAIT_MS)).flags & BUFFER_FLAGS["CORRUPTED"]
        publisher.interrupt()
        assert "; 1 were damaged" in publisher.ends(130, 60)


def test_pictures_that_the_driver_loses_are_counted(camera: Camera, command: Commands) -> None:
    camera.set(percentage_of_dropped_buffers=50)
    said = command("publish", "cam0", "--camera", camera.path, *SMALL, "--frames", "20").ends(0, 60)
    assert int(said.split("the camera lost ")[1].split(";")[0].split()[0]) >= 5


def test_an_error_of_a_single_call_costs_nothing(camera: Camera, command: Commands) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL)
        arrived(subscriber.receive_blocking(WAIT_MS))
        camera.set(inject_vidioc_qbuf_error=1)
        for _ in range(10):
            arrived(subscriber.receive_blocking(WAIT_MS))
        publisher.interrupt()
        publisher.ends(130, 60)


def test_a_buffer_that_the_driver_refuses_once_is_used_again(camera: Camera) -> None:
    """With a buffer less after each error, the driver loses most pictures."""
    is_with_driver = 0x2 | 0x4  # V4L2_BUF_FLAG_QUEUED, V4L2_BUF_FLAG_DONE
    with Device(camera.path) as device:
        device.configure("YUYV", 320, 180, Fraction(30))
        capture = MappedCapture(device)
        capture.start()
        for _ in range(4):
            camera.set(inject_vidioc_qbuf_error=1)
            for _ in range(6):
                assert capture.next(60) is not None
        found = [api.Buffer(index=number, type=api.VIDEO_CAPTURE, memory=api.MEMORY_MMAP) for number in range(4)]
        for buffer in found:
            api.QUERY_BUFFER(device.fd, buffer)
        capture.stop()
    # The fourth one is with the program until its next call.
    assert sum(bool(buffer.flags & is_with_driver) for buffer in found) == 3


@pytest.mark.parametrize("reconnect", [False, True])
def test_a_driver_that_fails_is_told(camera: Camera, command: Commands, reconnect: bool) -> None:
    camera.paint(RED)
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL, *(["--reconnect"] if reconnect else []))
        see(subscriber, RED)
        camera.set(inject_fatal_streaming_error=1)
        if reconnect:
            publisher.says("failed: its driver reports an error (EIO)", 60)
            see(subscriber, RED)
        else:
            assert "failed: its driver reports an error (EIO)" in publisher.ends(1, 60)


def test_the_capture_time_is_the_drivers_and_believable(camera: Camera) -> None:
    for wrap, least in ((0, 0.0), (2, 0.0)):
        camera.set(wrap_timestamp=wrap)
        with VideoFramePublisher(CAM) as publisher, pictures_of(source_of(camera), publisher) as pictures:
            before = time.monotonic_ns()
            found = [next(pictures) for _ in range(5)]
            for picture in found:
                assert picture.frame is not None
                picture.frame.discard()
            after = time.monotonic_ns()
            times = [picture.captured_at or 0 for picture in found]
        assert times == sorted(times)
        assert before - 1_000_000_000 <= times[0]
        assert times[-1] <= after
        assert [picture.pts for picture in found] == [moment - times[0] for moment in times]
        assert least == 0.0


# -- what a camera offers ----------------------------------------------------------------------------------------------


def test_cameras_are_listed(camera: Camera, command: Commands) -> None:
    listed = command("cameras")
    listed.ends(0, 60)
    assert [line.split()[:2] for line in listed.out.splitlines()[1:]] == [
        ["/dev/video0", "vivid"],
        ["/dev/video1", "vivid"],
    ]
    assert {one.driver for one in cameras()} == {"vivid"}
    assert len({one.bus_info for one in cameras()}) == 2


@pytest.mark.parametrize("words", [("cameras",), ("publish", "cam0", "--list", "--camera")])
def test_a_cameras_offer_is_listed(camera: Camera, command: Commands, words: tuple[str, ...]) -> None:
    table, document = command(*words, camera.path), command(*words, camera.path, "--json")
    table.ends(0, 60)
    document.ends(0, 60)
    assert "YUYV     YUY2                 320x180    120, 60, 50, 40, 30" in table.out
    assert "gain_automatic 1 1 0 or 1" in " ".join(table.out.split())
    found = json.loads(document.out)
    (yuyv,) = (one for one in found["formats"] if one["code"] == "YUYV")
    assert (yuyv["format"], yuyv["sizes"][0]["width"], yuyv["sizes"][0]["rates"][0]) == ("YUY2", 320, 120)
    (gain,) = (one for one in found["controls"] if one["name"] == "gain")
    assert (gain["minimum"], gain["maximum"], gain["is_inactive"]) == (0, 255, True)


def test_controls_are_set_in_order_and_stay(camera: Camera, command: Commands) -> None:
    controls = "osd_text_mode=none,test_pattern=100% Blue,gain_automatic=off,gain=33"
    with VideoFrameSubscriber(CAM) as subscriber:
        publisher = command("publish", "cam0", "--camera", camera.path, *SMALL, "--controls", controls)
        see(subscriber, BLUE)
        publisher.interrupt()
        publisher.ends(130, 60)
    values = {one.name: one.value for one in camera_offer(camera.path).controls}
    assert (values["gain"], values["gain_automatic"], values["test_pattern"]) == (33, 0, BLUE)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--size", "321x180"), "has no size 321x180; it has 320x180, 640x360, 640x480"),
        (("--size", "320x180", "--fps", "31"), "has no 31 fps at 320x180; it has 30, 25, 40"),
        (
            ("--format", "MJPG"),
            "has no format 'MJPG', and GStreamer has no raw video format of this name; the camera has YUYV,",
        ),
        (("--controls", "brigtness=1"), "has no control 'brigtness'; did you mean brightness"),
        (("--controls", "brightness=256"), "cannot be 256; it can be 0 to 255; the nearest is 255"),
        (
            ("--controls", "gain=3"),
            "has no effect at present; switch it to manual first, for example with gain_automatic=…",
        ),
        (("--format", "NV12_64Z32"), "cannot convert"),
    ],
)
def test_what_a_camera_does_not_have_is_a_usage_error(
    camera: Camera, command: Commands, arguments: tuple[str, ...], text: str
) -> None:
    assert text in command("publish", "cam0", "--camera", camera.path, *arguments).ends(2, 60)


def test_what_a_driver_sets_instead_is_told(camera: Camera) -> None:
    """Not all drivers list their sizes and rates, so a wrong one is noticed when it is set."""
    with Device(camera.path) as device:
        with pytest.raises(SettingError, match="was asked for 641x361 YUYV and set 640x360 YUYV: ask for that instead"):
            device.configure("YUYV", 641, 361, None)
        with pytest.raises(SettingError, match="was asked for 33 fps and set 40 fps: ask for that instead"):
            device.configure("YUYV", 320, 180, Fraction(33))


def test_a_camera_that_is_busy_names_its_user(camera: Camera, command: Commands) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        first = command("publish", "cam0", "--camera", camera.path, *SMALL)
        arrived(subscriber.receive_blocking(WAIT_MS))
        second = command("publish", "cam1", "--camera", camera.path, *SMALL)
        said = second.ends(1, 60)
    assert f"(process {first.process.pid}) uses it; a camera gives its pictures to one program at a time" in said


def test_full_shared_memory_is_told(camera: Camera, command: Commands) -> None:
    free = os.statvfs("/dev/shm")
    filler = Path("/dev/shm/filler")
    try:
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 2_000_000)
        said = command("publish", "cam0", "--camera", camera.path, *SMALL).ends(1, 60)
    finally:
        filler.unlink()
    assert "shared memory" in said
