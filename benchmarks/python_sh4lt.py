"""The Python ends of a Sh4lt path, in the phases of `bench feed` and `bench drain`.

Usage: python -m benchmarks.python_sh4lt write PATH FRAMES FPS BYTES
       python -m benchmarks.python_sh4lt read PATH
"""

from __future__ import annotations

import sys
import time

import numpy as np
import numpy.typing as npt

from benchmarks.python_meter import Seen, write_stamp
from benchmarks.python_pace import send_frames
from gst_iceoryx2.sh4lt import Follower, Writer

# As many as in the pool of `bench feed`: a source uses more memory than a processor's cache.
PICTURES = 10


def drawn(size: int) -> list[npt.NDArray[np.uint8]]:
    """Return frames to be sent in turns. Memory that was never written would cost almost nothing to read."""
    return [np.ones(size, np.uint8) for _ in range(PICTURES)]


def write(path: str, frames: int, fps: int, size: int) -> None:
    pictures, clock = drawn(size), time.monotonic_ns
    with Writer(path, "application/x-frame", initial_size=size) as writer:

        def send(phase: int, number: int) -> None:
            picture = pictures[number % PICTURES]
            write_stamp(picture, phase, number, clock())
            writer.write(picture)

        send_frames(send, frames, fps)


def read(path: str) -> None:
    seen, clock = Seen(), time.monotonic_ns
    with Follower(path) as follower:
        is_last = False
        while not is_last:
            with follower.borrow() as frame:
                assert frame is not None
                is_last = seen.is_last(frame.data, clock())
        print(seen.line(), flush=True)


if __name__ == "__main__":
    role, path, *numbers = sys.argv[1:]
    if role == "write":
        write(path, *map(int, numbers))
    else:
        read(path)
