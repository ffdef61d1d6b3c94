"""Frames between processes, and processes that end in every way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber, _pool, _receiver, _waiting
from tests.conftest import Place
from tests.processes.acts import picture
from tests.processes.children import Child
from tests.transport import raw
from tests.waiting import arrived, wait_until

Start = Callable[..., Child]


@pytest.mark.parametrize("first", ["publisher", "subscriber"])
@pytest.mark.proves("L1")
def test_processes_may_start_in_any_order(first: str, service: str, start: Start) -> None:
    acts = {"publisher": ("publish_and_leave", service, 50), "subscriber": ("receive_all", service)}
    children = {}
    for role in (first, *(acts.keys() - {first})):
        children[role] = start(*acts[role])
        assert children[role].told() == "ready"
    told = children["subscriber"].told()
    assert told["seen"] == [[number, number] for number in range(50)]
    assert told["stats"]["dropped"] == 0
    assert [(child.ends(), child.complaint()) for child in children.values()] == [(0, ""), (0, "")]


def test_a_frame_wakes_the_subscriber_by_its_notification(
    service: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the safety interval, nothing else wakes it."""
    monkeypatch.setattr(_receiver, "_SAFETY_INTERVAL", 60.0)
    monkeypatch.setattr(_waiting.Waiter, "nudge", lambda _: None)
    publisher = start("publish_until_told", service, 64, 0.02)
    assert publisher.told() == "publishing"
    with VideoFrameSubscriber(service) as sub:
        for _ in range(40):
            frame = arrived(sub.receive_blocking(60_000))
            assert frame.age is not None
    publisher.tell()
    assert publisher.ends() == 0


@pytest.mark.proves("P2")
def test_a_view_outlives_the_death_of_its_publisher(service: str, start: Start, domain: Place) -> None:
    publisher = start("publish_until_told", service)
    assert publisher.told() == "publishing"
    sub = VideoFrameSubscriber(service)
    frame = arrived(sub.receive_blocking(60_000))
    stamp, view = (frame.pts or 0) % 256, frame.numpy_view()
    del frame
    publisher.kill()
    sub.close()
    del sub
    # The next publisher cleans up after the dead one and takes its place.
    with VideoFramePublisher(service) as pub:
        for number in range(50):
            pub.publish(np.full((64, 64, 3), number + 100, np.uint8))
        assert (view == stamp).all()
    assert (view == stamp).all()


@pytest.mark.proves("L8")
def test_a_killed_publisher_is_replaced_and_nothing_piles_up(service: str, start: Start, domain: Place) -> None:
    counts = []
    with VideoFrameSubscriber(service) as sub:
        for turn in range(4):
            publisher = start("publish_until_told", service, 32 + turn)
            assert publisher.told() == "publishing"
            wait_until(lambda turn=turn: (frame := sub.receive_blocking(2000)) and frame.width == 32 + turn)
            publisher.kill()
            counts.append(len(domain.leftovers()))
        assert counts[-1] <= counts[0]
        with VideoFramePublisher(service) as pub:
            pub.wait_for_subscribers(1, timeout=60)
            pub.publish(np.zeros((4, 4, 3), np.uint8))
            wait_until(lambda: (frame := sub.receive_blocking(2000)) and frame.width == 4)


@pytest.mark.proves("L8")
def test_a_killed_subscriber_gives_its_place_and_its_frames_back(service: str, start: Start) -> None:
    with VideoFramePublisher(service, max_subscribers=2) as pub:
        for _ in range(3):
            readers = [start("receive_for_ever", service) for _ in range(2)]
            wait_until(lambda: pub.publish(stamped(pub), pts=pub.stats.sent) == 2)
            for reader in readers:
                publish_until(pub, reader)
                reader.kill()
            # The clean-up needs no other process to start or end.
            wait_until(lambda: pub.num_subscribers == 0)
        assert pub.stats.dropped == 0


