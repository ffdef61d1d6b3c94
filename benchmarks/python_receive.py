"""Receives frames as arrays and reads the stamp of each.

Usage: python -m benchmarks.python_receive SERVICE [BUSY_WAIT]    (seconds)
"""

from __future__ import annotations

import sys
import time

from benchmarks.python_meter import Seen
from gst_iceoryx2.video import VideoFrameSubscriber


def main() -> None:
    seen, clock = Seen(), time.monotonic_ns
    busy_wait = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    with VideoFrameSubscriber(sys.argv[1], busy_wait=busy_wait) as subscriber:
        frame = subscriber.receive_blocking()
        assert frame is not None
        is_single = len(frame.planes) == 1
        while frame is not None:
            if is_single:
                pixels = frame.numpy_view()
                now = clock()
            else:
                planes, now = frame.planes, clock()
                pixels = frame.pixels
                del planes
            if seen.is_last(pixels, now):
                break
            del pixels
            frame = subscriber.receive_blocking()
        print(seen.line(), flush=True)


if __name__ == "__main__":
    main()
