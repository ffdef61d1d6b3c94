"""Reads a stream of `iox2-video serve`, for benchmarks.serve.

Usage: python -m benchmarks.serve_reader starts NAME COUNT    opens NAME, waits for a frame and leaves, COUNT times
       python -m benchmarks.serve_reader frames NAME          receives arrays until stdin ends
       python -m benchmarks.serve_reader scaled NAME          receives frames and scales each one to RGB, 640x640
       python -m benchmarks.serve_reader relay NAME           publishes a copy of each frame as NAME@@1000

`starts` prints the milliseconds from opening to the first frame, and reads a line before each time. The others print
`ready` after the first frame, and the number of frames per second at the end.
"""

from __future__ import annotations

import sys
import threading
import time

from benchmarks.conversion import SIZE
from gst_iceoryx2.discovery import full_name, short_name
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber

FIRST_WITHIN_MS = 20_000


def starts(name: str) -> None:
    for _ in sys.stdin:
        began = time.monotonic()
        with VideoFrameSubscriber(name) as subscriber:
            frame = subscriber.receive_blocking(FIRST_WITHIN_MS)
            took = time.monotonic() - began
            if frame is None:
                raise SystemExit(f"no frame of {name} arrived within {FIRST_WITHIN_MS} ms")
            frame.release()
        print(took * 1000, flush=True)


def read(name: str, *, is_scaled: bool) -> None:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    frames, began = 0, 0.0
    with VideoFrameSubscriber(name) as subscriber:
        while not ended.is_set():
            frame = subscriber.receive_blocking(FIRST_WITHIN_MS)
            if frame is None:
                raise SystemExit(f"no frame of {name} arrived within {FIRST_WITHIN_MS} ms")
            with frame:
                if is_scaled:
                    frame.to_rgb(size=SIZE)
                else:
                    frame.numpy_view()
            if not began:
                began = time.monotonic()
                print("ready", flush=True)
            else:
                frames += 1
    print(frames / (time.monotonic() - began), flush=True)


def relay(name: str) -> None:
    with (
        VideoFrameSubscriber(name) as subscriber,
        VideoFramePublisher(full_name(f"{short_name(name)}@@1000")) as copies,
    ):
        for frame in subscriber:
            with frame, copies.loan(frame.width, frame.height, frame.format) as loan:
                for target, plane in zip(loan.planes, frame.planes, strict=True):
                    target[...] = plane


def main() -> None:
    what, name = sys.argv[1], full_name(sys.argv[2])
    if what == "starts":
        starts(name)
    elif what == "relay":
        relay(name)
    else:
        read(name, is_scaled=what == "scaled")


if __name__ == "__main__":
    main()
