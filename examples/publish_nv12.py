"""Publish NV12, which has one plane for brightness and one for colour. The caps say how to interpret the colours.

Usage: python publish_nv12.py [SERVICE [FRAMES]]    (FRAMES 0 = until Ctrl-C)
"""

import contextlib
import itertools
import sys
import time

import numpy as np

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFramePublisher

WIDTH, HEIGHT, RATE = 1280, 720, 30


def main(service: str = DEFAULT_SERVICE, frames: str = "0") -> None:
    rows = np.linspace(16, 235, HEIGHT, dtype=np.uint8)[:, np.newaxis]
    counter = range(int(frames)) if int(frames) else itertools.count()
    caps = "video/x-raw, colorimetry=(string)bt709"
    with VideoFramePublisher(service, max_bytes=WIDTH * HEIGHT * 3 // 2, framerate=RATE, caps=caps) as publisher:
        publisher.wait_for_subscribers()
        for number in counter:
            with publisher.loan(WIDTH, HEIGHT, "NV12") as frame:
                luma, chroma = frame.planes  # (720, 1280) and (360, 640, 2)
                luma[:] = np.roll(rows, number, axis=0)
                chroma[..., 0] = 128
                chroma[..., 1] = 64 + number % 128
            time.sleep(1 / RATE)
        publisher.end_of_stream()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
