"""Which frames a subscriber gets, and what it counts."""

from __future__ import annotations

import iceoryx2 as iox2
import pytest

from gst_iceoryx2.contract import limit
from tests.behaviour.conftest import SERVICE, Side
from tests.transport import raw
from tests.waiting import wait_until

# The first test may have to compile the Rust side.
pytestmark = pytest.mark.timeout(600)

WAIT = 60_000
"""Milliseconds for what must come."""

SOON = 100
"""Milliseconds after which nothing more comes."""


@pytest.mark.proves("L14")
def test_a_waiting_reader_gets_the_first_frames(publisher: Side, reader: Side) -> None:
    """All of five frames that are sent at once and closed after."""
    sub = reader.open()
    values = sub.begin("values", timeout_ms=WAIT)
    pub = publisher.open()
    pub.do("publish", count=5)
    pub.do("end")
    pub.do("close")
    assert values() == [0, 1, 2, 3, 4, "end"]
    assert sub.do("stats")["dropped"] == 0


@pytest.mark.proves("L14")
def test_event_ids_that_the_service_does_not_admit_are_not_needed(publisher: Side, reader: Side) -> None:
    """Another program created the event service with two ids. The Python publisher raised iceoryx2's own exception."""
    node = raw.node()
    builder = node.service_builder(iox2.ServiceName.new(SERVICE)).event()
    service = builder.event_id_max_value(1).create()
    sub = reader.open()
    values = sub.begin("values", timeout_ms=WAIT)
    pub = publisher.open()
    pub.do("publish", count=5)
    pub.do("end")
    assert values() == [0, 1, 2, 3, 4, "end"]
    pub.do("close")
    del service, builder, node


@pytest.mark.proves("L8")
def test_a_late_joiner_gets_the_newest_frame(publisher: Side, reader: Side) -> None:
    pub = publisher.open()
    pub.do("publish", count=5)
    sub = reader.open()
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 4
    assert sub.do("receive", timeout_ms=SOON) is None
    # What was sent before it came was not lost.
    assert sub.do("stats")["dropped"] == 0
    pub.do("publish", value=5)
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 5
    assert sub.do("stats")["dropped"] == 0


@pytest.mark.proves("L6")
def test_a_joiner_after_the_end_gets_the_last_frame_and_the_end(publisher: Side, reader: Side) -> None:
    pub = publisher.open()
    pub.do("publish", count=3)
    pub.do("end")
    for _ in range(2):
        sub = reader.open()
        assert sub.do("values", timeout_ms=WAIT) == [2, "end"]
        # A second end repeats no frame that the reader has.
        pub.do("end")
        assert sub.do("values", timeout_ms=WAIT) == ["end"]
        assert (sub.do("stats")["received"], sub.do("stats")["dropped"]) == (1, 0)
        sub.do("close")


def test_a_stream_can_begin_again_after_its_end(publisher: Side, reader: Side) -> None:
    sub = reader.open()
    values = sub.begin("values", timeout_ms=WAIT)
    pub = publisher.open()
    pub.do("publish", count=2)
    pub.do("end")
    assert values() == [0, 1, "end"]
    pub.do("publish", value=2)
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 2
    assert sub.do("stats") == {"received": 3, "dropped": 0, "invalid": 0, "held": 0, "limit": 10}


@pytest.mark.proves("L1")
def test_a_reader_stays_over_restarts_of_the_publisher(publisher: Side, reader: Side) -> None:
    """With other formats, sizes and settings; the counters go on."""
    sub = reader.open()
    assert sub.do("qos") is None
    for value, (format, side, buffer) in enumerate([("BGR", 8, 10), ("NV12", 640, 5), ("GRAY8", 16, 3)]):
        frame = sub.begin("receive", timeout_ms=WAIT)
        pub = publisher.open(buffer_size=buffer, borrowed_max=buffer)
        pub.do("publish", value=value, count=2, width=side, height=side, format=format)
        first = frame()
        assert (first["value"], sub.do("receive", timeout_ms=WAIT)["value"]) == (value, value + 1)
        assert f"format=(string){format}, width=(int){side}" in first["caps"]
        assert (sub.do("qos")[0], sub.do("stats")["limit"]) == (buffer, buffer)
        pub.do("close")
    stats = sub.do("stats")
    assert (stats["received"], stats["dropped"]) == (6, 0)


def test_a_held_frame_outlives_its_publisher(publisher: Side, reader: Side) -> None:
    pub = publisher.open()
    pub.do("publish", value=7)
    sub = reader.open()
    assert sub.do("receive", timeout_ms=WAIT, hold=True)["value"] == 7
    pub.do("close")
    again = publisher.open()
    again.do("publish", value=100, count=5)
    assert reader.peer.do("held") == [7]
    reader.peer.do("release")


