"""Measures results of detectors: publishing, joining with frames, and results on wrong frames.

Usage: python -m benchmarks.results [--only publish read join wrong] [--rounds 5] [--frames 100000]

`publish` and `join` use 50 boxes per frame. The source, the detector and the reader are processes of their own; the
source publishes 60 frames per second. `wrong` compares the number in the pixels of each frame with the number in its
results, while frames are dropped, the detector is ten times too slow, and source and detector are killed in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.machine import ROOT, load, machine
from benchmarks.report import Report
from benchmarks.rounds import Finding, Measurement, Series, size
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place

SOURCE, BOXES = "video/cam0/frame/v2", 50
PUBLISH_LIMIT, READ_LIMIT, JOIN_LIMIT = 60.0, 80.0, 200.0
SIZE = (480, 640, 3)


def boxes() -> list[Box]:
    """Return 50 boxes of 5 classes."""
    names = ("person", "car", "dog", "bicycle", "traffic light")
    return [Box(names[number % 5], 0.9, number, number, 40.5, 60.25, number) for number in range(BOXES)]


# -- processes ---------------------------------------------------------------------------------------------------------


def shoot(fps: float, first: int) -> None:
    """Publish frames that contain their number, until killed; `fps` 0 = as fast as possible."""
    with VideoFramePublisher(SOURCE) as publisher:
        number, due = first, time.monotonic()
        picture = np.zeros(SIZE, np.uint8)
        while True:
            picture.reshape(-1)[:8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
            publisher.publish(picture)
            number += 1
            due = max(due + (1 / fps if fps else 0), time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))


def detect(pause: float) -> None:
    """Publish 50 boxes for the newest frame, with its number, some seconds after it was received, until killed."""
    with VideoFrameSubscriber(SOURCE) as frames, ResultsPublisher("cam0", "yolo") as results:
        found = boxes()
        while (frame := frames.latest(timeout=None)) is not None:
            with frame:
                key, number = FrameKey.of(frame), number_of(frame)
            time.sleep(pause)
            results.publish(key, found, json=number)


def listen() -> None:
    """Receive results until killed."""
    with ResultsSubscriber("cam0", "yolo") as results:
        for _ in results:
            pass


def join(frames: int) -> None:
    """Join frames with their results; report the time of each join and the processor time, in µs."""
    with ResultsSubscriber("cam0", "yolo") as subscriber, subscriber.joined(wait=0.5) as joined:
        began = [0]
        for port in (joined.frames, subscriber):
            note_time(port, began)
        times: list[float] = []
        processor, wakes = 0.0, 0
        for count, (frame, results) in enumerate(joined):
            now = time.monotonic_ns()
            if results is not None:
                times.append((now - began[0]) / 1000)
            frame.release()
            if count == 50:
                times.clear()
                processor = time.process_time()
            if len(times) == frames:
                wakes = count - 50
                break
        spent = (time.process_time() - processor) / wakes * 1e6
        print(json.dumps({"times": times, "processor": spent, "stats": joined.stats}))


def note_time(port: Any, began: list[int]) -> None:
    """Note the time after each receive that returned something."""
    receive = port.receive

    def noted() -> Any:
        item = receive()
        if item is not None:
            began[0] = time.monotonic_ns()
        return item

    port.receive = noted


def number_of(frame: VideoFrame) -> int:
    """Return the number in a frame's pixels."""
    return int.from_bytes(frame.numpy_view().reshape(-1)[:8].tobytes(), "little")


@contextlib.contextmanager
def private_domain() -> Iterator[None]:
    """Use a private domain."""
    place = Place()
    os.environ["IOX2_VIDEO_DOMAIN"] = place.variable
    try:
        yield
    finally:
        place.remove()


