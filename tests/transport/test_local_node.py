"""Nodes of `ServiceType.Local`: frames within one process, with nothing in shared memory."""

from __future__ import annotations

import threading

import iceoryx2
import numpy as np
import pytest

from gst_iceoryx2.errors import TooManyPortsError
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber, create_node
from tests.conftest import Place
from tests.waiting import arrived


@pytest.fixture
def node() -> iceoryx2.Node:
    return iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Local)


def test_frames_cross_between_ports_of_a_local_node(node: iceoryx2.Node, service: str, domain: Place) -> None:
    """A subscriber never connected, because it looked for a file that a local service does not have."""
    seen = []

    def receive() -> None:
        seen.extend((frame.pts, int(frame.numpy_view().max()), frame.width) for frame in subscriber)

    with VideoFrameSubscriber(service, iox2_node=node) as subscriber:
        reader = threading.Thread(target=receive)
        reader.start()
        for turn in range(2):
            with VideoFramePublisher(service, iox2_node=node) as publisher:
                publisher.wait_for_subscribers(1, timeout=60)
                for number in range(5):
                    publisher.publish(np.full((8, 300 * number + 8, 3), number, np.uint8), pts=number)
                if turn == 1:
                    publisher.end_of_stream()
                    reader.join(20)
    expected = [(number, number, 300 * number + 8) for number in range(5)]
    assert seen[-5:] == expected
    assert len(seen) == 10
    assert domain.shared_memory() == []


def test_a_view_outlives_the_ports_of_a_local_node(node: iceoryx2.Node, service: str, domain: Place) -> None:
    with (
        VideoFrameSubscriber(service, iox2_node=node) as subscriber,
        VideoFramePublisher(service, iox2_node=node) as publisher,
    ):
        publisher.wait_for_subscribers(1, timeout=60)
        publisher.publish(np.full((40, 40, 3), 7, np.uint8))
        frame = arrived(subscriber.receive_blocking(60_000))
        view = frame.numpy_view()
        with pytest.raises(TooManyPortsError):
            VideoFramePublisher(service, iox2_node=node)
    del frame, publisher, subscriber
    assert (view == 7).all()


def test_a_local_node_does_not_meet_the_others(node: iceoryx2.Node, service: str, domain: Place) -> None:
    with (
        VideoFrameSubscriber(service, iox2_node=create_node()) as outside,
        VideoFrameSubscriber(service, iox2_node=node) as inside,
        VideoFramePublisher(service, iox2_node=node) as publisher,
    ):
        publisher.wait_for_subscribers(1, timeout=60)
        assert publisher.publish(np.zeros((4, 4, 3), np.uint8)) == 1
        assert inside.receive_blocking(60_000) is not None
        assert outside.receive() is None
        assert not outside.is_connected
