"""receive, receive_blocking, latest, iteration, threads and close()."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.errors import ClosedError
from gst_iceoryx2.video import (
    Qos,
    VideoFrame,
    VideoFramePublisher,
    VideoFrameSubscriber,
    _keeper,
    _link,
    _receiver,
    _waiting,
)
from gst_iceoryx2.video._intake import Intake
from tests.transport.conftest import is_waiting
from tests.waiting import arrived, wait_until


def send(pub: VideoFramePublisher, *values: int) -> None:
    for value in values:
        pub.publish(np.full((4, 4, 3), value, np.uint8), pts=value)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_receive_returns_at_once_when_nothing_is_waiting(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    assert sub.receive() is None
    send(pub, 1)
    assert sub.receive() is not None
    assert sub.receive() is None


def test_receive_blocking_gives_up_after_its_time(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    begin = time.monotonic()
    assert sub.receive_blocking(block_ms=60) is None
    assert time.monotonic() - begin >= 0.06
    assert sub.receive_blocking(0) is None


def test_a_busy_wait_polls_first_and_then_sleeps(
    pub: VideoFramePublisher, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []
    wait = _waiting.Waiter.wait
    monkeypatch.setattr(_waiting.Waiter, "wait", lambda *given: (sleeps.append(time.monotonic()), wait(*given)))
    with VideoFrameSubscriber(service, busy_wait=0.1) as sub:
        assert sub.receive() is None

        def polls() -> bool:
            sleeps.clear()
            begin, worked = time.monotonic(), time.thread_time()
            assert sub.receive_blocking(400) is None
            assert all(sleep - begin >= 0.1 for sleep in sleeps)
            # On a busy machine the thread gets less than 0.1 s of processor time, and sometimes none.
            return time.thread_time() - worked > 0.005 and bool(sleeps)

        wait_until(polls)
        later = threading.Timer(0.05, lambda: send(pub, 7))
        later.start()
        frame = arrived(sub.receive_blocking(60_000))
        assert frame.pts == 7
        later.join()


def test_closing_ends_a_busy_wait(service: str, pub: VideoFramePublisher) -> None:
    sub = VideoFrameSubscriber(service, busy_wait=3600)
    refused = []

    def wait() -> None:
        try:
            sub.receive_blocking()
        except ClosedError as exc:
            refused.append(exc)

    waiting = in_thread(wait)
    assert waiting.ident is not None
    # Only a thread that polls uses so much processor time.
    clock = time.pthread_getcpuclockid(waiting.ident)
    wait_until(lambda: time.clock_gettime(clock) > 0.05, 30)
    assert not is_waiting(sub)
    sub.close()
    waiting.join(30)
    assert len(refused) == 1


def test_a_negative_busy_wait_is_refused(service: str) -> None:
    with pytest.raises(ValueError, match="busy_wait is -1"):
        VideoFrameSubscriber(service, busy_wait=-1)


def test_a_publisher_that_goes_right_after_a_frame_is_let_go_soon(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader finds both notifications at once."""
    # Nothing else makes it look.
    monkeypatch.setattr(_link, "_LOOK_INTERVAL", 60.0)
    monkeypatch.setattr(_receiver, "_SAFETY_INTERVAL", 60.0)
    with VideoFrameSubscriber(service) as sub:
        pub = VideoFramePublisher(service)
        wait_until(lambda: (sub.receive(), sub.is_connected)[1])
        later = in_thread(lambda: (time.sleep(0.05), send(pub, 1)))
        frame = sub.receive_blocking(60_000)
        later.join()
        assert frame is not None
        del frame
        pub.close()
        waiting = in_thread(lambda: list(sub))
        wait_until(lambda: not sub.is_connected)
    waiting.join(60)


