"""Measures sets of frames of several cameras: the time from the receipt of a set's last frame until the set is there.

Usage: python -m benchmarks.framesets [--rounds 5] [--sets 1000]

Four cameras publish 640×480 frames in processes of their own, at 15, 30, 30 and 60 frames per second. Their capture
times are common multiples of 1/60 s, so every frame of the slowest camera is in a set. `published until there` begins
before the last camera publishes its frame, and contains the transport.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.machine import ROOT, load, machine
from benchmarks.report import Report
from benchmarks.results import SIZE, note_time, private_domain
from benchmarks.rounds import Finding, Measurement, Series, size
from gst_iceoryx2.video import FrameSets, VideoFramePublisher

LIMIT = 1000.0
RATES = {"slow": 15, "left": 30, "right": 30, "fast": 60}
TICK = 1_000_000_000 // 60
TOLERANCE = 0.004


def shoot(name: str, fps: int) -> None:
    """Publish frames that were captured at multiples of 1/`fps` s and contain the time of publishing, until killed."""
    with VideoFramePublisher(f"video/{name}/frame/v2") as publisher:
        step = TICK * (60 // fps)
        captured = time.monotonic_ns() // (TICK * 4) * TICK * 4
        picture = np.zeros(SIZE, np.uint8)
        while True:
            captured += step
            time.sleep(max(0.0, captured / 1e9 - time.monotonic()))
            stamp = time.monotonic_ns()
            picture.reshape(-1)[:8] = np.frombuffer(stamp.to_bytes(8, "little"), np.uint8)
            publisher.publish(picture, captured_at=captured)


@contextlib.contextmanager
def cameras() -> Iterator[None]:
    """Run the cameras."""
    program = "from benchmarks.framesets import shoot; shoot({!r}, {})"
    children = [
        subprocess.Popen([sys.executable, "-c", program.format(name, fps)], cwd=ROOT) for name, fps in RATES.items()
    ]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def measure(count: int) -> Measurement:
    """Return the times of sets, and the processor time of the reader for each, in µs."""
    received, published, began = [], [], [0]
    with private_domain(), FrameSets(RATES, tolerance=TOLERANCE) as sets:
        for subscriber in sets.subscribers.values():
            note_time(subscriber, began)
        with cameras():
            for number, one in enumerate(sets):
                now = time.monotonic_ns()
                with one:
                    stamps = [
                        int.from_bytes(frame.numpy_view().reshape(-1)[:8].tobytes(), "little") for frame in one.values()
                    ]
                # Until the intervals are known, sets wait for the next frames.
                if number == 50:
                    processor = time.process_time()
                if number >= 50:
                    received.append((now - began[0]) / 1000)
                    published.append((now - max(stamps)) / 1000)
                if len(received) == count:
                    break
            spent = (time.process_time() - processor) / count * 1e6
            print({name: tuple(stats) for name, stats in sets.stats.items()}, flush=True)
    received.sort()
    published.sort()
    return {
        "received until there, p50": received[count // 2],
        "received until there, p99": received[count * 99 // 100],
        "published until there, p50": published[count // 2],
        "published until there, p99": published[count * 99 // 100],
        "reader, with its wake-ups": spent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sets", type=int, default=1000, help="sets of each round")
    arguments = parser.parse_args()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    runs = [measure(arguments.sets) for _ in range(arguments.rounds)]
    series = [Series.of(name, "µs", runs, name) for name in runs[0]]
    findings: list[Finding] = [
        size(one.name, one, LIMIT if name.startswith("received until there, p99") else None)
        for name, one in zip(runs[0], series, strict=True)
    ]
    print(Report("Frames of several cameras", series, findings))


if __name__ == "__main__":
    main()
