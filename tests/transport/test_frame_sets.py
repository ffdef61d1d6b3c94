"""Sets of frames of several cameras, in one process, and across processes that are late, killed or restarted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.errors import BorrowLimitError, ClosedError, FormatError, InvalidServiceNameError
from gst_iceoryx2.video import FrameSet, FrameSets, Qos, VideoFrame, VideoFramePublisher
from tests.processes.children import Child
from tests.waiting import wait_until

MS = 1_000_000
WAIT = 20.0


class Rig:
    """Two cameras whose capture times the test chooses, in milliseconds."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.cameras = {name: self.open(name) for name in ("left", "right")}

    def open(self, name: str) -> VideoFramePublisher:
        return VideoFramePublisher(f"video/{name}/frame/v2", **self.options)

    def shoot(self, name: str, moment: int, side: int = 16) -> None:
        picture = np.full((side, side), moment % 256, np.uint8)
        self.cameras[name].publish(picture, format="GRAY8", captured_at=moment * MS)

    def restart(self, name: str) -> None:
        self.cameras[name].close()
        self.cameras[name] = self.open(name)

    def close(self) -> None:
        for camera in self.cameras.values():
            camera.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    there = Rig()
    yield there
    there.close()


@pytest.fixture
def sets(rig: Rig) -> Iterator[FrameSets]:
    with reading(rig) as there:
        yield there


