"""Time of capture, age, and missing frames."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gst_iceoryx2._wire import stamp
from gst_iceoryx2.video import FrameParams, VideoFramePublisher, VideoFrameSubscriber
from tests.pictures import noise
from tests.waiting import arrived

PICTURE = np.zeros((4, 4, 3), np.uint8)


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_a_frame_says_when_it_was_published(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    for send in (lambda: pub.publish(PICTURE), lambda: pub.publish_frame(noise(48), FrameParams(4, 4))):
        before = now()
        send()
        after = now()
        frame = arrived(sub.receive())
        assert frame.captured_at is not None
        assert frame.due_at is not None
        assert before <= frame.captured_at <= frame.due_at <= after


def test_a_loan_was_captured_when_it_began(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    before = now()
    with pub.loan(4, 4):
        after = now()
        time.sleep(0.02)
    frame = arrived(sub.receive())
    assert frame.captured_at is not None
    assert before <= frame.captured_at <= after
    assert frame.due_at is not None
    assert frame.due_at >= frame.captured_at + 20_000_000


@pytest.mark.proves("T3")
def test_the_moment_of_capture_can_be_given(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    captured_at = now() - 10**9
    pub.publish(PICTURE, captured_at=captured_at)
    with pub.loan(4, 4) as loan:
        loan.captured_at = 123
    age = arrived(sub.receive()).age
    assert age is not None
    assert 1.0 <= age <= (now() - captured_at) / 1e9
    assert arrived(sub.receive()).captured_at == 123


def test_age_grows(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    begin = now()
    pub.publish(PICTURE)
    frame = arrived(sub.receive())
    first, second = frame.age, frame.age
    assert first is not None
    assert second is not None
    assert 0 < first <= second <= (now() - begin) / 1e9


def test_a_clock_of_another_boot_tells_nothing(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        monkeypatch.setattr(stamp, "boot_id", lambda: b"\1" * 16)
        pub.publish(PICTURE)
        monkeypatch.undo()
        frame = arrived(sub.receive())
        assert (frame.captured_at, frame.due_at, frame.age) == (None, None, None)
        # Counting does not need a clock.
        assert frame.sequence == 0
        assert frame.metas == []