def stamped(pub: VideoFramePublisher) -> np.ndarray:
    return np.full((64, 64, 3), pub.stats.sent % 256, np.uint8)


def publish_until(pub: VideoFramePublisher, reader: Child) -> None:
    """Publish until the reader reports."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pub.publish(stamped(pub), pts=pub.stats.sent)
        try:
            reader.told(0.01)
        except AssertionError:
            continue
        return
    raise AssertionError(reader.complaint())


def test_a_killed_subscribers_place_is_free_for_a_newcomer_at_once(service: str, start: Start) -> None:
    with VideoFramePublisher(service, max_subscribers=1) as pub:
        reader = start("receive_for_ever", service)
        publish_until(pub, reader)
        reader.kill()
        with VideoFrameSubscriber(service) as sub:
            pub.publish(np.zeros((4, 4, 3), np.uint8))
            assert sub.receive_blocking(60_000) is not None


@pytest.mark.proves("M6")
def test_stopped_hoarders_disturb_nobody(service: str, start: Start) -> None:
    """Two that hold ten different frames each: with a fixed number of 24 frames every other reader lost frames."""
    with VideoFramePublisher(service) as pub:
        hoarders = [start("hoard", service) for _ in range(2)]
        pub.wait_for_subscribers(2, timeout=60)
        for hoarder in hoarders:
            publish_until(pub, hoarder)
            hoarder.kill(signal.SIGSTOP)
        with VideoFrameSubscriber(service) as sub:
            pub.wait_for_subscribers(3, timeout=60)
            sub.latest()
            for value in range(100):
                pub.publish(np.full((64, 64, 3), value, np.uint8), pts=value)
                frame = arrived(sub.receive())
                assert frame.pts == value
                assert (frame.numpy_view() == value).all()
        assert pub.stats.dropped == 0
        for hoarder in hoarders:
            hoarder.kill(signal.SIGCONT)
            hoarder.tell()
            assert hoarder.told() == [True] * 10
            assert hoarder.ends() == 0


@pytest.mark.proves("L12")
def test_readers_that_never_wait_make_a_publisher_in_another_process_say_nothing(service: str, start: Start) -> None:
    """Their notifications pile up; iceoryx2 would write an error to standard error for each one that does not fit."""
    listener = raw.event_service(raw.node(), service).listener_builder().create()
    publisher = start("publish_and_idle", service, 3000)
    assert publisher.told() == "ready"
    with VideoFrameSubscriber(service) as sub:
        publisher.tell()
        wait_until(lambda: (frame := sub.receive()) and frame.pts == 2999)
        assert publisher.told() == "published"
        publisher.tell()
        assert publisher.ends() == 0
    assert publisher.complaint() == ""
    # The listener that was never drained is still notified.
    assert listener.try_wait()


@pytest.mark.proves("L14")
def test_a_busy_subscriber_gets_what_was_sent_from_memory_that_grew_just_before_the_end(
    service: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscriber maps new memory when it looks for frames; memory that it has not mapped goes with the publisher."""
    # As long as a busy machine needs to continue the reader; closing ends when the reader leaves.
    monkeypatch.setattr(_pool, "_FINDING", 60.0)
    reader = start("receive_all", service)
    assert reader.told() == "ready"
    with VideoFramePublisher(service) as pub:
        pub.wait_for_subscribers(1, timeout=60)
        reader.kill(signal.SIGSTOP)
        busy = threading.Timer(0.2, reader.kill, [signal.SIGCONT])
        busy.start()
        for number in range(3):
            pub.publish(np.full((720, 1280, 3), number, np.uint8), pts=number)
        pub.end_of_stream()
    busy.join()
    assert reader.told()["seen"] == [[number, number] for number in range(3)]
    assert reader.ends() == 0


