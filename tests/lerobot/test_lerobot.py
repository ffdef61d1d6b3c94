"""The package lerobot_camera_iox2 with LeRobot itself. `make test-lerobot` installs both and runs these tests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lerobot.cameras", reason="LeRobot is not installed; `make test-lerobot` runs this test with it")

import draccus
from lerobot.cameras import CameraConfig, make_cameras_from_configs
from lerobot.datasets import LeRobotDataset
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError
from lerobot.utils.import_utils import register_third_party_plugins

from gst_iceoryx2.video import VideoFramePublisher
from tests.conftest import Place
from tests.lerobot.numbered import HEIGHT, WIDTH, drawn, number_in
from tests.processes.markdown import snippets

ROOT = Path(__file__).parents[2]
CAM0 = "video/cam0/frame/v2"
FRONT = "observation.images.front"
FPS = 30
LONG_MS = 20_000

# LeRobot imports PyTorch with CUDA, which takes half a minute on a busy machine.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test here its own domain."""


@pytest.fixture
def publisher() -> Iterator[VideoFramePublisher]:
    """Return a publisher of cam0 that has sent number 0."""
    with VideoFramePublisher(CAM0, framerate=FPS) as sender:
        sender.publish(drawn(0), format="RGB")
        yield sender


@pytest.fixture
def counting(publisher: VideoFramePublisher) -> Iterator[None]:
    """Publish the numbers from 0 on, 30 a second."""
    stop = threading.Event()

    def count() -> None:
        number = 0
        while not stop.wait(1 / FPS):
            number += 1
            publisher.publish(drawn(number % 1024), format="RGB")

    thread = threading.Thread(target=count)
    thread.start()
    yield
    stop.set()
    thread.join()


def camera_of(**settings: Any) -> Any:
    """Make a camera in the way in which LeRobot's commands and robots do."""
    register_third_party_plugins()
    configs = draccus.decode(dict[str, CameraConfig], {"front": {"type": "iox2", "service": "cam0", **settings}})
    return make_cameras_from_configs(configs)["front"]


def numbers_of(root: Path) -> tuple[list[int], list[int]]:
    """Return the number in each decoded picture of a data set, and the robot's state beside each."""
    dataset = LeRobotDataset("test/numbers", root=root, video_backend="pyav")
    items = [dataset[index] for index in range(len(dataset))]
    states = [round(item["observation.state"].max().item()) for item in items]
    return [number_in(item[FRONT].permute(1, 2, 0).numpy()) for item in items], states


def test_every_number_of_100_frames_is_in_the_video_of_a_dataset(
    publisher: VideoFramePublisher, tmp_path: Path
) -> None:
    with camera_of() as camera:
        features = {
            FRONT: {
                "dtype": "video",
                "shape": (camera.height, camera.width, 3),
                "names": ["height", "width", "channels"],
            },
            "observation.state": {"dtype": "float32", "shape": (1,), "names": ["number"]},
        }
        dataset = LeRobotDataset.create("test/numbers", camera.fps, features=features, root=tmp_path / "set")
        for number in range(100):
            publisher.publish(drawn(number), format="RGB")
            state = np.array([number], np.float32)
            dataset.add_frame({FRONT: camera.async_read(LONG_MS), "observation.state": state, "task": "count"})
        dataset.save_episode()
        dataset.finalize()
    assert numbers_of(tmp_path / "set") == (list(range(100)), list(range(100)))


def test_size_and_frame_rate_are_those_of_the_stream(publisher: VideoFramePublisher) -> None:
    camera = camera_of()
    assert (camera.width, camera.height, camera.fps) == (WIDTH, HEIGHT, FPS)
    assert [found["id"] for found in type(camera).find_cameras()] == ["cam0"]


def test_the_colour_mode_decides_the_order_of_the_channels(publisher: VideoFramePublisher) -> None:
    with camera_of(color_mode="bgr") as camera:
        publisher.publish(drawn(5), format="RGB")
        assert number_in(camera.async_read(LONG_MS)[..., ::-1]) == 5


def test_read_waits_for_a_frame_that_comes_after_the_call(publisher: VideoFramePublisher) -> None:
    with camera_of(timeout_ms=LONG_MS) as camera:
        publisher.publish(drawn(1), format="RGB")
        late = threading.Timer(0.5, lambda: publisher.publish(drawn(2), format="RGB"))
        late.start()
        assert number_in(camera.read()) == 2
        late.join()


def test_a_camera_is_connected_once_and_disconnected_once(publisher: VideoFramePublisher) -> None:
    camera = camera_of()
    for call in (camera.read, camera.async_read, camera.read_latest, camera.disconnect):
        with pytest.raises(DeviceNotConnectedError, match=r"^Iox2Camera\(cam0\) is not connected; call connect"):
            call()
    camera.connect()
    with pytest.raises(DeviceAlreadyConnectedError, match=r"Iox2Camera\(cam0\) is already connected"):
        camera.connect()
    assert number_in(camera.read_latest(3_600_000)) == 0
    camera.disconnect()
    assert not camera.is_connected


def test_the_program_in_the_documentation_records_100_frames(counting: None, tmp_path: Path) -> None:
    (program,) = (s.text for s in snippets(ROOT / "docs" / "robots.md") if "lerobot_camera_iox2" in s.text)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.stdout.splitlines()[-1:] == ["100 frames of 320x240"], done.stderr


# -- lerobot-record --------------------------------------------------------------------------------------------------


def record(camera: str, root: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("lerobot-record")),
        "--robot.type=still_arm",
        "--robot.discover_packages_path=tests.lerobot.arm",
        f"--robot.cameras={{front: {camera}}}",
        "--teleop.type=still_hand",
        "--dataset.repo_id=test/numbers",
        f"--dataset.root={root}",
        "--dataset.no_stamp=true",
        "--dataset.single_task=count",
        "--dataset.num_episodes=1",
        "--dataset.episode_time_s=4",
        "--dataset.push_to_hub=false",
        # LeRobot's default, SVT-AV1 3.0, keeps blocks of the previous picture from number 255 to 256.
        "--dataset.rgb_encoder.vcodec=h264",
        "--play_sounds=false",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)


def test_lerobot_record_records_a_stream_by_its_name(counting: None, tmp_path: Path) -> None:
    done = record("{type: iox2, service: cam0}", tmp_path / "set")
    assert done.returncode == 0, done.stderr
    decoded, seen = numbers_of(tmp_path / "set")
    assert decoded == seen == sorted(seen)
    assert len(set(seen)) > 10


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("{type: iox2, service: cam9}", 'ConnectionError: no such stream "cam9"'),
        (
            "{type: iox2, service: cam0, width: 640, height: 480}",
            "RuntimeError: cam0 sends 320x240, but 640x480 is configured; remove this setting, or run "
            "`iox2-video serve` and set service to cam0@640x480-RGB",
        ),
    ],
)
def test_lerobot_record_says_what_is_wrong_before_it_creates_a_dataset(
    counting: None, tmp_path: Path, camera: str, message: str
) -> None:
    done = record(camera, tmp_path / "set")
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "set").exists()
