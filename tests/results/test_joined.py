"""Frames with the results that belong to them, in one process and across processes that are slow, dead or restarted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.clock import Origin
from gst_iceoryx2._wire.stamp import Stamp, boot_id
from gst_iceoryx2.errors import BorrowLimitError
from gst_iceoryx2.results import Box, FrameKey, JoinStats, Results, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.results.key import id_of, packet_stamp
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.processes.children import Child
from tests.results.conftest import SOURCE, WAIT_MS, Camera, number_of
from tests.results.test_results import rendered
from tests.waiting import arrived, wait_until


class Detector:
    """Reads frames, and finds the number of each in its pixels."""

    def __init__(self, name: str = "yolo") -> None:
        self.out = ResultsPublisher("cam0", name)
        self.frames = VideoFrameSubscriber(SOURCE)

    def look(self) -> tuple[FrameKey, int]:
        """Receive a frame; return its key and its number."""
        with arrived(self.frames.receive_blocking(WAIT_MS)) as frame:
            return FrameKey.of(frame), number_of(frame)

    def tell(self, seen: tuple[FrameKey, int]) -> None:
        """Publish the number of a frame."""
        self.out.publish(seen[0], [Box("number", 1, seen[1], 0, 1, 1)])

    def close(self) -> None:
        self.out.close()
        self.frames.close()


@pytest.fixture
def detector() -> Iterator[Detector]:
    there = Detector()
    yield there
    there.close()


@contextmanager
def reading(camera: Camera, *names: str, wait: float) -> Iterator[Any]:
    """Join frames with results; frames and detectors are connected."""
    subscribers = [ResultsSubscriber("cam0", name) for name in names or ("yolo",)]
    joined = subscribers[0].joined(*subscribers[1:], wait=wait)
    wait_until(lambda: joined.frames.is_connected and all(one.is_connected for one in subscribers))
    try:
        yield joined
    finally:
        joined.close()
        for subscriber in subscribers:
            subscriber.close()


def taken(joined: Any) -> tuple[int, int | None]:
    """Return the next frame's number in its pixels, and the number in its results."""
    frame, results = next(joined)
    with frame:
        return number_of(frame), None if results is None else int(results.boxes[0].x)


@pytest.mark.proves("R1")
def test_each_frame_comes_with_its_results(camera: Camera, detector: Detector) -> None:
    with reading(camera, wait=20) as joined:
        for _ in range(5):
            camera.shoot()
        seen = [detector.look() for _ in range(5)]
        # The order of the results does not matter.
        for one in reversed(seen):
            detector.tell(one)
        assert [taken(joined) for _ in range(5)] == [(number, number) for number in range(5)]
        assert joined.stats == JoinStats(5, 0, 0, 0, 0, 0)


@pytest.mark.proves("R7")
def test_frames_are_borrowed_and_not_copied(camera: Camera, detector: Detector) -> None:
    with reading(camera, wait=20) as joined:
        camera.shoot()
        detector.tell(detector.look())
        frame, results = next(joined)
        assert isinstance(frame, VideoFrame)
        assert isinstance(results, Results)
        assert (joined.frames.stats.held, results.sequence, frame.sequence) == (1, 0, 0)
        assert results.stamp == frame.stamp
        frame.release()
        assert joined.frames.stats.held == 0


@pytest.mark.proves("R2")
def test_a_dead_detector_delays_a_frame_by_the_wait_and_no_more(camera: Camera, detector: Detector) -> None:
    with reading(camera, wait=0.2) as joined:
        for _ in range(3):
            camera.shoot()
        start = time.monotonic()
        assert [taken(joined) for _ in range(3)] == [(0, None), (1, None), (2, None)]
        # All three were received at once, so they waited together.
        assert 0.19 < time.monotonic() - start < 30
        assert joined.stats == JoinStats(0, 3, 0, 0, 0, 0)


@pytest.mark.proves("R2")
def test_without_a_detector_frames_come_alone(camera: Camera) -> None:
    with ResultsSubscriber("cam0", "nobody") as sub, sub.joined(wait=0) as joined:
        wait_until(lambda: joined.frames.is_connected)
        camera.shoot()
        assert taken(joined) == (0, None)


