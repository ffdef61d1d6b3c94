"""kill -9 of publishers and subscribers at random moments, also during their start, beside a process that survives.

``CRASH_CYCLES=200`` makes the full number of each; ``CRASH_SEED`` repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from gst_iceoryx2.video import FrameParams, VideoFramePublisher, VideoFrameSubscriber
from tests.chaos.pattern import check, fill
from tests.chaos.role import Numbering
from tests.conftest import Place
from tests.processes.children import ROOT
from tests.waiting import arrived, wait_until

CYCLES = int(os.environ.get("CRASH_CYCLES", "30"))
SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(10**6)))
# Longest life of a victim in seconds. Half of the victims die while they start, because they first clean up after the
# previous one, in a process of its own.
LIVES = {"publisher": 0.4, "subscriber": 0.4, "sink": 0.6, "source": 0.6}

pytestmark = pytest.mark.timeout(180 + 3 * CYCLES)
needs_gstreamer = pytest.mark.skipif(gstreamer_version() is None, reason="GStreamer is not there")


class Victims:
    """A process that starts participants and kills them."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.victims", *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python")))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, kind: str, service: str, lives: float) -> None:
        """Start a participant and kill it after so many seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"kind": kind, "service": service, "lives": lives}) + "\n")
        self._process.stdin.flush()

    def is_dead(self) -> bool:
        """Return whether the participant was killed; it must not have ended in another way."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], 0)[0]:
            return False
        answer = json.loads(self._process.stdout.readline())
        assert answer["killed"], "it ended by itself; its reason is in the captured standard error"
        return True

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@pytest.fixture
def victims(domain: Place, monkeypatch: pytest.MonkeyPatch, kind: str) -> Iterator[Victims]:
    monkeypatch.setenv("GST_PLUGIN_PATH", str(plugin_library().parent))
    print(f"CRASH_SEED={SEED}")
    made = Victims(*(["gst"] if kind in ("sink", "source") else []))
    yield made
    made.close()


def files(domain: Place) -> int:
    """Return the number of files in the domain."""
    return len(domain.leftovers())


def lives(kind: str) -> Iterator[float]:
    generator = random.Random(SEED)
    for _ in range(CYCLES):
        yield generator.uniform(0.0, LIVES[kind])


@pytest.mark.parametrize("kind", ["subscriber", pytest.param("source", marks=needs_gstreamer)])
@pytest.mark.proves("L8")
def test_a_publisher_and_a_subscriber_go_on_when_other_subscribers_are_killed(
    kind: str, service: str, domain: Place, victims: Victims
) -> None:
    numbering = Numbering(random.Random())
    pixels = np.empty(64 * 48 * 3, np.uint8)
    pauses = []
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service) as witness:
        pub.wait_for_subscribers(1, timeout=60)
        alone = files(domain)

        def publish() -> None:
            begin = time.monotonic()
            fill(pixels, numbering.next(len(pixels), pub.stats.dropped))
            pub.publish_frame(pixels, FrameParams(64, 48))
            with arrived(witness.receive_blocking(60_000)) as frame:
                assert check(np.frombuffer(frame.pixels, np.uint8)).number == numbering.number - 1
            pauses.append(time.monotonic() - begin)
            time.sleep(0.002)

        for life in lives(kind):
            victims.start(kind, service, life)
            while not victims.is_dead():
                publish()
        assert (witness.stats.dropped, pub.stats.dropped) == (0, 0)

        def is_as_before() -> bool:
            publish()
            return files(domain) == alone and pub.num_subscribers == 1

        # The publisher looks for dead nodes every two seconds.
        wait_until(is_as_before)
    report("a frame beside dying subscribers", pauses)


@pytest.mark.parametrize("kind", ["publisher", pytest.param("sink", marks=needs_gstreamer)])
@pytest.mark.proves("L8")
def test_a_subscriber_goes_on_when_its_publishers_are_killed(
    kind: str, service: str, domain: Place, victims: Victims
) -> None:
    delays = []
    seen: set[int] = set()
    with VideoFrameSubscriber(service) as sub:
        alone = files(domain)

        def receive() -> None:
            frame = sub.receive_blocking(10)
            if frame is None or frame.is_eos():
                return
            with frame:
                stamp = check(np.frombuffer(frame.pixels, np.uint8))
            if stamp.publisher not in seen:
                seen.add(stamp.publisher)
                delays.append((time.monotonic_ns() - stamp.born) / 1e9)

        def receive_from_one_that_lives(life: float) -> None:
            victims.start(kind, service, life)
            while not victims.is_dead():
                receive()

        for life in lives(kind):
            receive_from_one_that_lives(life)
        # On a busy machine, hardly any of them lived long enough to publish.
        longest = LIVES[kind]
        while len(delays) <= CYCLES / 10:
            longest *= 2
            assert longest < 60, "hardly any victim published"
            receive_from_one_that_lives(longest)
        with VideoFramePublisher(service) as pub:
            pub.wait_for_subscribers(1, timeout=60)
            numbering = Numbering(random.Random())
            pixels = np.empty(64 * 48 * 3, np.uint8)
            fill(pixels, numbering.next(len(pixels), 0))
            pub.publish_frame(pixels, FrameParams(64, 48))
            wait_until(lambda: (receive(), numbering.publisher in seen)[1])

        def is_as_before() -> bool:
            receive()
            return files(domain) == alone

        wait_until(is_as_before)
    report("the first frame of the next publisher", delays)


def report(what: str, seconds: list[float]) -> None:
    median, worst = statistics.median(seconds), max(seconds)
    print(f"{what}: median {1e3 * median:.1f} ms, worst {1e3 * worst:.1f} ms of {len(seconds)}")
