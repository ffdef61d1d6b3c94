"""Publishes pictures as hard to encode as a slow pan over a landscape: `python -m benchmarks.scenery SERVICE`."""

from __future__ import annotations

import argparse
import time
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2.video import VideoFramePublisher

_MARGIN = 256
_PIXELS_A_FRAME = 3


def scenery(width: int, height: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return smooth noise in several scales, (height, width), with the grain of a camera."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    for cell, weight in ((128, 60.0), (32, 30.0), (8, 14.0), (2, 5.0)):
        rows, columns = height // cell + 2, width // cell + 2
        coarse = random.standard_normal((rows, columns), np.float32)
        total += weight * coarse.repeat(cell, 0).repeat(cell, 1)[:height, :width]
        # Steps would be easier, or harder, to encode than a real scene.
        total = (total + np.roll(total, cell // 2, 0) + np.roll(total, cell // 2, 1)) / 3
    total += 2 * random.standard_normal(total.shape, np.float32)
    return (128 + total).clip(16, 235).astype(np.uint8)


def main() -> None:
    """Publish for the given time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--format", default="NV12")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    known = get_format(arguments.format)
    rows, columns = height + _MARGIN, width + _MARGIN
    sources = []
    for index, plane in enumerate(known.plane_views(columns, rows, *known.tight_layout(columns, rows)[:2])):
        flat = scenery(plane.shape[1] * (plane.shape[2] if len(plane.shape) == 3 else 1), plane.shape[0], index)
        sources.append(flat.reshape(plane.shape))
    with VideoFramePublisher(arguments.service, framerate=Fraction(arguments.fps)) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        began = time.monotonic()
        for number in range(round(arguments.seconds * arguments.fps)):
            shift = number * _PIXELS_A_FRAME % _MARGIN // 4 * 4
            with publisher.loan(width, height, arguments.format) as frame:
                for index, (target, source) in enumerate(zip(frame.planes, sources, strict=True)):
                    x, y = shift >> known.planes[index].w_shift, shift // 2 >> known.planes[index].h_shift
                    np.copyto(target, source[y : y + target.shape[0], x : x + target.shape[1]])
                frame.pts, frame.offset = number * 1_000_000_000 // arguments.fps, number
            time.sleep(max(0.0, began + (number + 1) / arguments.fps - time.monotonic()))
        publisher.end_of_stream()


if __name__ == "__main__":
    main()
