"""Sends frames from Python, in the phases of `bench feed`.

Usage: python -m benchmarks.python_send SERVICE HOW FORMAT WIDTH HEIGHT FRAMES FPS    (FPS 0 = as fast as they go)

HOW is `loan`: nothing but the stamp is written into the loan; `fill`: the loan is filled with a picture, and stamped
when that is done; `publish`: an array is stamped and copied.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.python_meter import write_stamp
from benchmarks.python_pace import send_frames
from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2.video import VideoFramePublisher


def main() -> None:
    service, how, format, *numbers = sys.argv[1:]
    width, height, frames, fps = map(int, numbers)
    known, clock = get_format(format), time.monotonic_ns
    strides, offsets, size = known.tight_layout(width, height)
    picture = np.full(size, 128, np.uint8)
    planes = known.views(picture, width, height, strides, offsets)
    with VideoFramePublisher(service, max_bytes=size) as publisher:
        loan = publisher.loan

        def send_loan(phase: int, number: int) -> None:
            with loan(width, height, format) as frame:
                write_stamp(frame.bytes(), phase, number, clock())

        def send_filled(phase: int, number: int) -> None:
            with loan(width, height, format) as frame:
                pixels = frame.bytes()
                np.copyto(pixels, picture)
                write_stamp(pixels, phase, number, clock())

        def send_array(phase: int, number: int) -> None:
            write_stamp(picture, phase, number, clock())
            publisher.publish(planes, format=format)

        ways: dict[str, Callable[[int, int], None]] = {
            "loan": send_loan,
            "fill": send_filled,
            "publish": send_array,
        }
        send_frames(ways[how], frames, fps)


if __name__ == "__main__":
    main()
