"""What child processes of the tests of frame sets do."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import numpy as np

from gst_iceoryx2.video import VideoFramePublisher


def shoot(name: str, delay: float, shift: float, side: int = 64) -> None:
    """Publish 50 frames a second until a line comes, then end the stream; frames leave `delay` s after their capture.

    Each frame is captured at a multiple of 20 ms plus `shift` s, and its pixels contain the number of this multiple.
    """
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    with VideoFramePublisher(f"video/{name}/frame/v2") as publisher:
        print(json.dumps("there"), flush=True)
        tick = time.monotonic_ns() // 20_000_000
        while not stop.is_set():
            tick += 1
            captured = tick * 20_000_000 + int(shift * 1e9)
            time.sleep(max(0.0, captured / 1e9 + delay - time.monotonic()))
            picture = np.zeros((side, side), np.uint8)
            picture[0, :8] = np.frombuffer(tick.to_bytes(8, "little"), np.uint8)
            publisher.publish(picture, format="GRAY8", captured_at=captured)
        publisher.end_of_stream()


def run(act: str, *arguments: Any) -> None:
    """Run an act by name."""
    globals()[act](*arguments)
