"""Twelve seconds of `make soak`: resources do not grow while processes stream, change sizes and reopen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import gstreamer_version
from tests.soak.__main__ import play
from tests.soak.gauges import DESCRIPTORS, FILES, THREADS, Samples, table


@pytest.mark.timeout(600)
@pytest.mark.skipif(gstreamer_version() is None, reason="GStreamer is not there")
@pytest.mark.proves("L8")
def test_descriptors_threads_and_files_stay_flat_while_subscribers_come_and_go(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    verdict, samples = play(seed, 12.0, tmp_path / "logs", patience=6.0)
    print("\n".join([*verdict.lines(), *table(samples.growths)]))
    assert not verdict.faults, "\n\n".join(verdict.faults)
    assert not verdict.leftovers
    # Memory is not judged: sizes are random, and few of them occur within seconds.
    judged = [growth for growth in samples.growths if growth.gauge in (DESCRIPTORS, THREADS, FILES)]
    assert not [str(growth) for growth in judged if not growth.is_flat]
    # Enough happened.
    assert verdict.frames > 200
    assert verdict.performed["quit"] >= 2


def test_a_thing_that_grows_is_found() -> None:
    samples = Samples()
    for number in range(40):
        samples.note("camera", DESCRIPTORS, 20 + number // 4)
        samples.note("camera", THREADS, 5 + number % 2)
    growths = {growth.gauge: growth for growth in samples.growths}
    assert not growths[DESCRIPTORS].is_flat
    assert growths[THREADS].is_flat
    assert str(growths[DESCRIPTORS]) == "camera: descriptors 23 in the second quarter, 28 in the last"
    assert any("23 → 28 !" in line for line in table([growths[DESCRIPTORS]]))
