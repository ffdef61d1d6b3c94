"""Publisher and subscriber in one process, each with a node of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Every test here has a domain of its own."""


@pytest.fixture
def pub(service: str) -> Iterator[VideoFramePublisher]:
    """A publisher of the test's service."""
    with VideoFramePublisher(service) as publisher:
        yield publisher


@pytest.fixture
def sub(service: str, pub: VideoFramePublisher) -> Iterator[VideoFrameSubscriber]:
    """A subscriber that `pub` knows of."""
    with VideoFrameSubscriber(service) as subscriber:
        pub.wait_for_subscribers(1, timeout=5)
        yield subscriber
