"""Every example in a docstring of `gst_iceoryx2.results` runs as it stands."""

from __future__ import annotations

import doctest
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2 import results
from gst_iceoryx2.results import Box, ResultsPublisher, ResultsSubscriber, boxes, parts
from gst_iceoryx2.serve import RenditionName, rendition_meta
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.results.conftest import SOURCE
from tests.transport.test_docstring_examples import example_of
from tests.waiting import wait_until

SMALL = "video/cam0@320x240-GRAY8/frame/v2"


def documented() -> Iterator[tuple[str, Any]]:
    """Return all public names, and the public members of classes."""
    for name in results.__all__:
        value = getattr(results, name)
        yield name, value
        for member, of in vars(value).items():
            if not member.startswith("_"):
                yield f"{name}.{member}", of


EXAMPLES = {name: code for name, value in documented() if (code := example_of(value)) is not None and ">>>" not in code}


def test_newcomers_find_an_example() -> None:
    assert set(EXAMPLES) >= {"FrameKey", "Results", "ResultsPublisher", "ResultsPublisher.publish"}
    assert set(EXAMPLES) >= {"ResultsSubscriber", "ResultsSubscriber.joined", "ResultsSubscriber.receive"}


def test_the_shown_values_are_those_of_the_examples() -> None:
    assert [doctest.testmod(module).failed for module in (boxes, parts)] == [0, 0]
    assert sum(doctest.testmod(module).attempted for module in (boxes, parts)) >= 8


def play(stop: threading.Event) -> None:
    """Publish a source, a rendition and the results of two detectors again and again, until told to stop."""
    name = RenditionName.parse("cam0@320x240-GRAY8")
    assert name is not None
    shape = name.shape(64, 48, "GRAY8")
    with VideoFrameSubscriber(SOURCE) as frames, ResultsPublisher("cam0", "pose") as pose:
        while not stop.is_set():
            with (
                VideoFramePublisher(SOURCE) as source,
                VideoFramePublisher("video/cam0@320x240-GRAY8/frame/v2") as rendition,
            ):
                for _ in range(5):
                    source.publish(np.zeros((48, 64), np.uint8), format="GRAY8")
                    frame = frames.receive_blocking(10_000)
                    assert frame is not None
                    with frame:
                        metas = [rendition_meta(frame, SOURCE, shape)]
                        rendition.publish(np.zeros((240, 320), np.uint8), format="GRAY8", metas=metas)
                        pose.publish(frame, [Box("person", 0.5, 1, 2, 3, 4)])
                        yolo = YOLO[0]
                        if yolo is not None:
                            yolo.publish(frame, [Box("person", 0.5, 1, 2, 3, 4)])
                    stop.wait(0.02)
                source.end_of_stream()
                rendition.end_of_stream()
                end = frames.receive_blocking(10_000)
                assert end is not None
                assert end.is_eos()


YOLO: list[ResultsPublisher | None] = [None]


@pytest.mark.parametrize("code", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {name: getattr(results, name) for name in results.__all__}
    program = compile(code, "example", "exec")
    stop = threading.Event()
    thread = threading.Thread(target=play, args=(stop,))
    if "ResultsPublisher" in code:
        detector = code.partition('ResultsPublisher("cam0", "')[2].partition('"')[0]
        with ResultsSubscriber("cam0", detector) as subscriber:
            thread.start()
            try:
                exec(program, names)
            finally:
                stop.set()
                thread.join()
            assert subscriber.receive_blocking(60_000) is not None
        return
    YOLO[0] = ResultsPublisher("cam0", "yolo")
    if "for results in subscriber:" in code:
        # The loop ends when its subscriber is closed.
        code = code.replace(" as subscriber:", " as subscriber, until_something_came(subscriber):", 1)
        program = compile(code, "example", "exec")
        names["until_something_came"] = UntilSomethingCame
    thread.start()
    try:
        exec(program, names)
    finally:
        stop.set()
        thread.join()
        YOLO[0].close()
        YOLO[0] = None
    assert capsys.readouterr().out


class UntilSomethingCame:
    """Closes a subscriber in the middle of a loop, as soon as it has received something."""

    def __init__(self, subscriber: ResultsSubscriber) -> None:
        self._subscriber = subscriber
        self._thread = threading.Thread(target=self._close)

    def _close(self) -> None:
        wait_until(lambda: self._subscriber.stats.received, 50)
        self._subscriber.close()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
