"""Measures the time that commands of `iox2-video` take until the prompt is back.

Usage: python -m benchmarks.commands [--streams 10] [--rounds 15]

Each command is a process of its own, in a private domain in which another process publishes as many streams as wanted,
640x360 in BGR with 30 frames per second. The start of the interpreter alone and with click is measured along.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from benchmarks.machine import load, machine
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, size
from gst_iceoryx2.video import VideoFramePublisher
from tests.conftest import Place

HELP_LIMIT, LIST_LIMIT = 150.0, 1000.0
FPS = 30


def publish(streams: int) -> None:
    """Publish until stdin ends; print a line when all streams exist."""
    publishers = [VideoFramePublisher(f"video/cam{number}/frame/v2", framerate=FPS) for number in range(streams)]
    picture = np.zeros((360, 640, 3), np.uint8)
    due, is_told = time.monotonic(), False
    os.set_blocking(sys.stdin.fileno(), False)
    while sys.stdin.buffer.read() is None:
        for publisher in publishers:
            publisher.publish(picture)
        if not is_told:
            print("ready", flush=True)
            is_told = True
        due += 1 / FPS
        time.sleep(max(0.0, due - time.monotonic()))
    for publisher in publishers:
        publisher.close()


def timed(command: list[str], environment: Mapping[str, str], codes: tuple[int, ...]) -> Measurement:
    """Run a command and return its time and its processor time, which a busy machine changes less."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    took = time.perf_counter() - began
    if done.returncode not in codes:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"ms": took * 1000, "processor": worked * 1000}


def measure(streams: int, rounds: int) -> Report:
    """Measure the commands that return at once."""
    place = Place()
    environment = os.environ | {"IOX2_VIDEO_DOMAIN": place.variable}
    source = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.commands", "--publish", "--streams", str(streams)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert source.stdin is not None
    assert source.stdout is not None
    source.stdout.readline()
    line = [sys.executable, "-m", "gst_iceoryx2"]
    completing = environment | {
        "_IOX2_VIDEO_COMPLETE": "bash_complete",
        "COMP_WORDS": "iox2-video info cam",
        "COMP_CWORD": "2",
    }
    cases: dict[str, Callable[[], Measurement]] = {
        "python": partial(timed, [sys.executable, "-c", "pass"], environment, (0,)),
        "python with click": partial(timed, [sys.executable, "-c", "import click"], environment, (0,)),
        "--help": partial(timed, [*line, "--help"], environment, (0,)),
        "info --help": partial(timed, [*line, "info", "--help"], environment, (0,)),
        "info (no name)": partial(timed, [*line, "info"], environment, (2,)),
        "TAB behind info cam": partial(timed, line, completing, (0,)),
        f"list, {streams} streams": partial(timed, [*line, "list"], environment, (0,)),
        "doctor": partial(timed, [*line, "doctor"], environment, (0, 1)),
    }
    try:
        # A first run fills byte code and caches.
        interleave(cases, 1)
        results = interleave(cases, rounds)
    finally:
        source.stdin.close()
        source.wait(20)
        source.stdout.close()
        place.remove()
    series = {name: Series.of(name, "ms", runs, "ms") for name, runs in results.items()}
    findings = [size(name, series[name], HELP_LIMIT) for name in ("--help", "info --help", "info (no name)")]
    findings.append(size(f"list, {streams} streams", series[f"list, {streams} streams"], LIST_LIMIT))
    worked = [Series.of(f"{name}: processor", "ms", runs, "processor") for name, runs in results.items()]
    return Report("iox2-video, from the key to the prompt", [*series.values(), *worked], findings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.commands", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.publish:
        publish(arguments.streams)
        return
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print(f"load before: {load():.1f}")
    print(measure(arguments.streams, arguments.rounds))


if __name__ == "__main__":
    main()
