"""Report motion in front of a camera by comparing the brightness of every eighth pixel from frame to frame.

Usage: python motion.py [SERVICE]
"""

import contextlib
import sys

import numpy as np

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFrameSubscriber

STEP = 8  # look at every eighth pixel of every eighth row
DIFFERENT = 24  # levels (of 255) by which a pixel must change
SHARE = 0.01  # share of pixels that must change


def main(service: str = DEFAULT_SERVICE) -> None:
    before = None
    moving = False
    with VideoFrameSubscriber(service) as subscriber:
        for frame in subscriber:
            # The first plane of YUV is brightness. For packed RGB any channel works. Only the small copy is kept, so
            # the publisher gets the frame back at once.
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
