"""Frames a second, from few frames."""

from __future__ import annotations

import pytest

from gst_iceoryx2.discovery.pace import Pace

STEP = 33_333_333


def test_one_frame_has_no_rate() -> None:
    pace = Pace()
    assert pace.fps is None
    pace.note(5, 0)
    assert pace.fps is None
    pace.note(5, 0)
    assert pace.fps is None, "two frames of one moment tell no rate"


def test_the_rate_is_that_of_the_moments_and_not_of_the_look() -> None:
    pace = Pace()
    for number in range(7):
        assert not pace.is_known
        pace.note(number * STEP, 0)
    pace.note(7 * STEP, 0)
    assert pace.fps == pytest.approx(30, rel=1e-6)
    assert pace.is_known


def test_frames_that_did_not_arrive_count() -> None:
    pace = Pace()
    # Of nine frames each third one came; what was missed before the first is not of this look.
    for number in range(3):
        pace.note(number * 3 * STEP, 100 + 2 * number)
    assert pace.fps == pytest.approx(30, rel=1e-6)


def test_a_publisher_that_counts_nothing_has_the_rate_of_what_came() -> None:
    pace = Pace()
    for number in range(10):
        pace.note(number * STEP, None)
    assert pace.fps == pytest.approx(30, rel=1e-6)


def test_times_that_go_back_begin_anew() -> None:
    pace = Pace()
    pace.note(10**12, 0)
    pace.note(10**12 + STEP, 0)
    for number in range(4):
        pace.note(number * STEP * 2, 0)
    assert pace.fps == pytest.approx(15, rel=1e-6)