@pytest.mark.proves("L14")
def test_a_reader_that_waited_counts_the_frames_that_it_was_too_slow_for(service: str, start: Start) -> None:
    """The reader was there before the publisher, so it counts the frames before its first one as dropped."""
    reader = start("receive_all", service)
    assert reader.told() == "ready"
    reader.kill(signal.SIGSTOP)
    with VideoFramePublisher(service) as pub:
        for number in range(4):
            pub.publish(picture(number), pts=number)
        reader.kill(signal.SIGCONT)
        pub.wait_for_subscribers(1, timeout=60)
        with VideoFrameSubscriber(service) as late:
            pub.wait_for_subscribers(2, timeout=60)
            pub.publish(picture(4), pts=4)
            pub.end_of_stream()
            # The late subscriber gets the newest earlier frame, then the new one.
            assert [frame.pts for frame in late] == [3, 4]
            assert late.stats.dropped == 0
        told = reader.told()
        assert told["seen"] == [[3, 3], [4, 4]]
        assert told["stats"]["dropped"] == 3
    assert reader.ends() == 0


@pytest.mark.proves("L14")
def test_ctrl_c_ends_the_wait_of_a_publisher_for_readers_to_connect(service: str, start: Start) -> None:
    """After Ctrl-C the frame is not sent, and the publisher can be closed."""
    listener = raw.event_service(raw.node(), service).listener_builder().create()
    publisher = start("publish_patiently", service)
    assert publisher.told() == "publishing"
    wait_until(lambda: sleeping(publisher.pid))
    publisher.kill(signal.SIGINT)
    assert publisher.told() == ["KeyboardInterrupt", 0]
    assert publisher.ends() == 0
    del listener


def test_closing_does_not_wait_for_a_subscriber_that_has_gone(
    service: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # If closing waited, the test would time out.
    monkeypatch.setattr(_pool, "_FINDING", 3600.0)
    with VideoFramePublisher(service) as pub:
        with VideoFrameSubscriber(service) as sub:
            pub.wait_for_subscribers(1, timeout=60)
            pub.publish(np.zeros((720, 1280, 3), np.uint8))
            assert sub.receive_blocking(60_000) is not None
        pub.close()


@pytest.mark.proves("P9")
def test_daemon_threads_say_nothing_when_the_program_ends(service: str, start: Start) -> None:
    """A closed port in a daemon thread is not an error that is printed."""
    child = start("end_while_threads_work", service)
    assert child.told() == "ending"
    assert child.ends() == 0
    assert "RuntimeError: of its own" in child.complaint()
    assert child.complaint().count("Traceback") == 1


@pytest.mark.parametrize("how", ["return", "sys.exit", "error", "thread"])
def test_a_program_that_closes_nothing_leaves_nothing(how: str, service: str, start: Start, domain: Place) -> None:
    child = start("exit_with_everything_open", service, how)
    assert child.told() == "done"
    assert child.ends() == (1 if how == "error" else 0)
    assert ("on purpose" in child.complaint()) == (how == "error")
    assert "Fatal" not in child.complaint()
    assert domain.leftovers() == []


@pytest.mark.parametrize("way", ["receive_blocking", "latest", "iteration", "async", "wait_for_subscribers"])
@pytest.mark.proves("P4")
def test_ctrl_c_ends_every_wait(way: str, service: str, start: Start) -> None:
    child = start("wait_for_ever", service, way)
    assert child.told() == "waiting"
    wait_until(lambda: sleeping(child.pid))
    child.kill(signal.SIGINT)
    assert child.told() == "KeyboardInterrupt"
    assert child.ends() == 0


def sleeping(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def test_a_signal_handler_may_close(service: str, start: Start) -> None:
    for _ in range(3):
        with VideoFramePublisher(service) as pub:
            child = start("close_from_a_signal_handler", service)
            assert child.told() == "receiving"
            pub.wait_for_subscribers(1, timeout=60)
            for number in range(100):
                pub.publish(np.zeros((4, 4, 3), np.uint8))
                if number == 60:
                    child.kill(signal.SIGTERM)
            assert child.told()["ended"]
            assert child.ends() == 0
