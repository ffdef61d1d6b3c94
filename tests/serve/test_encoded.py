"""Whether the packets of a stream can be had without encoding it again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gst_iceoryx2.discovery import encoded
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from gst_iceoryx2.video import VideoFramePublisher
from tests.serve.conftest import WAIT_MS, Serve
from tests.waiting import arrived, wait_until

FILE = """
[streams.cam0]
test = true
size = "320x240"
"""


def test_a_publisher_of_packets_is_seen_under_each_name_and_its_codec_only(domain: None) -> None:
    assert encoded("cam0") is None
    with PacketPublisher("cam0", "h265", 320, 240):
        assert encoded("cam0", "h265") == encoded("cam0@h265") == encoded("video/cam0@h265/packet/v1") == "running"
        assert encoded("cam0") is None
    assert encoded("cam0", "h265") is None


def test_raw_video_without_an_encoder_is_not_encoded(domain: None) -> None:
    with VideoFramePublisher("video/cam0/frame/v2", max_bytes=12) as publisher:
        publisher.publish(np.zeros((2, 2, 3), np.uint8))
        assert encoded("cam0") is None


def test_a_declared_stream_is_encoded_on_demand_and_running_while_it_is_read(serve: Callable[..., Serve]) -> None:
    pytest.importorskip("av")
    served = serve(FILE)
    served.wait_for("cam0", "off")
    assert encoded("cam0") == encoded("video/cam0/frame/v2") == "on demand"
    # The supervisor makes no H.265 and no other stream.
    assert encoded("cam0", "h265") is None
    assert encoded("cam1") is None
    with PacketSubscriber("cam0") as subscriber:
        arrived(subscriber.receive_blocking(WAIT_MS))
        assert encoded("cam0") == "running"


def test_a_supervisor_without_a_file_encodes_what_is_published(serve: Callable[..., Serve]) -> None:
    serve(None)
    assert encoded("cam0") is None
    with VideoFramePublisher("video/cam0/frame/v2", max_bytes=12) as publisher:
        publisher.publish(np.zeros((2, 2, 3), np.uint8))
        wait_until(lambda: encoded("cam0") == "on demand")
