"""Publish a moving test picture that is drawn directly into shared memory.

Usage: python publish_loan.py [SERVICE [FRAMES]]    (FRAMES 0 = until Ctrl-C)
"""

import contextlib
import itertools
import sys
import time

import numpy as np

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFramePublisher

WIDTH, HEIGHT, RATE = 640, 480, 30


def main(service: str = DEFAULT_SERVICE, frames: str = "0") -> None:
    ramp = np.linspace(0, 255, WIDTH, dtype=np.uint8)
    counter = range(int(frames)) if int(frames) else itertools.count()
    with VideoFramePublisher(service, max_bytes=WIDTH * HEIGHT * 3, framerate=RATE) as publisher:
        publisher.wait_for_subscribers()
        for number in counter:
            # The end of the block sends the frame. An exception inside the block discards it.
            with publisher.loan(WIDTH, HEIGHT, "BGR") as frame:
                picture = frame.numpy_view()
                picture[..., 0] = np.roll(ramp, 4 * number)
                picture[..., 1:] = 64
                frame.pts = number * 1_000_000_000 // RATE
            time.sleep(1 / RATE)
        publisher.end_of_stream()
        print(publisher.stats)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
