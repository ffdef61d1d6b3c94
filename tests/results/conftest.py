"""A source, a detector and readers in this process; each test has its own domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.results import ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place
from tests.processes.children import Child
from tests.waiting import arrived

SOURCE = "video/cam0/frame/v2"
WAIT_MS = 20_000
WIDTH, HEIGHT = 64, 48


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test here its own domain."""


class Camera:
    """Publishes frames that contain their number."""

    def __init__(self) -> None:
        self.publisher = VideoFramePublisher(SOURCE)
        self.number = 0

    def shoot(self, **options: Any) -> int:
        """Publish a frame; return its number."""
        picture = np.zeros((HEIGHT, WIDTH), np.uint8)
        picture[0, :8] = np.frombuffer(self.number.to_bytes(8, "little"), np.uint8)
        self.publisher.publish(picture, format="GRAY8", **options)
        self.number += 1
        return self.number - 1

    def restart(self) -> None:
        """Close the publisher, and start another one, whose sequence begins at 0."""
        self.publisher.close()
        self.publisher = VideoFramePublisher(SOURCE)


def number_of(frame: VideoFrame) -> int:
    """Return the number in a frame's pixels."""
    return int.from_bytes(frame.numpy_view()[0, :8].tobytes(), "little")


@pytest.fixture
def camera() -> Iterator[Camera]:
    there = Camera()
    yield there
    there.publisher.close()


@pytest.fixture
def frames(camera: Camera) -> Iterator[VideoFrameSubscriber]:
    """Return the subscriber of a detector."""
    with VideoFrameSubscriber(SOURCE) as subscriber:
        camera.publisher.wait_for_subscribers(timeout=60)
        yield subscriber


@pytest.fixture
def out() -> Iterator[ResultsPublisher]:
    """Return a detector."""
    with ResultsPublisher("cam0", "yolo") as publisher:
        yield publisher


@pytest.fixture
def sub(out: ResultsPublisher) -> Iterator[ResultsSubscriber]:
    """Return a connected subscriber of the detector."""
    with ResultsSubscriber("cam0", "yolo") as subscriber:
        out.wait_for_subscribers(timeout=60)
        yield subscriber


@pytest.fixture
def frame(camera: Camera, frames: VideoFrameSubscriber) -> Iterator[VideoFrame]:
    """Return a frame of the source."""
    camera.shoot()
    with arrived(frames.receive_blocking(WAIT_MS)) as frame:
        yield frame


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Return a function that starts a process with an act of tests.results.acts."""
    children: list[Child] = []

    def begin(act: str, *arguments: Any) -> Child:
        children.append(Child(act, *arguments, acts="tests.results.acts"))
        return children[-1]

    yield begin
    for child in children:
        child.close()
