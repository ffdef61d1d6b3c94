"""Report motion in front of a camera by comparing every eighth pixel with the previous frame.

Usage: python motion.py [SERVICE]
"""

import contextlib
import sys

import numpy as np

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFrameSubscriber

STEP = 8  # look at every eighth pixel of every eighth row
DIFFERENT = 24  # minimum change of a pixel, in levels of 255
SHARE = 0.01  # minimum share of changed pixels


def main(service: str = DEFAULT_SERVICE) -> None:
    before = None
    moving = False
    with VideoFrameSubscriber(service) as subscriber:
        for frame in subscriber:
            # The first plane of a YUV format is brightness. For packed RGB, any channel works. Only a small copy is
            # kept, so the publisher can reuse the frame immediately.
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
