"""Read pictures from ossia score on one Sh4lt path and write their negatives to another.

It stops if no frame arrives for 2 s.

Usage: python sh4lt_negative.py [FROM TO]
"""

import sys
from functools import partial

import numpy as np

from gst_iceoryx2.sh4lt import Follower, Writer


def main(source: str = "/tmp/score_shm_video", target: str = "/tmp/score_shmdata_input") -> None:
    count = 0
    with Follower(source) as follower:
        first = follower.read()  # also waits for a writer
        assert first is not None
        print(first.datatype, flush=True)
        with Writer(target, first.datatype) as writer:
            while True:
                # The frame is borrowed from the writer, which waits until the block ends.
                with follower.borrow(timeout=2) as frame:
                    if frame is None:
                        break
                    writer.write_with(len(frame), partial(paint_negative, frame.data))
                count += 1
    print(f"{count} frames")


def paint_negative(rgba: np.ndarray, out: np.ndarray) -> None:
    np.subtract(255, rgba, out=out)
    out[3::4] = rgba[3::4]


if __name__ == "__main__":
    main(*sys.argv[1:])