def test_receive_blocking_wakes_when_a_frame_comes(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the notification can wake it here."""
    monkeypatch.setattr(_receiver, "_SAFETY_INTERVAL", 60.0)
    monkeypatch.setattr(_waiting.Waiter, "nudge", lambda _: None)
    for value in range(5):
        timer = threading.Timer(0.02, send, (pub, value))
        timer.start()
        frame = sub.receive_blocking(20_000)
        timer.join()
        assert frame is not None
        assert frame.pts == value


@pytest.mark.proves("P4")
def test_a_waiting_thread_does_not_hold_the_interpreter(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    thread = in_thread(lambda: sub.receive_blocking(60_000))
    wait_until(lambda: is_waiting(sub), 30)
    assert sum(range(100_000)) == 4999950000
    # Both at once: this thread has computed, the other one sleeps inside the call.
    assert is_waiting(sub)
    send(pub, 1)
    thread.join(30)
    assert not thread.is_alive()


def test_close_wakes_a_waiting_thread(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_receiver, "_SAFETY_INTERVAL", 60.0)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            sub.receive_blocking()
        except ClosedError as exc:
            caught.append(exc)

    thread = in_thread(wait)
    wait_until(lambda: is_waiting(sub), 30)
    sub.close()
    thread.join(30)
    assert not thread.is_alive()
    assert "closed" in str(caught[0])
    assert sub.service_name in str(caught[0])


def test_a_closed_subscriber_says_so(service: str, sub: VideoFrameSubscriber) -> None:
    sub.close()
    sub.close()
    assert sub.is_closed
    for use in (sub.receive, sub.receive_blocking, sub.latest):
        with pytest.raises(ClosedError, match=service):
            use()
    assert list(sub) == []
    assert "closed" in repr(sub)


def test_iteration_ends_at_the_end_of_the_stream(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    send(pub, 1, 2, 3)
    pub.end_of_stream()
    assert [frame.pts for frame in sub] == [1, 2, 3]
    send(pub, 4)
    pub.end_of_stream()
    assert [frame.pts for frame in sub] == [4]


def test_iteration_holds_one_frame_at_a_time(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    send(pub, 1, 2, 3)
    pub.end_of_stream()
    frame = None
    for frame in sub:
        assert sub.stats.held <= 2
        del frame
        assert sub.stats.held == 0


def test_iteration_ends_when_another_thread_closes(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    seen: list[int | None] = []
    thread = in_thread(lambda: seen.extend(frame.pts for frame in sub))
    send(pub, 1)
    wait_until(lambda: sub.stats.received == 1)
    sub.close()
    thread.join(60)
    assert not thread.is_alive()
    assert seen == [1]


@pytest.mark.proves("M7")
def test_latest_skips_what_has_queued_up(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    send(pub, 1, 2, 3, 4)
    frame = arrived(sub.latest())
    assert frame.pts == 4
    stats = sub.stats
    assert (stats.received, stats.skipped, stats.dropped, stats.held) == (4, 3, 0, 1)
    assert sub.latest() is None
    assert sub.latest(timeout=0.02) is None


def test_latest_gives_the_last_picture_before_the_end(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    send(pub, 1, 2)
    pub.end_of_stream()
    send(pub, 3)
    first, second, third = sub.latest(), sub.latest(), sub.latest()
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.pts == 2
    assert second.is_eos()
    assert third.pts == 3


def test_latest_waits_for_a_frame(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    timer = threading.Timer(0.03, send, (pub, 5))
    timer.start()
    frame = sub.latest(timeout=60)
    timer.join()
    assert frame is not None
    assert frame.pts == 5


def test_latest_works_with_room_for_one_frame_only(service: str) -> None:
    with VideoFramePublisher(service, qos=Qos(borrowed_max=1)) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        send(pub, 1, 2, 3)
        frame = arrived(sub.latest())
        assert frame.pts == 3
        assert (frame.numpy_view() == 3).all()


@pytest.mark.parametrize("is_refused", [False, True])
def test_latest_ends_although_frames_come_faster_than_they_are_taken(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    """It took or refused frames as long as another frame waited, longer than its timeout."""
    take, more = Intake.take, iter(range(100_000))

    def take_while_another_comes(self: Intake, sample: Any, port: Any) -> VideoFrame | None:
        if next(more, None) is not None:
            send(pub, 1)
        frame = take(self, sample, port)
        return None if is_refused else frame

    monkeypatch.setattr(Intake, "take", take_while_another_comes)
    send(pub, 1)
    assert (sub.latest(timeout=0.3) is None) == is_refused
    assert next(more, None) is not None


def test_threads_share_a_subscriber(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """Each frame goes to exactly one thread."""
    received: list[int | None] = []

    def read() -> None:
        while (frame := sub.receive_blocking(60_000)) is not None and not frame.is_eos():
            received.append(frame.pts)
            assert (frame.numpy_view() == frame.pts).all()

    threads = [in_thread(read) for _ in range(3)]
    for value in range(200):
        send(pub, value)
        wait_until(lambda value=value: len(received) > value - 5)
    wait_until(lambda: len(received) == 200)
    for _ in threads:
        pub.end_of_stream()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(received) == list(range(200))  # type: ignore[type-var]


def test_a_subscriber_that_never_waits_costs_the_publisher_nothing(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    for value in range(2000):
        send(pub, value % 256)
        assert sub.receive() is not None
    assert caplog.records == []


def test_waiting_without_a_publisher_and_with_a_frame_in_hand_is_sleeping(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The held frame keeps the service alive. The subscriber looked a thousand times a second whether it is gone."""
    with VideoFrameSubscriber(service) as sub:
        with VideoFramePublisher(service) as pub:
            send(pub, 1)
            held = sub.receive_blocking(60_000)
        assert held is not None
        sleeps: list[None] = []
        wait = _waiting.Waiter.wait
        monkeypatch.setattr(_waiting.Waiter, "wait", lambda *given: (sleeps.append(None), wait(*given)))
        # A pause of the machine may use up the time before the first sleep.
        while not sleeps:
            assert sub.receive_blocking(600) is None
        assert len(sleeps) < 20
        del held


def test_the_end_arrives_though_the_buffer_overflows(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    send(pub, *range(50))
    pub.end_of_stream()
    assert [frame.pts for frame in sub] == list(range(41, 50))


def test_a_visit_empties_the_port_of_a_closed_subscriber(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One frame below the borrow limit, a visit discarded one frame only: a lossless publisher sent 100 per second."""
    visits: list[Callable[[], bool]] = []
    monkeypatch.setattr(_keeper, "adopt_closed", visits.append)
    qos = Qos(buffer_size=4, borrowed_max=2, safe_overflow=False)
    with VideoFramePublisher(service, qos=qos) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        send(pub, 1)
        held = sub.receive_blocking(3000)
        assert held is not None
        sub.close()
        (discard,) = visits
        for _ in range(2):
            assert [pub.publish(np.zeros((4, 4, 3), np.uint8)) for _ in range(5)] == [1, 1, 1, 1, 0]
            assert discard()
        held.release()
        assert not discard()
        visits.clear()
        del discard