class Children:
    """Processes that end with a `with` block."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, act: Callable[..., None], *arguments: object) -> subprocess.Popen[str]:
        """Start a process, and kill the one that did the same before."""
        self.kill(act)
        program = f"from benchmarks.results import *; {act.__name__}(*{arguments!r})"
        child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._running[act.__name__] = child
        return child

    def kill(self, act: Callable[..., None]) -> None:
        """Kill a process, if it runs."""
        child = self._running.pop(act.__name__, None)
        if child is not None:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        for act in (shoot, detect, listen, join):
            self.kill(act)


# -- measurements ------------------------------------------------------------------------------------------------------


def measure_publishing(count: int) -> Measurement:
    """Return the processor time for one result, in µs: one after the other, and with a pause before each."""
    with (
        private_domain(),
        Children() as children,
        VideoFramePublisher(SOURCE) as source,
        VideoFrameSubscriber(SOURCE) as frames,
        ResultsPublisher("cam0", "yolo") as results,
    ):
        children.start(listen)
        results.wait_for_subscribers(timeout=60)
        source.publish(np.zeros(SIZE, np.uint8))
        frame = frames.receive_blocking()
        assert frame is not None
        found = boxes()

        def publish(pause: float) -> float:
            spent = []
            for _ in range(count):
                time.sleep(pause)
                began = time.thread_time_ns()
                results.publish(frame, found)
                spent.append((time.thread_time_ns() - began) / 1000)
            return statistics.fmean(spent[count // 10 :])

        measured = {"publish": publish(0), "publish, after a pause": publish(0.002)}
        frame.release()
    return measured


def measure_reading(count: int) -> Measurement:
    """Return the processor time for receiving a frame and its result and joining them, in µs; 8 at a time."""
    with (
        private_domain(),
        VideoFramePublisher(SOURCE) as source,
        VideoFrameSubscriber(SOURCE) as frames,
        ResultsPublisher("cam0", "yolo") as results,
        ResultsSubscriber("cam0", "yolo") as subscriber,
        subscriber.joined(wait=60) as joined,
    ):
        source.wait_for_subscribers(2, timeout=60)
        results.wait_for_subscribers(timeout=60)
        found, spent = boxes(), 0
        for _ in range(max(2, count // 8)):
            for _ in range(8):
                source.publish(np.zeros(SIZE, np.uint8))
                with frames.receive_blocking() as frame:  # type: ignore[union-attr]
                    results.publish(frame, found)
            began = time.thread_time_ns()
            for _ in range(8):
                frame, joint = next(joined)
                assert joint is not None
                frame.release()
            spent += time.thread_time_ns() - began
    return {"receive and join": spent / max(2, count // 8) / 8 / 1000}


def measure_joining(frames: int) -> Measurement:
    """Return the time of a join and the processor time of the reader for each frame, in µs."""
    with private_domain(), Children() as children:
        reader = children.start(join, frames)
        children.start(detect, 0.005)
        children.start(shoot, 60, 0)
        assert reader.stdout is not None
        told = json.loads(reader.stdout.readline())
    times = sorted(told["times"])
    return {
        "join p50": times[len(times) // 2],
        "join p99": times[len(times) * 99 // 100],
        "join max": times[-1],
        "reader, with its wake-ups": told["processor"],
    }


def count_wrong(frames: int, fps: float) -> Measurement:
    """Compare the numbers in frames and results, and kill source and detector in turn every 2,000 frames."""
    with private_domain(), Children() as children:
        pause = 10 / fps
        children.start(detect, pause)
        children.start(shoot, fps, 0)
        seen = found = wrong = turn = slow = 0
        with ResultsSubscriber("cam0", "yolo") as subscriber, subscriber.joined(wait=pause * 1.2) as joined:
            for frame, results in joined:
                with frame:
                    number = number_of(frame)
                if results is not None:
                    found += 1
                    wrong += results.json != number
                seen += 1
                # Now and then, this reader is too slow, so that frames are dropped.
                if seen % 500 == 0:
                    slow += 1
                    time.sleep(0.3)
                if seen % 2000 == 0:
                    turn += 1
                    if turn % 2:
                        children.start(shoot, fps, turn * 10_000_000)
                    else:
                        children.start(detect, pause if turn % 4 else pause / 10)
                if seen >= frames:
                    break
            stats, dropped = joined.stats, joined.frames.stats.dropped
    print(f"{seen} frames, {found} with results, {wrong} wrong, {turn} kills, {dropped} dropped, {stats}", flush=True)
    return {"frames": seen, "joined": found, "wrong": wrong, "late": stats.late, "dropped": dropped or 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=["publish", "read", "join", "wrong"], default=["publish", "read", "join"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=1000, help="frames or results of each run")
    parser.add_argument("--fps", type=float, default=300, help="frames per second of `wrong`")
    arguments = parser.parse_args()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    series: list[Series] = []
    findings: list[Finding] = []

    def add(runs: list[Measurement], names: dict[str, float | None], unit: str) -> None:
        for name, limit in names.items():
            series.append(Series.of(name, unit, runs, name))
            findings.append(size(name, series[-1], limit))

    if "publish" in arguments.only:
        runs = [measure_publishing(arguments.frames) for _ in range(arguments.rounds)]
        add(runs, {"publish": PUBLISH_LIMIT, "publish, after a pause": None}, "µs")
    if "read" in arguments.only:
        runs = [measure_reading(arguments.frames) for _ in range(arguments.rounds)]
        add(runs, {"receive and join": READ_LIMIT}, "µs")
    if "join" in arguments.only:
        runs = [measure_joining(arguments.frames) for _ in range(arguments.rounds)]
        add(runs, {"join p50": None, "join p99": JOIN_LIMIT, "join max": None, "reader, with its wake-ups": None}, "µs")
    if "wrong" in arguments.only:
        runs = [count_wrong(arguments.frames, arguments.fps)]
        add(runs, {"frames": None, "joined": None, "late": None, "dropped": None, "wrong": 0}, "")
    print(Report("Results of detectors", series, findings))


if __name__ == "__main__":
    main()