@pytest.mark.proves("R1", "R3")
def test_results_that_come_too_late_are_counted_and_not_shown(camera: Camera, detector: Detector) -> None:
    with reading(camera, wait=0.05) as joined:
        camera.shoot()
        seen = detector.look()
        assert taken(joined) == (0, None)
        detector.tell(seen)
        camera.shoot()
        assert taken(joined) == (1, None)
        wait_until(lambda: joined._take_results() or joined.stats.late == 1)
        assert joined.stats == JoinStats(0, 2, 0, 0, 1, 0)


@pytest.mark.proves("R4")
def test_results_of_a_restarted_source_do_not_cross_over(camera: Camera, detector: Detector) -> None:
    """Both publishers have a frame 0. Results of the first one come when the second one is there."""
    with reading(camera, wait=0.3) as joined:
        camera.shoot()
        old = detector.look()
        assert taken(joined) == (0, None)
        camera.restart()
        wait_until(lambda: joined.frames.is_connected)
        camera.shoot()
        new = detector.look()
        assert (old[0].stamp.sequence, new[0].stamp.sequence) == (0, 0)
        detector.tell(old)
        assert taken(joined) == (1, None)
        camera.shoot()
        detector.tell(detector.look())
        assert taken(joined) == (2, 2)
        assert joined.stats.late == 1


@pytest.mark.proves("R4")
def test_results_of_a_restarted_detector_belong_to_their_frames(camera: Camera, detector: Detector) -> None:
    with reading(camera, wait=20) as joined:
        for _ in range(4):
            camera.shoot()
        seen = [detector.look() for _ in range(4)]
        for one in seen[:2]:
            detector.tell(one)
        assert [taken(joined) for _ in range(2)] == [(0, 0), (1, 1)]
        detector.out.close()
        detector.out = ResultsPublisher("cam0", "yolo")
        for one in (seen[3], seen[2]):
            detector.tell(one)
        assert [taken(joined) for _ in range(2)] == [(2, 2), (3, 3)]


def test_several_detectors_are_joined(camera: Camera, detector: Detector) -> None:
    pose = Detector("pose")
    with reading(camera, "yolo", "pose", wait=0.3) as joined:
        for _ in range(2):
            camera.shoot()
        for one in [detector.look() for _ in range(2)]:
            detector.tell(one)
        pose.tell(pose.look())
        rows = []
        for _ in range(2):
            frame, first, second = next(joined)
            with frame:
                rows.append((number_of(frame), first.boxes[0].x, second and second.boxes[0].x))
        assert rows == [(0, 0, 0), (1, 1, None)]
        assert joined.stats[:2] == (1, 1)
    pose.close()


def test_a_frame_leaves_early_when_no_more_may_be_borrowed(camera: Camera, detector: Detector) -> None:
    """The service allows 10 frames. The reader has one, 8 wait, and the next one is there."""
    with reading(camera, wait=60) as joined:
        camera.shoot()
        detector.tell(detector.look())
        kept, _ = next(joined)
        for _ in range(9):
            camera.shoot()
        start = time.monotonic()
        assert taken(joined) == (1, None)
        assert time.monotonic() - start < 50
        assert joined.stats == JoinStats(1, 1, 1, 0, 0, 0)
        assert joined.frames.stats.held == 8
        assert number_of(kept) == 0
        kept.release()


def test_a_reader_that_keeps_too_many_frames_is_told(camera: Camera, detector: Detector) -> None:
    with reading(camera, wait=0) as joined:
        kept = []
        for _ in range(10):
            camera.shoot()
            kept.append(next(joined)[0])
        camera.shoot()
        with pytest.raises(BorrowLimitError, match="10 frames are already held"):
            next(joined)
        assert [number_of(frame) for frame in kept] == list(range(10))
        del kept[0]
        assert taken(joined) == (10, None)
        del kept


def test_the_iteration_ends_with_the_stream_and_its_last_results(camera: Camera, detector: Detector) -> None:
    with reading(camera, wait=20) as joined:
        camera.shoot()
        camera.publisher.end_of_stream()
        detector.tell(detector.look())
        assert [(frame.sequence, results.sequence) for frame, results in joined] == [(0, 0)]
        assert list(joined) == []
        assert joined.stats.joined == 1


