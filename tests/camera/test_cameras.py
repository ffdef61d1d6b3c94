"""Cameras in GStreamer pipelines and commands: which pixels arrive, and how often they are copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gst_iceoryx2.video import VideoFrame, VideoFrameSubscriber
from tests.camera.conftest import Camera, plug, unplug
from tests.cli.commands import Command
from tests.cli.recordings import decoded
from tests.gst.remote import Stage
from tests.waiting import arrived, wait_until

# The number of vivid's test pattern, and the color that it has in RGB.
RED, GREEN, BLUE = (7, (255, 0, 0)), (8, (0, 255, 0)), (9, (0, 0, 255))
Color = tuple[int, tuple[int, int, int]]

# The virtual machine is slow.
WAIT_MS = 60_000

Stages = Callable[..., Stage]
Commands = Callable[..., Command]


def play(stage: Stage, camera: Camera, service: str, io_mode: str = "auto", name: str = "p") -> None:
    """Publish a camera as a service with v4l2src."""
    caps = "video/x-raw,format=YUY2,width=320,height=180,framerate=30/1"
    stage.play(
        f"v4l2src device={camera.path} io-mode={io_mode} ! {caps} ! iceoryx2sink name=sink service={service}", name
    )


def shows(frame: VideoFrame, color: Color) -> bool:
    """Whether every pixel of a frame has a color of the test pattern."""
    return bool((abs(frame.to_rgb().astype(int) - color[1]) <= 8).all())


def see(subscriber: VideoFrameSubscriber, color: Color, count: int = 5) -> None:
    """Wait for a frame with this color; the frames after it must have it, too."""
    wait_until(lambda: shows(arrived(subscriber.receive_blocking(WAIT_MS)), color), 60)
    assert all(shows(arrived(subscriber.receive_blocking(WAIT_MS)), color) for _ in range(count))


@pytest.mark.parametrize(("io_mode", "counter"), [("userptr", "frames-zero-copy"), ("mmap", "frames-copied")])
def test_v4l2src_copies_each_frame_once_with_mmap_and_not_at_all_with_user_pointers(
    camera: Camera, stages: Stages, service: str, io_mode: str, counter: str
) -> None:
    camera.paint(RED[0])
    stage = stages()
    with VideoFrameSubscriber(service) as subscriber:
        play(stage, camera, service, io_mode)
        see(subscriber, RED)
        camera.paint(BLUE[0])
        see(subscriber, BLUE)
        stage.state("PAUSED")
        counts = {name: stage.get("sink", name) for name in ("frames-zero-copy", "frames-copied")}
        assert counts[counter] >= 12
        assert sum(counts.values()) == counts[counter]
        stage.drop()


def test_two_cameras_publish_at_once(cameras: tuple[Camera, Camera], stages: Stages) -> None:
    stage = stages()
    names = ("left", "right")
    with VideoFrameSubscriber("left") as left, VideoFrameSubscriber("right") as right:
        for camera, name, color in zip(cameras, names, (RED, GREEN), strict=True):
            camera.paint(color[0])
            play(stage, camera, name, "userptr", name)
        see(left, RED)
        see(right, GREEN)
        for name in names:
            stage.drop(name)


def test_v4l2src_reports_an_unplugged_camera_and_works_again_when_it_is_plugged_in(
    camera: Camera, stages: Stages, service: str
) -> None:
    camera.paint(RED[0])
    stage = stages()
    with VideoFrameSubscriber(service) as subscriber:
        play(stage, camera, service, "userptr")
        see(subscriber, RED)
        unplug()
        assert stage.message(["error"], timeout=60, limit=90) is not None
        stage.drop()
        plug()
        wait_until(lambda: camera.is_plugged, 60)
        camera.paint(GREEN[0])
        play(stage, camera, service, "userptr")
        see(subscriber, GREEN)
        stage.drop()


def test_publish_sends_a_camera_and_record_stores_it(camera: Camera, command: Commands, tmp_path: Path) -> None:
    camera.paint(RED[0])
    recorder = command("record", "cam0", "a.mkv", "--codec", "ffv1", "--timeout", "60")
    publisher = command(
        "publish",
        "cam0",
        "--camera",
        camera.path,
        "--size",
        "320x180",
        "--fps",
        "30",
        "--frames",
        "10",
        "--wait-for",
        "1",
    )
    publisher.ends(0, 120)
    said = recorder.ends(0, 120)
    assert "cam0: 320x180 " in said
    assert "10 frames" in said
    frames = decoded(tmp_path / "a.mkv")
    assert len(frames) == 10
    for frame in frames:
        assert (abs(frame.to_ndarray(format="rgb24").astype(int) - RED[1]) <= 8).all()
