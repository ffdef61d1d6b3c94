"""Which frame gets which results, and when, without a service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2.results._pairing import Pairing
from tests.damage import examples


def test_a_frame_leaves_when_its_results_come() -> None:
    pairing: Pairing[str, str] = Pairing(1, 1.0)
    pairing.add_frame("f", (1, 0), 0.0)
    assert pairing.take(0.5) is None
    pairing.add_found(0, "r", (1, 0))
    assert pairing.take(0.5) == ("f", ["r"])
    assert (pairing.joined, pairing.incomplete, len(pairing)) == (1, 0, 0)


def test_results_that_are_there_first_wait_for_their_frame() -> None:
    pairing: Pairing[str, str] = Pairing(1, 1.0)
    pairing.add_found(0, "r", (1, 0))
    pairing.add_frame("f", (1, 0), 0.0)
    assert pairing.take(0.0) == ("f", ["r"])


@pytest.mark.proves("R2")
def test_a_frame_leaves_without_results_when_its_time_is_up() -> None:
    pairing: Pairing[str, str] = Pairing(1, 1.0)
    pairing.add_frame("f", (1, 0), 0.0)
    assert pairing.deadline == 1.0
    assert pairing.take(0.999) is None
    assert pairing.take(1.0) == ("f", [None])
    pairing.add_found(0, "r", (1, 0))
    assert (pairing.joined, pairing.incomplete, pairing.late, pairing.unmatched) == (0, 1, 1, 0)
    pairing.add_found(0, "r", (1, 0))
    assert (pairing.late, pairing.unmatched) == (1, 1)


def test_frames_leave_in_their_order() -> None:
    pairing: Pairing[str, str] = Pairing(1, 1.0)
    pairing.add_frame("f", (1, 0), 0.0)
    pairing.add_frame("g", (1, 1), 0.1)
    pairing.add_found(0, "s", (1, 1))
    assert pairing.take(0.9) is None
    assert pairing.take(1.0) == ("f", [None])
    assert pairing.take(1.0) == ("g", ["s"])


def test_a_frame_waits_for_all_detectors() -> None:
    pairing: Pairing[str, str] = Pairing(2, 1.0)
    pairing.add_frame("f", (1, 0), 0.0)
    pairing.add_found(1, "b", (1, 0))
    assert pairing.take(0.5) is None
    assert pairing.take(1.0) == ("f", [None, "b"])
    pairing.add_found(1, "c", (1, 0))
    pairing.add_found(0, "a", (1, 0))
    assert (pairing.incomplete, pairing.late, pairing.unmatched) == (1, 1, 1)


def test_the_first_results_for_a_frame_count() -> None:
    pairing: Pairing[str, str] = Pairing(1, 1.0)
    pairing.add_frame("f", (1, 0), 0.0)
    pairing.add_found(0, "r", (1, 0))
    pairing.add_found(0, "again", (1, 0))
    pairing.add_found(0, "s", (1, 1))
    pairing.add_found(0, "again", (1, 1))
    pairing.add_frame("g", (1, 1), 0.0)
    assert [pairing.take(0.0), pairing.take(0.0)] == [("f", ["r"]), ("g", ["s"])]
    assert pairing.unmatched == 2


def test_another_publisher_is_another_frame() -> None:
    pairing: Pairing[str, str] = Pairing(1, 0.0)
    pairing.add_found(0, "r", (1, 0))
    pairing.add_frame("f", (2, 0), 0.0)
    assert pairing.take(0.0) == ("f", [None])


def test_a_frame_without_an_identity_does_not_wait_but_keeps_its_place() -> None:
    pairing: Pairing[str, str] = Pairing(1, 1.0)
    pairing.add_frame("f", (1, 0), 0.0)
    pairing.add_frame("g", None, 0.0)
    assert pairing.take(0.5) is None
    pairing.add_found(0, "r", (1, 0))
    assert [pairing.take(0.5), pairing.take(0.5)] == [("f", ["r"]), ("g", [None])]
    assert (pairing.joined, pairing.unkeyed, pairing.incomplete) == (1, 1, 0)


def test_a_frame_leaves_before_its_time_to_make_room() -> None:
    pairing: Pairing[str, str] = Pairing(1, 1.0)
    pairing.add_frame("f", (1, 0), 0.0)
    assert pairing.take(0.0, must_leave=True) == ("f", [None])
    assert pairing.take(0.0, must_leave=True) is None


def test_what_never_comes_takes_no_memory() -> None:
    pairing: Pairing[str, str] = Pairing(1, 0.0)
    for number in range(10_000):
        pairing.add_found(0, "r", (1, number))
    assert pairing.unmatched == 10_000 - 64
    for number in range(10_000, 20_000):
        pairing.add_frame("f", (2, number), 0.0)
        pairing.take(0.0)
    assert len(pairing._given) <= 256


EVENTS = st.tuples(st.sampled_from(["frame", "found", "take", "room"]), st.integers(1, 2), st.integers(0, 6))


@examples(300)
@given(st.lists(EVENTS, max_size=60))
@pytest.mark.proves("R1", "R4")
def test_no_results_ever_cross_over(events: list[tuple[str, int, int]]) -> None:
    pairing: Pairing[tuple[int, int], tuple[int, int]] = Pairing(1, 3.0)
    came: list[tuple[int, int]] = []
    left: list[tuple[int, int]] = []
    results = 0
    now = 0.0

    def check(taken: tuple[tuple[int, int], list[tuple[int, int] | None]] | None) -> None:
        if taken is not None:
            left.append(taken[0])
            assert taken[1] in ([None], [taken[0]])

    for event, publisher, sequence in events:
        now += 0.5
        id_ = (publisher, sequence)
        if event == "frame":
            came.append(id_)
            pairing.add_frame(id_, id_, now)
        elif event == "found":
            results += 1
            pairing.add_found(0, id_, id_)
        else:
            check(pairing.take(now, must_leave=event == "room"))
    while pairing:
        check(pairing.take(1000.0))
    assert left == came
    assert pairing.joined + pairing.incomplete + pairing.unkeyed == len(came)
    assert pairing.joined + pairing.late + pairing.unmatched <= results
