"""Participants that use plain iceoryx2 with its defaults: buffer of 2, no history, two publishers, no alignment."""

from __future__ import annotations

import ctypes
import logging

import numpy as np
import pytest

from gst_iceoryx2.errors import QosError
from gst_iceoryx2.video import (
    FrameParams,
    Qos,
    VideoFrameHeader,
    VideoFramePublisher,
    VideoFrameSubscriber,
    create_listener,
    create_node,
    create_notifier,
    open_video_service,
    parse_aux,
)
from tests.pictures import noise
from tests.transport import raw
from tests.waiting import arrived, wait_until


def bgr(width: int, height: int, **fields: int) -> VideoFrameHeader:
    header = VideoFrameHeader(width=width, height=height, n_planes=1, **fields)
    header.stride[0] = width * 3
    header.format_name = "BGR"
    return header


def test_a_plain_subscriber_reads_our_frames(service: str) -> None:
    with VideoFramePublisher(service, framerate=25) as pub:
        node = raw.node()
        native = raw.pub_sub_builder(node, service).open()
        reader = native.subscriber_builder().create()
        listener = raw.event_service(node, service).listener_builder().create()
        pub.publish_frame(noise(24), FrameParams(4, 2, pts=7, offset=9))
        sample = reader.receive()
        header = VideoFrameHeader.from_buffer_copy(ctypes.string_at(sample.user_header_ptr, 104))
        payload = ctypes.string_at(sample.payload_ptr, sample.header.number_of_elements)
        assert (header.pts, header.offset, header.width, header.height, header.format_name) == (7, 9, 4, 2, "BGR")
        assert payload[:24] == noise(24)
        assert len(payload) == 24 + header.aux_size
        caps, metas = parse_aux(payload[24:])
        assert caps is not None
        assert "framerate=(fraction)25/1" in caps
        assert len(metas) == 1
        assert [activation.id.as_value for activation in listener.try_wait()] == [0]


def test_a_publisher_that_may_wait_hears_who_has_found_it_and_of_every_frame_taken(service: str) -> None:
    """SPEC.md section 1."""
    with VideoFrameSubscriber(service) as sub:
        for _ in range(2):
            # With a buffer of two, the reader notifies of each frame.
            with VideoFramePublisher(service, qos=Qos(buffer_size=2, safe_overflow=False)) as pub:
                listener = raw.event_service(raw.node(), service).listener_builder().create()
                told = []
                for _ in range(2):
                    pub.publish_frame(noise(24), FrameParams(4, 2))
                    frame = arrived(sub.receive_blocking(60_000))
                    ids = {activation.id.as_value for activation in listener.try_wait()}
                    # Id 2 tells waiting readers of the publisher.
                    told.append(sorted(ids - {2}))
                    del frame
                # The third id tells that the reader received the first frame of this publisher.
                assert told[0][:2] == [0, 1]
                assert len(told[0]) == 3
                assert told[1] == [0, 1]


def test_a_publisher_that_never_waits_is_told_nothing(service: str) -> None:
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service) as sub:
        pub.publish_frame(noise(24), FrameParams(4, 2))
        listener = raw.event_service(raw.node(), service).listener_builder().create()
        assert sub.receive() is not None
        assert listener.try_wait() == []


def test_the_whole_header_is_written_each_time(service: str) -> None:
    """In iceoryx2's Python binding a new loan has the header of an earlier frame."""
    with VideoFramePublisher(service, qos=Qos(buffer_size=1, borrowed_max=1), max_subscribers=1) as pub:
        native = raw.pub_sub_builder(raw.node(), service).open()
        reader = native.subscriber_builder().create()
        for _ in range(40):
            pub.publish(np.zeros((4, 4, 3), np.uint8), pts=1, dts=2, duration=3, offset=4, flags=64)
            pub.publish(np.zeros((4, 4), np.uint8), format="GRAY8", offset=5)
            sample = reader.receive()
            header = VideoFrameHeader.from_buffer_copy(ctypes.string_at(sample.user_header_ptr, 104))
            del sample
            assert (header.pts, header.dts, header.duration, header.flags) == (2**64 - 1,) * 3 + (0,)
            assert bytes(header)[60:72] == bytes(12)


