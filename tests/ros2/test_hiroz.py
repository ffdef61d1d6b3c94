"""Bridges and hiroz, a ROS 2 participant that is not ours. `make test-ros2` builds it (ROS2_PEER names the program)."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import FAR, NEAR, Bridge, free_port
from tests.cli.commands import Command
from tests.cli.conftest import bridge as bridge
from tests.conftest import Place
from tests.pictures import planes as noise_planes
from tests.pure.test_ros2_messages import CALIBRATION
from tests.waiting import wait_until

PEER = os.environ.get("ROS2_PEER", "")
PATIENCE = 60.0
pytestmark = pytest.mark.skipif(not PEER, reason="run make test-ros2")
Peer = Callable[..., Command]


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    """Starts hiroz: `peer("relay", …)`, and waits until it is ready."""
    running: list[Command] = []

    def start(*arguments: str) -> Command:
        command = Command(tmp_path, prefix=(PEER, *arguments))
        running.append(command)
        wait_until(lambda: "ready" in command.out, PATIENCE)
        return command

    yield start
    for command in reversed(running):
        command.close()


@pytest.fixture
def router(peer: Peer) -> str:
    """The endpoint of a router with the settings of rmw_zenohd."""
    port = free_port()
    peer("router", str(port))
    return f"tcp/127.0.0.1:{port}"


def crossed(pictures: Callable[[], Any], subscriber: VideoFrameSubscriber) -> Any:
    """Send until a frame arrives, and return it."""
    found: list[Any] = []

    def arrives() -> bool:
        pictures()
        frame = subscriber.receive_blocking(50)
        if frame is not None and not frame.is_eos():
            found.append(frame)
        return bool(found)

    wait_until(arrives, PATIENCE)
    return found[0]


@pytest.mark.parametrize("format", ["BGR", "GRAY16_LE", "YUY2"])
def test_pictures_cross_hiroz_in_both_directions_with_every_byte(
    bridge: Bridge, peer: Peer, router: str, domain: Place, tmp_path: Path, format: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CALIBRATION)
    relay = peer("relay", router, "image", "/cam0/image_raw", "/back/image_raw")
    info = peer("hear", router, "info", "/cam0/camera_info")
    settings = ("--camera-info", str(file), "--frame-id", "lens", "--connect", router)
    bridge("near", "ros2:/cam0/image_raw", *settings)
    bridge("ros2:/back/image_raw", "far", "--connect", router)
    picture = noise_planes(format, 640, 480)[0]
    with VideoFramePublisher(NEAR) as publisher, VideoFrameSubscriber(FAR) as subscriber:
        frame = crossed(lambda: publisher.publish(picture, format=format, width=640), subscriber)
        assert np.array_equal(frame.planes[0], picture)
        assert 0 <= frame.age < 60
        del frame
        wait_until(lambda: "lens 640x480 plumb_bob d [-0.25, 0.1" in info.out, PATIENCE)
    assert "lens 640x480" in relay.out
    listed = subprocess.run([PEER, "graph", router, "3"], capture_output=True, text=True, check=True).stdout
    assert "node iox2_video_bridge_" in listed
    assert "topic /cam0/image_raw sensor_msgs::msg::dds_::Image_" in listed
    assert "topic /cam0/camera_info sensor_msgs::msg::dds_::CameraInfo_" in listed


def test_jpeg_crosses_hiroz(bridge: Bridge, peer: Peer, router: str, domain: Place) -> None:
    relay = peer("relay", router, "compressed", "/cam0/image_raw/compressed", "/back/compressed")
    bridge("near", "ros2:/cam0/image_raw/compressed", "--connect", router)
    bridge("ros2:/back/compressed", "far", "--connect", router)
    picture = np.full((48, 64, 3), (30, 120, 200), np.uint8)
    with VideoFramePublisher(NEAR) as publisher, VideoFrameSubscriber(FAR) as subscriber:
        frame = crossed(lambda: publisher.publish(picture), subscriber)
        assert abs(frame.numpy_view().astype(int) - (30, 120, 200)).max() < 4
        del frame
    assert "near jpeg" in relay.out


@pytest.mark.parametrize(("ending", "told"), [("ffmpeg", "h264;yuv420p;bgr8;bgr8 flags 1"), ("foxglove", "near h264")])
def test_packets_cross_hiroz_and_are_decoded(
    bridge: Bridge, peer: Peer, router: str, domain: Place, tmp_path: Path, ending: str, told: str
) -> None:
    relay = peer("relay", router, ending, f"/cam0/image_raw/{ending}", f"/back/{ending}")
    with contextlib.closing(Command(tmp_path, "publish", "near", "--test", "--size", "320x240", "--format", "NV12")):
        bridge("near", f"ros2:/cam0/image_raw/{ending}", "--connect", router)
        bridge(f"ros2:/back/{ending}", "far", "--connect", router)
        with VideoFrameSubscriber(FAR) as subscriber:
            frame = crossed(lambda: None, subscriber)
            assert (frame.width, frame.height) == (320, 240)
            del frame
    wait_until(lambda: told in relay.out, PATIENCE)


def test_a_hiroz_publisher_that_leaves_ends_the_stream(bridge: Bridge, peer: Peer, router: str, domain: Place) -> None:
    relay = peer("relay", router, "image", "/cam0/image_raw", "/back/image_raw")
    bridge("near", "ros2:/cam0/image_raw", "--connect", router)
    bridge("ros2:/back/image_raw", "far", "--connect", router)
    with VideoFramePublisher(NEAR) as publisher, VideoFrameSubscriber(FAR) as subscriber:
        frame = crossed(lambda: publisher.publish(np.zeros((48, 64, 3), np.uint8)), subscriber)
        del frame
        relay.process.kill()

        def has_ended() -> bool:
            frame = subscriber.receive_blocking(100)
            return frame is not None and frame.is_eos()

        wait_until(has_ended, PATIENCE)
