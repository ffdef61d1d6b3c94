"""Sets of frames that belong together, compared with a brute-force search over the same capture times."""

from __future__ import annotations

import itertools
import random

import pytest

from gst_iceoryx2.video._matching import Matching

MS = 1_000_000
RATES = (15, 30, 30, 60)
Times = list[list[int]]
Sets = list[tuple[int, ...]]


def recorded(seed: int, seconds: int = 40, jitter: float = 4, loss: float = 0.05) -> Times:
    """Capture times of four cameras, with jitter in milliseconds and lost frames."""
    rng = random.Random(seed)
    return [
        [
            round(1e9 + number / rate * 1e9 + rng.uniform(-jitter, jitter) * MS)
            for number in range(seconds * rate)
            if rng.random() >= loss
        ]
        for rate in RATES
    ]


def brute_force(cameras: Times, tolerance: int, reference: int | None) -> Sets:
    """Try every combination around each pivot, knowing all frames."""
    left = [list(times) for times in cameras]
    sets: Sets = []
    while all(left):
        # What is too early for the next frame of any camera is in no set.
        floor = max(times[0] for times in left) - tolerance
        for times in left:
            while times and times[0] < floor:
                del times[0]
        if not all(left):
            break
        pivot = reference
        if pivot is None:
            pivot = max(range(len(left)), key=lambda number: left[number][0])
        moment = left[pivot][0]
        near = [
            [moment] if number == pivot else [time for time in times[:100] if abs(time - moment) <= tolerance]
            for number, times in enumerate(left)
        ]
        found = min(itertools.product(*near), key=lambda one: (max(one) - min(one), min(one)), default=None)
        if found is None or max(found) - min(found) > tolerance:
            left[pivot].pop(0)
            continue
        sets.append(found)
        for times, used in zip(left, found, strict=True):
            del times[: times.index(used) + 1]
    return sets


def streamed(
    cameras: Times, tolerance: int, reference: int | None = None, delays: tuple[int, ...] = (0, 0, 0, 0)
) -> tuple[Sets, Matching[int]]:
    """Add frames in the order of their arrival, and take each set as soon as it is final."""
    matching: Matching[int] = Matching(len(cameras), tolerance, 500 * MS, reference)
    sets: Sets = []

    def take() -> None:
        while (taken := matching.take()) is not None:
            skew, frames = taken
            assert skew == max(frames) - min(frames) <= tolerance
            sets.append(tuple(frames))

    arrivals = [
        (time + delay * MS, number, time)
        for number, (times, delay) in enumerate(zip(cameras, delays, strict=False))
        for time in times
    ]
    for _, number, time in sorted(arrivals):
        matching.cameras[number].add(time, time, 7)
        take()
    for camera in matching.cameras:
        camera.has_ended = True
    take()
    return sets, matching


@pytest.mark.parametrize("delays", [(0, 0, 0, 0), (0, 0, 80, 0), (80, 0, 0, 0), (0, 0, 0, 80)])
@pytest.mark.parametrize("reference", [None, 0, 3])
@pytest.mark.parametrize("tolerance", [5, 8, 20])
def test_streams_give_the_sets_of_a_brute_force_search(
    tolerance: int, reference: int | None, delays: tuple[int, ...]
) -> None:
    cameras = recorded(seed=tolerance)
    expected = brute_force(cameras, tolerance * MS, reference)
    sets, matching = streamed(cameras, tolerance * MS, reference, delays)
    assert len(expected) > 200
    assert len(set(expected) & set(sets)) >= 0.999 * len(expected)
    assert len(sets) <= 1.001 * len(expected)
    for number, (camera, times) in enumerate(zip(matching.cameras, cameras, strict=True)):
        used = [one[number] for one in sets]
        assert len(set(used)) == len(used) == camera.matched
        assert used == sorted(used)
        assert camera.matched + camera.unmatched + camera.absent + len(camera.times) == len(times)


