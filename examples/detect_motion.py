"""Publish a box around everything that moves in front of a camera.

Usage: python detect_motion.py [SOURCE], then: iox2-video results SOURCE motion
"""

import contextlib
import sys

import numpy as np

from gst_iceoryx2.results import Box, ResultsPublisher
from gst_iceoryx2.video import VideoFrameSubscriber

STEP = 8  # look at every eighth pixel of every eighth row
DIFFERENT = 24  # minimum change of a pixel, in levels of 255


def main(source: str = "default") -> None:
    before = None
    service = f"video/{source}/frame/v2"
    with VideoFrameSubscriber(service) as frames, ResultsPublisher(source, "motion") as results:
        for frame in frames:
            plane = frame.planes[0][::STEP, ::STEP]
            now = (plane if plane.ndim == 2 else plane[..., 1]).astype(np.int16)
            boxes = []
            if before is not None and before.shape == now.shape:
                moved = np.abs(now - before) > DIFFERENT
                rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
                if rows.size:
                    top, left = rows[0] * STEP, columns[0] * STEP
                    size = (columns[-1] + 1) * STEP - left, (rows[-1] + 1) * STEP - top
                    boxes = [Box("motion", moved.mean(), left, top, *size)]
            results.publish(frame, boxes)
            before = now


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
