"""Receive from one service, draw on each picture, and publish it on another service.

Usage: python relay.py FROM TO
"""

import sys

import numpy as np

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber


def main(source: str, target: str) -> None:
    with VideoFrameSubscriber(source) as subscriber, VideoFramePublisher(target) as publisher:
        for frame in subscriber:
            # Received frames are read-only, because other subscribers read the same memory. Draw on a loan instead.
            with publisher.loan(frame.width, frame.height, "RGB") as out:
                picture = out.numpy_view()
                np.copyto(picture, frame.to_rgb())
                draw_border(picture)
                # Keep the camera's capture time, so that `age` is correct for subscribers of the new stream.
                out.captured_at = frame.captured_at or out.captured_at
                out.pts, out.duration = frame.pts, frame.duration
        publisher.end_of_stream()
        print(f"{publisher.stats.sent} of {subscriber.stats.received} frames sent on")


def draw_border(picture: np.ndarray) -> None:
    picture[:4] = picture[-4:] = (255, 0, 0)
    picture[:, :4] = picture[:, -4:] = (255, 0, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