def test_frames_without_a_stamp_are_counted() -> None:
    with (
        VideoFramePublisher(SOURCE, aux_bytes=0) as publisher,
        ResultsSubscriber("cam0", "yolo") as sub,
        sub.joined(wait=60) as joined,
    ):
        publisher.publish(np.zeros((4, 4, 3), np.uint8))
        frame, results = next(joined)
        assert (frame.width, results) == (4, None)
        assert joined.stats == JoinStats(0, 0, 0, 1, 0, 0)
        del frame


@pytest.mark.proves("R5")
def test_results_meet_the_frames_of_a_rendition(camera: Camera, detector: Detector) -> None:
    """A reader of one rendition gets what was found in another one."""
    name = "video/cam0@32x32/frame/v2"
    with ResultsSubscriber("cam0", "yolo") as sub, sub.joined(wait=20, frames=name) as joined:
        camera.shoot()
        with arrived(detector.frames.receive_blocking(WAIT_MS)) as frame:
            detector.out.publish(frame, [Box("whole", 1, 0, 0, 64, 48)])
            threading.Thread(target=rendered, args=(frame, "cam0@32x32", SOURCE)).start()
            shown, results = next(joined)
            assert (shown.width, shown.height) == (32, 32)
            assert results is not None
            key = FrameKey.of(shown)
            assert key.rendition is not None
            assert (results.publisher, results.sequence) == key.id
            x, y, width, height = results.boxes.xywh[0].tolist()
            assert key.rendition.from_source_box((x, y, x + width, y + height)) == (0, 4, 32, 28)
            shown.release()


@pytest.mark.proves("R5")
def test_frames_that_crossed_a_bridge_and_their_renditions_have_the_key_of_the_first_frame() -> None:
    first = Stamp(bytes(range(16)), 77, 5, 1000)
    with VideoFramePublisher("video/far/frame/v2") as publisher, VideoFrameSubscriber("video/far/frame/v2") as frames:
        own = publisher_id(publisher, frames)
        for origin, id_ in (
            (Origin(first, 10), (77, 5)),
            (Origin(first._replace(sequence=None), 10), (own, 2)),
        ):
            publisher.publish(np.zeros((48, 64), np.uint8), format="GRAY8", metas=[origin.meta()], captured_at=9)
            with arrived(frames.receive_blocking(WAIT_MS)) as bridged:
                key = FrameKey.of(bridged)
                assert key.id == id_of(bridged) == id_
                assert (key.stamp.boot_id, key.stamp.capture) == (boot_id(), 9)
                assert packet_stamp(bridged) == key.stamp
                shown = rendered(bridged, "far@32x32", "video/far/frame/v2", origin.meta())
            assert FrameKey.of(shown).id == id_of(shown) == id_
            assert (FrameKey.of(shown).stamp.capture, FrameKey.of(shown).width) == (9, 64)
            # A packet of a rendition has no results, because it cannot tell how their coordinates map to it.
            assert packet_stamp(shown) == shown.stamp


def publisher_id(publisher: VideoFramePublisher, frames: VideoFrameSubscriber) -> int:
    """Return the ID in the stamps of a publisher."""
    publisher.publish(np.zeros((48, 64), np.uint8), format="GRAY8")
    with arrived(frames.receive_blocking(WAIT_MS)) as frame:
        assert frame.stamp.publisher is not None
        return frame.stamp.publisher


def test_a_frame_loop_works_with_async_for(camera: Camera, detector: Detector) -> None:
    async def read(joined: Any) -> list[tuple[int, int]]:
        rows = []
        async for frame, results in joined:
            with frame:
                rows.append((number_of(frame), int(results.boxes[0].x)))
        return rows

    def work() -> None:
        for _ in range(3):
            time.sleep(0.02)
            camera.shoot()
            detector.tell(detector.look())
        camera.publisher.end_of_stream()

    with reading(camera, wait=20) as joined:
        thread = threading.Thread(target=work)
        thread.start()
        assert asyncio.run(read(joined)) == [(0, 0), (1, 1), (2, 2)]
        thread.join()


def test_closing_the_results_ends_the_iteration(camera: Camera, out: ResultsPublisher) -> None:
    with ResultsSubscriber("cam0", "yolo") as sub:
        joined = sub.joined(wait=60)
        threading.Timer(0.1, sub.close).start()
        assert list(joined) == []


