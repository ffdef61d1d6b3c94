"""A rendition with a frame rate leaves out as many frames as it should, whatever the times of its source are."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.serve.converter import SourceShape
from gst_iceoryx2.serve.renditions import _Output
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.waiting import arrived

NS = 1_000_000_000
SOURCE = SourceShape(64, 36, "NV12")


@pytest.fixture
def output() -> Iterator[Callable[[str], _Output]]:
    """Return a function that returns an output by its name, for a source of 64x36 NV12 at 30 fps."""
    made: list[_Output] = []

    def make(name: str, fields: dict[str, Any] | None = None) -> _Output:
        made.append(_Output(name))
        made[-1].prepare(SOURCE, fields or {"framerate": Fraction(30)}, "video/cam0/frame/v2")
        assert made[-1].error is None
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("jitter", [0, 0.1])
@pytest.mark.parametrize(
    ("source", "wanted", "expected"),
    [(30, "15", 15), (30, "20", 20), (30, "29.97", 29.97), (60, "25", 25),
     (30, "1", 1), (25, "24", 24), (10, "15", 10), (30, "30", 30),
     (Fraction(30000, 1001), "15", Fraction(15))],
)  # fmt: skip
def test_the_rate_is_exact_in_the_long_run(
    output: Callable[[str], _Output], source: Fraction, wanted: str, expected: float, jitter: float
) -> None:
    one = output(f"cam0@@{wanted}")
    chance, seconds, interval = random.Random(7), 100, NS / source
    times = [int((number + jitter * chance.uniform(-1, 1)) * interval) + NS for number in range(int(seconds * source))]
    sent = [time for time in times if one.is_due(time)]
    assert abs(len(sent) / seconds - expected) <= 0.02 * expected, len(sent)


def test_a_pause_does_not_lead_to_a_burst(output: Callable[[str], _Output]) -> None:
    one = output("cam0@@10")
    assert sum(one.is_due(number * NS // 30) for number in range(30)) == 10
    later = 60 * NS
    assert sum(one.is_due(later + number * NS // 30) for number in range(30)) == 10


def test_a_source_whose_clock_goes_back_is_not_silent(output: Callable[[str], _Output]) -> None:
    """No frame was sent until the new times had reached the old ones."""
    one = output("cam0@@10")
    assert one.is_due(3600 * NS)
    assert sum(one.is_due(number * NS // 30) for number in range(30)) == 10


def test_the_stated_rate_is_not_above_that_of_the_source(output: Callable[[str], _Output]) -> None:
    for name, rate in (("cam0@@60", "30/1"), ("cam0@@15", "15/1"), ("cam0@32x", "30/1")):
        one = output(name)
        with VideoFrameSubscriber(full_name(name)) as subscriber:
            one.loan().send()
            frame = arrived(subscriber.receive_blocking(60_000))
            assert f"framerate=(fraction){rate}" in (frame.caps or "")
            del frame
