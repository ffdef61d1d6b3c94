"""Which results trigger a clip of `serve`."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gst_iceoryx2.results import Box, Boxes, Classification, FrameKey, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.serve.clip_rule import ClipRule, watch
from gst_iceoryx2.video import VideoFrame, VideoFrameSubscriber
from tests.results.conftest import WAIT_MS, Camera
from tests.waiting import arrived

PERSON = [Box("cat", 0.9, 0, 0, 1, 1), Box("person", 0.8, 0, 0, 1, 1)]


@pytest.mark.parametrize(
    ("rule", "is_found"),
    [
        (ClipRule("yolo"), True),
        (ClipRule("yolo", "person"), True),
        (ClipRule("yolo", "person", 0.79), True),
        (ClipRule("yolo", "person", 0.8), False),
        (ClipRule("yolo", None, 0.85), True),
        (ClipRule("yolo", "dog"), False),
        (ClipRule("yolo", "indoors", 0.4), True),
        (ClipRule("yolo", "indoors", 0.6), False),
    ],
)
def test_a_box_or_a_class_must_have_the_label_and_a_higher_score(
    rule: ClipRule, is_found: bool, out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    out.publish(frame, PERSON, classifications=[Classification("indoors", 0.5)])
    assert rule.matches(arrived(sub.receive_blocking(WAIT_MS))) is is_found


def test_nothing_matches_no_rule(out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame) -> None:
    out.publish(frame)
    assert not ClipRule("yolo").matches(arrived(sub.receive_blocking(WAIT_MS)))


def test_any_of_100_000_boxes_triggers(out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame) -> None:
    """Creating an object for each box stopped the ring for up to a second."""
    names = ["cat"] * 99_999 + ["person"]
    out.publish(frame, Boxes.of(xywh=np.zeros((100_000, 4)), labels=names))
    results = arrived(sub.receive_blocking(WAIT_MS))
    assert ClipRule("yolo", "person").matches(results)
    assert not ClipRule("yolo", "dog").matches(results)


def test_what_was_found_before_the_rule_was_set_triggers_nothing(
    camera: Camera, frames: VideoFrameSubscriber, out: ResultsPublisher
) -> None:
    """After a reload or a restart of the ring, `serve` received earlier results and wrote their clip a second time."""

    def shoot() -> FrameKey:
        camera.shoot()
        with arrived(frames.receive_blocking(WAIT_MS)) as frame:
            return FrameKey.of(frame)

    async def watched() -> tuple[list[int], FrameKey]:
        triggered: list[int] = []
        watching = asyncio.create_task(watch(ClipRule("yolo", "person"), "cam0", 0, triggered.append))
        await asyncio.to_thread(out.wait_for_subscribers, 1, 20)
        later = shoot()
        out.publish(later, PERSON)
        await asyncio.wait_for(until(triggered), 20)
        watching.cancel()
        return triggered, later

    out.publish(shoot(), PERSON)
    triggered, later = asyncio.run(watched())
    assert triggered == [later.stamp.capture]


async def until(triggered: list[int]) -> None:
    """Wait until something was triggered."""
    while not triggered:
        await asyncio.sleep(0.01)