@pytest.mark.parametrize(("wait", "kind"), [(-1, ValueError), (float("nan"), ValueError), ("x", TypeError)])
def test_a_wait_that_cannot_be_is_refused(wait: Any, kind: type[Exception], camera: Camera) -> None:
    with ResultsSubscriber("cam0", "yolo") as sub, pytest.raises(kind):
        sub.joined(wait=wait)


def test_something_else_than_one_subscriber_of_each_detector_is_refused(camera: Camera) -> None:
    """A name raised AttributeError, and a subscriber that was given twice never gave its second result."""
    with ResultsSubscriber("cam0", "yolo") as sub:
        with pytest.raises(TypeError, match="joined needs subscribers of results, not str"):
            sub.joined("pose")  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="is given twice, but each result goes to one reader"):
            sub.joined(sub)


# -- across processes ------------------------------------------------------------------------------------------------


@pytest.mark.proves("R1", "R2", "R3")
def test_a_detector_that_is_ten_times_too_slow_never_marks_another_frame(
    start: Callable[..., Child], camera: Camera
) -> None:
    """At 100 frames per second, the detector takes 100 ms for each, and processes the newest one."""
    child = start("detect", "yolo", 0.1)
    child.told()
    with reading(camera, wait=0.15) as joined:
        stop = threading.Event()
        thread = threading.Thread(target=shoot_until, args=(camera, stop))
        thread.start()
        try:
            rows, longest = [], 0.0
            # A detector that gets no time to run finds nothing, so there are more frames if it needs them.
            while len(rows) < 300 or joined.stats.joined + joined.stats.late <= 5:
                before = time.monotonic()
                rows.append(taken(joined))
                longest = max(longest, time.monotonic() - before)
        finally:
            stop.set()
            thread.join()
        right = [row for row in rows if row[1] is not None]
        assert all(number == found for number, found in right)
        assert [number for number, _ in rows] == sorted({number for number, _ in rows})
        stats = joined.stats
        assert stats.joined == len(right)
        assert stats.joined + stats.incomplete == len(rows)
        # The service allows 10 frames, which come within 100 ms.
        assert longest < 30
    end(child)


@pytest.mark.parametrize("victim", ["source", "detector"])
@pytest.mark.proves("R4")
def test_a_killed_process_and_its_successor_never_mix(victim: str, start: Callable[..., Child]) -> None:
    """Numbers go on after a restart, sequences begin anew."""
    children = {"source": start("shoot", 0), "detector": start("detect", "yolo", 0.02)}
    for child in children.values():
        child.told()
    with ResultsSubscriber("cam0", "yolo") as sub, sub.joined(wait=0.2) as joined:
        total = 0
        for life in range(1, 4):
            found, publishers = 0, set()
            deadline = time.monotonic() + 40
            while found < 20:
                assert time.monotonic() < deadline, joined
                frame, results = next(joined)
                with frame:
                    if results is not None:
                        found += 1
                        assert (number_of(frame), frame.stamp[1:3]) == (
                            int(results.boxes[0].x),
                            (results.publisher, results.sequence),
                        )
                    publishers.add(frame.stamp.publisher)
            total += found
            children[victim].kill()
            again = ("shoot", life * 1_000_000) if victim == "source" else ("detect", "yolo", 0.02)
            children[victim] = start(*again)
        assert joined.stats.joined == total == 60
    for child in children.values():
        end(child)
    # The next participant removes what the killed ones left.
    ResultsPublisher("cam0", "yolo").close()
    VideoFramePublisher(SOURCE).close()


def end(child: Child) -> None:
    child.tell()
    assert child.ends() == 0, child.complaint()


def shoot_until(camera: Camera, stop: threading.Event) -> None:
    while not stop.is_set():
        camera.shoot()
        stop.wait(0.01)


def test_a_forked_child_is_told_and_the_parent_goes_on(start: Callable[..., Child]) -> None:
    child = start("fork_with_ports")
    assert child.told(30) == {"status": 0, "errors": ["ForkedError"] * 3, "following": 1}
    assert child.ends() == 0, child.complaint()
