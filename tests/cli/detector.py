"""Detects the number of each frame of the test pattern, in a process of its own, as in `tests.processes.acts`."""

from __future__ import annotations

import threading
import time
from typing import Any

from gst_iceoryx2.feed import read_number
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.processes.acts import hear, tell

PLACES, STEP = 100, 6
TOP, WIDTH, HEIGHT = 200, 20, 40


def run(act: str, *arguments: Any) -> None:
    globals()[act](*arguments)


def left(number: int, width: int = 640) -> float:
    """Return the left edge of the box of a frame, in a source that is 640 pixels wide."""
    return number % PLACES * STEP * width / 640


def detect(source: str, name: str, pause: float, boxes: int) -> None:
    """Publish boxes whose place is the frame's number, `pause` seconds after it was received, until a line comes."""
    stop = threading.Event()
    threading.Thread(target=lambda: (hear(), stop.set()), daemon=True).start()
    with VideoFrameSubscriber(f"video/{source}/frame/v2") as frames, ResultsPublisher("cam0", name) as out:
        tell("detecting")
        while not stop.is_set():
            frame = frames.latest(timeout=0.05)
            if frame is None or frame.is_eos():
                continue
            with frame:
                key, number = FrameKey.of(frame), read_number(frame.planes[0])
                scale = frame.width / 640
            time.sleep(pause)
            x, *rest = left(number) * scale, TOP * scale, WIDTH * scale, HEIGHT * scale
            out.publish(key, [Box("number", 1, x, *rest)] * boxes)
