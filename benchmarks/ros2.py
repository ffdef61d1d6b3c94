"""What bridges to and from a ROS 2 topic cost: `python -m benchmarks.ros2 [--seconds N]`; needs eclipse-zenoh.

A process publishes 1080p at 30 frames per second (benchmarks/scenery.py). One bridge takes it to a topic, another one
from there to a service, over a router in this process, as all ROS 2 programs do. Both bridges' processor time is
measured, per frame that arrives.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.bridge import FAR, NEAR, SETTLE
from benchmarks.machine import load, machine
from gst_iceoryx2.bridge import Bridge
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.cli.bridges import free_port
from tests.cli.router import Router

GOAL = 6.0  # ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--format", default="BGR")
    parser.add_argument("--ending", default="", help="ending of the topic, such as /compressed")
    parser.add_argument("--bridge", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bridge:
        _run(*arguments.bridge)
        return
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    topic = f"ros2:/benchmark/image_raw{arguments.ending}"
    print(f"\n{arguments.size} {arguments.format} at 30 fps, {topic}")
    with tempfile.TemporaryDirectory(prefix="b") as folder, Router(free_port()) as router:
        os.environ["IOX2_VIDEO_DOMAIN"] = f"{folder}/d:{Path(folder).name}_"
        seconds = SETTLE / 30 + arguments.seconds + 30
        scenery = ("--size", arguments.size, "--format", arguments.format, "--seconds", str(seconds))
        sender, receiver = _start("near", topic, router.endpoint), _start(topic, "far", router.endpoint)
        publisher = subprocess.Popen([sys.executable, "-m", "benchmarks.scenery", NEAR, *scenery])
        try:
            _measure(arguments.seconds, sender, receiver)
        finally:
            for process in (sender, receiver):
                process.communicate()
            publisher.terminate()
            publisher.wait()


def _run(source: str, target: str, router: str) -> None:
    """Run a bridge, and print the frames so far and the processor time in seconds for each line on stdin."""
    bridge = Bridge(source, target, connect=[router])
    thread = threading.Thread(target=bridge.run)
    thread.start()
    for _ in sys.stdin:
        print(bridge.report().passed, time.process_time(), flush=True)
    bridge.stop()
    thread.join()


def _start(*ends: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.ros2", "--bridge", *ends]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(process: subprocess.Popen[str]) -> tuple[int, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    passed, spent = process.stdout.readline().split()
    return int(passed), float(spent)


def _measure(seconds: float, sender: subprocess.Popen[str], receiver: subprocess.Popen[str]) -> None:
    # Without a reader, packets would not be decoded.
    with VideoFrameSubscriber(FAR) as subscriber:
        for _ in range(SETTLE):
            frame = subscriber.receive_blocking(60_000)
            del frame
        before = [_ask(process) for process in (sender, receiver)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            frame = subscriber.receive_blocking(200)
            del frame
        after = [_ask(process) for process in (sender, receiver)]
    print(f"load: {load():.1f}; one copy of a message of 6.2 MB: {_copy():.1f} ms of processor time")
    for name, (frames, spent), (earlier, was) in zip(("to", "from"), after, before, strict=True):
        passed = frames - earlier
        print(f"bridge {name} the topic: {passed} frames of {round(seconds * 30)}, ", end="")
        print(f"{(spent - was) / passed * 1e3:.1f} ms of processor time each (goal: {GOAL:g} ms)", flush=True)


def _copy() -> float:
    """Return the processor time of a copy, which says how busy the memory is."""
    source, target = np.zeros(6_220_800, np.uint8), np.zeros(6_220_800, np.uint8)
    began = time.process_time()
    for _ in range(50):
        np.copyto(target, source)
    return (time.process_time() - began) / 50 * 1e3


if __name__ == "__main__":
    main()
