"""What child processes of the tests of results do."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any

from gst_iceoryx2.errors import Iox2VideoError
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.results.conftest import SOURCE, Camera, number_of


def is_over() -> bool:
    """Return whether stdin has ended."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def shoot(first: int) -> None:
    """Publish a hundred frames per second, with numbers from `first` on, until stdin ends."""
    camera = Camera()
    camera.number = first
    say("there")
    while not is_over():
        camera.shoot()
        time.sleep(0.01)
    camera.publisher.close()


def detect(name: str, pause: float) -> None:
    """Publish the number in each frame, some seconds after it was received, until stdin ends."""
    with VideoFrameSubscriber(SOURCE) as frames, ResultsPublisher("cam0", name) as out:
        say("there")
        while not is_over():
            frame = frames.latest(timeout=0.05)
            if frame is None or frame.is_eos():
                continue
            with frame:
                key, number = FrameKey.of(frame), number_of(frame)
            time.sleep(pause)
            out.publish(key, [Box("number", 1, number, 0, 1, 1)])


def fork_with_ports() -> None:
    """Fork with open ports; report what the child gets, and what the parent receives afterwards."""
    camera = Camera()
    out, sub, frames = ResultsPublisher("cam0", "yolo"), ResultsSubscriber("cam0", "yolo"), VideoFrameSubscriber(SOURCE)
    joined = sub.joined(wait=20)
    camera.shoot()
    frame = frames.receive_blocking(20_000)
    assert frame is not None
    key = FrameKey.of(frame)
    frame.release()
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        errors = []
        for act in (lambda: out.publish(key), sub.receive, lambda: next(joined)):
            try:
                act()
                errors.append("nothing")
            except Iox2VideoError as exc:
                errors.append(type(exc).__name__)
        os.write(writable, json.dumps(errors).encode())
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    out.publish(key, [Box("a", 1, 0, 0, 1, 1)])
    _, results = next(joined)
    following = 0 if results is None else len(results.boxes)
    say({"status": status, "errors": json.loads(os.read(readable, 10_000)), "following": following})
    joined.close()
    for port in (out, sub, frames, camera.publisher):
        port.close()


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def run(act: str, *arguments: Any) -> None:
    """Run an act by name."""
    globals()[act](*arguments)
