"""A publisher and a subscriber in one process, each with its own node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place


def is_waiting(sub: VideoFrameSubscriber) -> bool:
    """Whether a thread sleeps in this subscriber."""
    return sub._waiter is not None and bool(sub._waiter._sleepers)


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test here its own domain."""


@pytest.fixture
def pub(service: str) -> Iterator[VideoFramePublisher]:
    """Return a publisher of the test's service."""
    with VideoFramePublisher(service) as publisher:
        yield publisher


@pytest.fixture
def sub(service: str, pub: VideoFramePublisher) -> Iterator[VideoFrameSubscriber]:
    """Return a subscriber to which `pub` is connected."""
    with VideoFrameSubscriber(service) as subscriber:
        pub.wait_for_subscribers(1, timeout=60)
        yield subscriber