def test_our_subscriber_reads_a_plain_publisher(service: str) -> None:
    with VideoFrameSubscriber(service) as sub:
        publisher = raw.RawPublisher(service)
        # The service has no history, so a frame sent before the subscriber connects would be lost.
        wait_until(lambda: publisher.service.dynamic_config.number_of_subscribers == 1)
        publisher.send(bgr(4, 2, pts=4, offset=11), noise(24))
        frame = arrived(sub.receive_blocking(60_000))
        assert frame.pts == 4
        assert frame.numpy_view().tobytes() == noise(24)
        assert sub.qos == Qos(buffer_size=2, borrowed_max=2, history_size=0, safe_overflow=True)
        assert (frame.caps, frame.captured_at, frame.sequence) == (None, None, None)
        publisher.close()


def test_we_adopt_the_service_of_a_plain_subscriber_with_a_warning(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    native = raw.video_service(raw.node(), service)
    reader = native.subscriber_builder().create()
    with VideoFramePublisher(service) as pub:
        assert pub.qos == Qos(buffer_size=2, borrowed_max=2, history_size=0)
        (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert "buffer_size is 2, but 10 was requested" in record.getMessage()
        assert service in record.getMessage()
        pub.publish_frame(noise(24), FrameParams(4, 2))
        sample = reader.receive()
        assert ctypes.string_at(sample.payload_ptr, 24) == noise(24)


@pytest.mark.proves("L1")
def test_a_setting_asked_for_by_name_that_cannot_be_met_is_an_error_with_both_numbers(service: str) -> None:
    native = raw.video_service(raw.node(), service)
    assert native.static_config.subscriber_max_buffer_size == 2
    for asked, words in (
        ({"qos": Qos(buffer_size=5)}, "buffer_size 2, but 5 was requested"),
        ({"qos": Qos(safe_overflow=False)}, "safe_overflow true, but false was requested"),
        ({"max_publishers": 3}, "max_publishers 2, but 3 was requested"),
    ):
        with pytest.raises(QosError, match=words) as caught:
            VideoFramePublisher(service, **asked)  # type: ignore[arg-type]
        assert service in str(caught.value)
    with VideoFramePublisher(service, qos=Qos(buffer_size=1), max_subscribers=3) as pub:
        assert pub.qos.buffer_size == 2


def test_the_end_is_sent_again_where_the_service_keeps_no_history(service: str) -> None:
    native = raw.video_service(raw.node(), service)
    with VideoFramePublisher(service) as pub:
        assert native.static_config.history_size == 0
        pub.end_of_stream()
        with VideoFrameSubscriber(service) as sub:
            frame = arrived(sub.receive_blocking(60_000))
            assert frame.is_eos()


def test_offsets_that_count_tell_of_drops(service: str) -> None:
    publisher = raw.RawPublisher(service)
    with VideoFrameSubscriber(service) as sub:

        def send(*offsets: int) -> int | None:
            for offset in offsets:
                publisher.send(bgr(4, 2, offset=offset), noise(24))
                sub.receive()
            return sub.stats.dropped

        # An increment of exactly 1 shows that `offset` counts frames, not bytes.
        assert send(100) is None
        assert send(101) == 0
        assert send(104, 105) == 2
        # After a restart the count is unknown until an increment of 1.
        assert send(0) is None
        assert send(1) == 2
        # A number that stays the same does not count frames.
        assert send(7, 7, 7) is None
        assert send(2**64 - 1, 2**64 - 1) is None
    publisher.close()


def test_a_node_and_ports_of_the_users_own_can_be_used(service: str) -> None:
    node = create_node()
    with VideoFramePublisher(service, iox2_node=node) as pub, VideoFrameSubscriber(service, iox2_node=node) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        listener = create_listener(node, service)
        pub.publish_frame(noise(24), FrameParams(4, 2))
        assert 0 in [activation.id.as_value for activation in listener.try_wait()]
        assert create_notifier(node, service).notify() == 2
        assert bytes(sub.receive().pixels) == noise(24)


def test_a_node_of_plain_iceoryx2_can_be_used(service: str) -> None:
    with VideoFramePublisher(service, iox2_node=raw.node()) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        pub.publish_frame(noise(24), FrameParams(4, 2))
        assert sub.receive() is not None


def test_open_video_service_creates_what_spec_md_says(service: str) -> None:
    created = open_video_service(create_node(), service)
    config = created.static_config
    assert (config.subscriber_max_buffer_size, config.subscriber_max_borrowed_samples) == (10, 10)
    assert (config.history_size, config.has_safe_overflow) == (1, True)
    assert (config.max_subscribers, config.max_publishers) == (8, 1)
    opened = open_video_service(create_node(), service, Qos(buffer_size=3), max_publishers=2)
    assert opened.static_config.subscriber_max_buffer_size == 10