def reading(rig: Rig, tolerance: float = 0.005, **options: Any) -> FrameSets:
    """Return connected sets of both cameras."""
    sets = FrameSets(["left", "right"], tolerance=tolerance, **options)
    for camera in rig.cameras.values():
        camera.wait_for_subscribers(timeout=WAIT)
    return sets


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Return a function that starts a camera in another process."""
    children: list[Child] = []

    def begin(*arguments: Any) -> Child:
        children.append(Child("shoot", *arguments, acts="tests.transport.frame_set_acts"))
        assert children[-1].told() == "there"
        return children[-1]

    yield begin
    for child in children:
        if child.process.poll() is None:
            # A killed process leaves files.
            child.tell()
            child.ends()
        child.close()


def moments(one: FrameSet | None) -> tuple[int, ...]:
    """Return the capture times in milliseconds, and check the pixels and the skew."""
    assert one is not None
    with one:
        times = [(frame.captured_at or 0) // MS for frame in one.values()]
        assert [int(frame.numpy_view().max()) for frame in one.values()] == [time % 256 for time in times]
        assert one.skew == pytest.approx((max(times) - min(times)) / 1000, abs=1e-9)
    return tuple(times)


def test_nearest_frames_within_the_tolerance_come_together(rig: Rig, sets: FrameSets) -> None:
    for moment in (1000, 1033, 1066, 1100):
        rig.shoot("left", moment)
    for moment in (1002, 1040, 1063, 1100):
        rig.shoot("right", moment)
    # Until the cameras' intervals are known, a set may wait for the next frame.
    assert [moments(next(sets)) for _ in range(3)] == [(1000, 1002), (1066, 1063), (1100, 1100)]
    left, right = sets.stats.values()
    assert (left.matched, left.unmatched, right.matched, right.unmatched) == (3, 1, 3, 1)
    assert (left.copied, right.copied) == (0, 0)


def test_a_set_is_a_mapping_of_borrowed_frames(rig: Rig, sets: FrameSets) -> None:
    rig.shoot("left", 1000)
    rig.shoot("right", 1000)
    one = next(sets)
    assert list(one) == ["left", "right"]
    assert len(one) == 2
    assert isinstance(one["left"], VideoFrame)
    assert "skew 0.000 ms" in repr(one)
    assert [subscriber.stats.held for subscriber in sets.subscribers.values()] == [1, 1]
    with one:
        view = one["right"].numpy_view()
    assert [subscriber.stats.held for subscriber in sets.subscribers.values()] == [0, 1]
    del view
    assert sets.subscribers["right"].stats.held == 0


def test_the_loop_ends_with_the_stream_of_one_camera_and_its_last_set(rig: Rig, sets: FrameSets) -> None:
    for moment in (1000, 1033):
        rig.shoot("left", moment)
    rig.cameras["left"].end_of_stream()
    for moment in (1003, 1036, 1070):
        rig.shoot("right", moment)
    assert [moments(one) for one in sets] == [(1000, 1003), (1033, 1036)]
    assert sets.has_ended
    assert all(subscriber.is_closed for subscriber in sets.subscribers.values())


def test_an_end_does_not_wait_for_a_silent_camera_for_ever(rig: Rig) -> None:
    with reading(rig, wait=0.1) as sets:
        rig.shoot("left", 1000)
        rig.cameras["left"].end_of_stream()
        assert list(sets) == []
        assert sets.stats["left"].absent == 1


def test_a_frame_of_the_reference_makes_at_most_one_set(rig: Rig) -> None:
    with reading(rig, 0.015, reference="left") as sets:
        for moment in (1000, 1050, 1100):
            rig.shoot("left", moment)
        for moment in (990, 1001, 1012, 1045, 1058, 1110):
            rig.shoot("right", moment)
        assert [moments(next(sets)) for _ in range(3)] == [(1000, 1001), (1050, 1045), (1100, 1110)]


def test_latest_skips_older_sets_and_counts_them(rig: Rig, sets: FrameSets) -> None:
    assert sets.latest() is None
    for moment in (1000, 1033, 1066):
        rig.shoot("left", moment)
        rig.shoot("right", moment)
    assert moments(sets.latest(timeout=WAIT)) == (1066, 1066)
    assert sets.latest(timeout=0.01) is None
    assert sets.stats["left"].skipped == 2
    rig.cameras["right"].end_of_stream()
    assert sets.latest(timeout=None) is None
    assert sets.has_ended
    assert sets.latest(timeout=None) is None


def test_a_wait_for_the_next_set_ends_in_time_with_a_set_or_with_the_stream(rig: Rig, sets: FrameSets) -> None:
    assert sets.receive_blocking(block_ms=1) is None
    for moment in (1000, 1033):
        rig.shoot("left", moment)
        rig.shoot("right", moment)
    assert [moments(sets.receive_blocking(WAIT * 1000)) for _ in range(2)] == [(1000, 1000), (1033, 1033)]
    assert sets.nearest_miss is None
    rig.shoot("left", 1066)
    rig.shoot("right", 1079)
    assert sets.receive_blocking(block_ms=1) is None
    assert sets.nearest_miss == pytest.approx(0.013)
    rig.cameras["right"].end_of_stream()
    assert sets.receive_blocking() is None
    assert sets.has_ended
    with pytest.raises(ValueError, match="block_ms"):
        sets.receive_blocking(float("nan"))


def test_sets_come_in_an_event_loop(rig: Rig, sets: FrameSets) -> None:
    async def read() -> list[tuple[int, ...]]:
        return [moments(one) async for one in sets]

    def act() -> None:
        for moment in (1000, 1033):
            rig.shoot("left", moment)
            time.sleep(0.02)
            rig.shoot("right", moment + 1)
        rig.cameras["right"].end_of_stream()
        rig.cameras["left"].end_of_stream()

    thread = threading.Thread(target=act)
    thread.start()
    try:
        assert asyncio.run(read()) == [(1000, 1001), (1033, 1034)]
    finally:
        thread.join()


def test_more_than_half_of_the_borrow_limit_waits_in_copies(rig: Rig, sets: FrameSets) -> None:
    """The right camera is late by eight frames."""
    rig.shoot("right", 990)
    for number in range(8):
        rig.shoot("left", 1000 + 10 * number)
    assert sets.latest() is None
    assert sets.subscribers["left"].stats.held == sets.subscribers["left"].stats.limit // 2 == 5
    assert sets.stats["left"].copied == 3
    for number in range(8):
        rig.shoot("right", 1000 + 10 * number)
    assert [moments(next(sets)) for _ in range(7)] == [(1000 + 10 * number,) * 2 for number in range(7)]


def test_while_a_camera_is_silent_frames_are_dropped_and_not_copied(rig: Rig, sets: FrameSets) -> None:
    for number in range(9):
        rig.shoot("left", 1000 + 10 * number)
    assert sets.latest() is None
    assert (sets.stats["left"].waiting, sets.stats["left"].absent, sets.stats["left"].copied) == (5, 4, 0)
    rig.shoot("right", 1080)
    assert moments(sets.latest(timeout=WAIT)) == (1080, 1080)


def test_a_reader_that_keeps_all_frames_is_told() -> None:
    rig = Rig(qos=Qos(buffer_size=4, borrowed_max=2))
    try:
        with reading(rig) as sets:
            kept = []
            for moment in (1000, 1033):
                rig.shoot("left", moment)
                rig.shoot("right", moment)
                kept.append(next(sets))
            rig.shoot("left", 1066)
            with pytest.raises(BorrowLimitError, match="video/left/frame/v2"):
                next(sets)
            kept.clear()
            rig.shoot("right", 1066)
            assert moments(next(sets)) == (1066, 1066)
    finally:
        rig.close()


def test_a_camera_that_comes_back_with_another_size_goes_on(rig: Rig, sets: FrameSets) -> None:
    for name in ("left", "right"):
        rig.shoot(name, 1000)
    assert moments(next(sets)) == (1000, 1000)
    rig.restart("left")
    rig.cameras["left"].wait_for_subscribers(timeout=WAIT)
    rig.shoot("left", 2000, side=32)
    rig.shoot("right", 2000)
    with next(sets) as one:
        assert (one["left"].width, one["right"].width) == (32, 16)


def test_a_restart_with_earlier_capture_times_goes_on(rig: Rig, sets: FrameSets) -> None:
    for moment in (5000, 4990):
        rig.shoot("left", moment)
    assert sets.latest() is None
    assert sets.stats["left"].unordered == 1
    rig.restart("left")
    rig.cameras["left"].wait_for_subscribers(timeout=WAIT)
    rig.shoot("left", 1000)
    rig.shoot("right", 1000)
    assert moments(next(sets)) == (1000, 1000)
    assert sets.stats["left"].unordered == 2


def test_frames_without_capture_times_are_refused() -> None:
    rig = Rig(aux_bytes=0)
    try:
        with reading(rig) as sets:
            rig.shoot("right", 1000)
            with pytest.raises(
                FormatError, match="cannot align frames of 'video/right/frame/v2': they have no capture"
            ):
                next(sets)
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("names", "options", "kind", "text"),
    [
        (["left"], {}, ValueError, "at least 2 cameras, but names has 1"),
        ([], {}, ValueError, "names has 0"),
        ("left", {}, TypeError, "must be a list of names"),
        (["left", "right", "left"], {}, ValueError, "'left' more than once"),
        (["left", "video/left/frame/v2"], {}, ValueError, "more than once"),
        (["left", "ri\nght"], {}, InvalidServiceNameError, "ri"),
        (["left", "right"], {"tolerance": -0.001}, ValueError, "at least 0 seconds"),
        (["left", "right"], {"tolerance": float("nan")}, ValueError, "tolerance is nan"),
        (["left", "right"], {"tolerance": 1}, ValueError, "less than wait, which is 0.5"),
        (["left", "right"], {"tolerance": "5ms"}, TypeError, "number of seconds"),
        (["left", "right"], {"wait": float("inf")}, ValueError, "wait, which is inf"),
        (["left", "right"], {"reference": "front"}, ValueError, "must be one of 'left', 'right'"),
    ],
)
def test_what_cannot_be_aligned_is_refused(
    names: Any, options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        FrameSets(names, **{"tolerance": 0.005, **options})


def test_closing_a_subscriber_ends_the_loop(rig: Rig, sets: FrameSets) -> None:
    closer = threading.Timer(0.05, sets.subscribers["right"].close)
    closer.start()
    assert list(sets) == []
    closer.join()
    with pytest.raises(ClosedError):
        sets.latest()


def number_of(frame: VideoFrame) -> int:
    return int.from_bytes(frame.numpy_view()[0, :8].tobytes(), "little")


@pytest.mark.parametrize("delay", [0.0, 0.08])
def test_two_processes_give_pairs_whether_or_not_one_is_late(delay: float, start: Callable[..., Child]) -> None:
    with FrameSets(["left", "right"], tolerance=0.005) as sets:
        cameras = [start("left", 0, 0), start("right", delay, 0.002)]
        numbers = []
        for pair in sets:
            with pair:
                numbers.append(number_of(pair["left"]))
                assert number_of(pair["right"]) == numbers[-1]
                assert pair.skew == pytest.approx(0.002)
            if len(numbers) == 100:
                cameras[0].tell()
        assert len(numbers) >= 100
        assert numbers == sorted(set(numbers))


def test_after_a_camera_was_killed_sets_pause_and_go_on_when_it_is_back(start: Callable[..., Child]) -> None:
    with FrameSets(["left", "right"], tolerance=0.005) as sets:
        start("left", 0, 0)
        victim = start("right", 0, 0)
        for _ in range(10):
            next(sets).release()
        victim.kill()
        wait_until(lambda: sets.latest(timeout=0.2) is None)
        # While it is away, frames of the other camera are dropped.
        before = sets.stats["left"].absent
        wait_until(lambda: sets.latest() is None and sets.stats["left"].absent > before + 10)
        assert sets.stats["left"].waiting <= 25
        start("right", 0, 0, 32)
        for _ in range(10):
            with next(sets) as pair:
                assert number_of(pair["left"]) == number_of(pair["right"])
                assert (pair["left"].width, pair["right"].width) == (64, 32)
