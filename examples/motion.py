"""Tell when something moves in front of a camera: brightness of every eighth pixel, compared from frame to frame.

Usage: python motion.py [SERVICE]
"""

import contextlib
import sys

import numpy as np

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFrameSubscriber

STEP = 8  # look at every eighth pixel of every eighth row
DIFFERENT = 24  # levels of 255 by which a pixel must change
SHARE = 0.01  # of the pixels that must do so


def main(service: str = DEFAULT_SERVICE) -> None:
    before = None
    moving = False
    with VideoFrameSubscriber(service) as subscriber:
        for frame in subscriber:
            # The first plane of YUV is brightness; of packed RGB, any channel will do. Only the small copy outlives
            # this turn of the loop, so the frame goes back to the publisher at once.
            plane = frame.planes[0][::STEP, ::STEP]
            now = (plane if plane.ndim == 2 else plane[..., 1]).astype(np.int16)
            if before is not None and before.shape == now.shape:
                share = np.mean(np.abs(now - before) > DIFFERENT)
                if moving != (share > SHARE):
                    moving = not moving
                    print(f"{'motion' if moving else 'still'} at frame {frame.sequence}: {share:.1%}", flush=True)
            before = now


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
