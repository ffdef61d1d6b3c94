"""Print one line per second about a service: size, format, frame rate, age, dropped frames.

Usage: python subscribe.py [SERVICE]
"""

import contextlib
import sys
import time

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFrameSubscriber


def main(service: str = DEFAULT_SERVICE) -> None:
    with VideoFrameSubscriber(service) as subscriber:
        frames, began = 0, time.monotonic()
        # The loop sleeps between frames and ends with the stream.
        for frame in subscriber:
            frames += 1
            now = time.monotonic()
            if now - began < 1:
                continue
            age = "unknown" if frame.age is None else f"{frame.age * 1e3:.2f} ms"
            print(
                f"{frame.width}x{frame.height} {frame.format}, {frames / (now - began):.1f} fps, age {age}, "
                f"mean {frame.planes[0].mean():.1f}, dropped {subscriber.stats.dropped}",
                flush=True,
            )
            frames, began = 0, now
        print(f"end of stream: {subscriber.stats.received} frames received, {subscriber.stats.dropped} dropped")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