@pytest.mark.parametrize("delays", [(0, 0, 0, 0), (0, 0, 80, 0)])
@pytest.mark.parametrize("reference", [None, 0])
def test_each_frame_of_the_slowest_camera_that_has_partners_is_in_a_set(
    reference: int | None, delays: tuple[int, ...]
) -> None:
    """This search knows nothing of pivots: frames of the slowest camera are too far apart to compete for partners."""
    cameras = recorded(seed=3)
    tolerance = 5 * MS
    expected = set()
    for moment in cameras[0]:
        near = [[time for time in times if abs(time - moment) <= tolerance] for times in cameras[1:]]
        skews = (max(moment, *others) - min(moment, *others) for others in itertools.product(*near))
        if min(skews, default=tolerance + 1) <= tolerance:
            expected.add(moment)
    sets, _ = streamed(cameras, tolerance, reference, delays)
    found = {one[0] for one in sets}
    assert found <= expected
    assert len(found) >= 0.999 * len(expected) > 200


def test_what_a_tolerance_beyond_the_frame_interval_gives_is_within_it_and_nearly_the_brute_force_search() -> None:
    cameras = recorded(seed=1)
    expected = brute_force(cameras, 40 * MS, None)
    sets, _ = streamed(cameras, 40 * MS)
    assert len(sets) >= 0.995 * len(expected)


def test_only_equal_capture_times_match_without_a_tolerance() -> None:
    sets, matching = streamed([[10, 20, 30, 40], [10, 21, 30, 41]], 0)
    assert sets == [(10, 10), (30, 30)]
    assert [camera.unmatched + len(camera.times) for camera in matching.cameras] == [2, 2]


@pytest.mark.parametrize("reference", [None, 0, 1])
def test_the_nearest_frames_that_were_too_far_apart_are_known(reference: int | None) -> None:
    interval = 33 * MS
    left = [number * interval for number in range(20)]
    right = [moment + 12 * MS for moment in left]
    for cameras in ([left, right], [right, left]):
        sets, matching = streamed(cameras, 5 * MS, reference)
        assert sets == []
        assert matching.nearest_miss == 12 * MS
    assert streamed([left, left], 5 * MS, reference)[1].nearest_miss is None


def two(reference: int | None = None) -> Matching[str]:
    """Return a matching of two cameras with 10 ms tolerance, each with known intervals of 33 ms."""
    matching: Matching[str] = Matching(2, 10 * MS, 500 * MS, reference)
    for number in range(20):
        for camera in matching.cameras:
            camera.add("early", number * 33 * MS + MS, 1)
    while matching.take() is not None:
        pass
    return matching


def test_a_set_does_not_wait_for_frames_that_cannot_be_nearer() -> None:
    left, right = (matching := two()).cameras
    left.add("left", 1000 * MS, 1)
    assert matching.take() is None
    right.add("right", 1009 * MS, 1)
    assert matching.take() == (9 * MS, ["left", "right"])


def test_a_set_waits_for_a_frame_that_may_be_nearer() -> None:
    matching: Matching[str] = Matching(2, 50 * MS, 500 * MS, 0)
    left, right = matching.cameras
    right.add("far", 980 * MS, 1)
    left.add("left", 1000 * MS, 1)
    assert matching.take() is None
    right.add("near", 1010 * MS, 1)
    assert matching.take() == (10 * MS, ["left", "near"])
    assert right.unmatched == 1


def test_frames_that_no_camera_can_match_do_not_wait() -> None:
    """A fast camera keeps only what the slowest one may need."""
    left, right = (matching := two()).cameras
    for number in range(10):
        right.add("fast", (660 + 4 * number) * MS, 1)
        assert matching.take() is None
    # The next frame of the left camera is expected at 661 ms, or later, but not before.
    assert len(right.times) == 10
    left.add("left", 695 * MS, 1)
    assert matching.take() == (MS, ["left", "fast"])
    assert not right.times


def test_a_restart_with_earlier_times_begins_anew() -> None:
    left, right = (matching := two()).cameras
    left.add("cut off", 5000 * MS, 1)
    assert not left.add("repeated", 5000 * MS, 1)
    assert left.add("left", 702 * MS, 2)
    right.add("right", 701 * MS, 1)
    assert matching.take() == (MS, ["left", "right"])
    assert left.unordered == 2


def test_frames_wait_for_a_camera_only_so_long() -> None:
    left, _ = (matching := two()).cameras
    for number in range(60):
        left.add("alone", (1000 + 33 * number) * MS, 1)
        assert matching.take() is None
    assert matching.is_paused
    assert len(left.times) <= 500 // 33 + 1
    assert left.absent == 60 - len(left.times)