def test_larger_frames_leave_earlier_ones_valid(publisher: Side, reader: Side) -> None:
    pub = publisher.open(max_bytes=192)
    sub = reader.open()
    for value, (width, height) in enumerate([(8, 8), (640, 480), (64, 48), (2560, 1440), (2, 2), (1920, 1080)]):
        pub.do("publish", value=value, width=width, height=height)
        assert sub.do("receive", timeout_ms=WAIT, hold=True)["value"] == value
    assert reader.peer.do("held") == [*range(6)]
    assert sub.do("stats")["dropped"] == 0
    reader.peer.do("release")


@pytest.mark.proves("L14")
def test_a_publisher_that_closes_right_after_a_larger_frame_delivers_it(publisher: Side, reader: Side) -> None:
    pub = publisher.open(max_bytes=192)
    sub = reader.open()
    pub.do("publish", value=1)
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 1
    pub.do("publish", value=2, width=512, height=512)
    # The reader looks only while the publisher is closing.
    closed = pub.begin("close")
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 2
    closed()
    assert sub.do("stats")["dropped"] == 0


@pytest.mark.proves("L14")
def test_a_reader_that_was_first_counts_what_it_missed(publisher: Side, reader: Side) -> None:
    sub = reader.open()
    pub = publisher.open()
    # Rust's reader connects while it waits.
    assert sub.do("receive", timeout_ms=SOON) is None
    assert pub.do("wait_for_subscribers") == 1
    pub.do("publish", count=15)
    assert sub.do("values", timeout_ms=SOON) == [*range(5, 15)]
    assert sub.do("stats")["dropped"] == 5


@pytest.mark.proves("M7")
def test_the_oldest_frames_give_way_and_are_counted(publisher: Side, reader: Side) -> None:
    pub = publisher.open()
    sub = reader.open()
    assert pub.do("wait_for_subscribers") == 1
    pub.do("publish")
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 0
    pub.do("publish", value=1, count=14)
    assert sub.do("values", timeout_ms=SOON) == [*range(5, 15)]
    assert sub.do("stats")["dropped"] == 4


@pytest.mark.proves("M7")
def test_without_overflow_the_newest_frames_are_lost(publisher: Side, reader: Side) -> None:
    pub = publisher.open(safe_overflow=False)
    sub = reader.open()
    assert pub.do("wait_for_subscribers") == 1
    pub.do("publish", count=15)
    assert sub.do("values", timeout_ms=SOON) == [*range(10)]
    pub.do("publish", value=15)
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 15
    assert sub.do("stats")["dropped"] == 5


@pytest.mark.proves("M6")
def test_a_reader_that_hoards_costs_no_other_a_frame(publisher: Side, reader: Side) -> None:
    pub = publisher.open()
    hoarder, other = reader.open(), reader.open()
    assert pub.do("wait_for_subscribers", count=2) == 2
    for value in range(60):
        pub.do("publish", value=value)
        assert other.do("receive", timeout_ms=WAIT)["value"] == value
        if value < limit("default_borrowed_max_frames"):
            assert hoarder.do("receive", timeout_ms=WAIT, hold=True)["value"] == value
    assert reader.peer.do("held") == [*range(10)]
    reader.peer.do("release")


@pytest.mark.proves("L8")
def test_a_reader_cleans_up_after_a_killed_publisher(publisher: Side, reader: Side) -> None:
    pub, sub = publisher.open(), reader.open()
    pub.do("publish", value=1)
    assert sub.do("receive", timeout_ms=WAIT, hold=True)["value"] == 1
    publisher.peer.kill()
    # The pixels that are held stay.
    assert reader.peer.do("held") == [1]
    reader.peer.do("release")
    wait_until(lambda: sub.do("receive", timeout_ms=SOON) is None and sub.do("qos") is None)
    sub.do("close")


@pytest.mark.proves("L8")
def test_a_publisher_cleans_up_after_a_killed_reader(publisher: Side, reader: Side) -> None:
    pub, sub = publisher.open(), reader.open()
    pub.do("publish", value=1)
    assert sub.do("receive", timeout_ms=WAIT, hold=True)["value"] == 1
    reader.peer.kill()
    assert pub.do("wait_for_subscribers", count=0) == 0
    pub.do("close")


def test_services_of_other_names_are_apart(publisher: Side, reader: Side) -> None:
    one, other = publisher.open(), publisher.open(SERVICE + "/2")
    sub = reader.open(SERVICE + "/2")
    assert other.do("wait_for_subscribers") == 1
    one.do("publish", value=1)
    assert sub.do("receive", timeout_ms=SOON) is None
    other.do("publish", value=2)
    assert sub.do("receive", timeout_ms=WAIT)["value"] == 2
