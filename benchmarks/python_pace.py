"""The pace of sending, in the phases of `bench feed` (crates/gst/examples/bench/pace.rs)."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable

from benchmarks.python_meter import COUNTED, END, SETTLE, WARM_UP, Meter

# Seconds between two frames while receivers connect.
SLOW = 0.01


def send_frames(send: Callable[[int, int], None], frames: int, fps: int) -> None:
    """Call `send(phase, number)` slowly until the start, then at the measured pace, then slowly until the stop.

    Args:
        send: Sends one frame.
        frames: How many count.
        fps: Frames per second; 0 = as fast as they go.
    """
    interval = 1 / fps if fps else 0.0
    go, stop = threading.Event(), threading.Event()

    def obey() -> None:
        while sys.stdin.read(1):
            go.set()
        stop.set()

    # A daemon: at the end of the process it may still be waiting for input.
    threading.Thread(target=obey, daemon=True).start()

    def send_all(count: int, phase: int) -> None:
        due = time.monotonic()
        for number in range(count):
            if interval:
                due += interval
                time.sleep(max(0.0, due - time.monotonic()))
            send(phase, number if phase == COUNTED else 0)

    print("ready", flush=True)
    while not go.is_set():
        send(WARM_UP, 0)
        time.sleep(SLOW)
        if stop.is_set() and not go.is_set():
            return
    send_all(SETTLE, WARM_UP)
    meter = Meter()
    send_all(frames, COUNTED)
    result = meter.taken(frames)
    while True:
        send(END, frames)
        if stop.is_set():
            break
        time.sleep(SLOW)
    print(json.dumps(result), flush=True)
