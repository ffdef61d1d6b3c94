"""Publish the edges of a stream as another stream. OpenCV reads and writes shared memory, so nothing is copied.

Needs OpenCV: pip install opencv-python-headless
Usage: python opencv_edges.py SOURCE TARGET
"""

import contextlib
import sys

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber

try:
    import cv2
except ImportError as exc:
    sys.exit(f"this example needs OpenCV: pip install opencv-python-headless ({exc})")


def main(source: str, target: str) -> None:
    count = 0
    with VideoFrameSubscriber(source) as subscriber, VideoFramePublisher(target) as publisher:
        for frame in subscriber:
            # The first plane of a YUV format already is brightness.
            plane = frame.planes[0]
            gray = plane if plane.ndim == 2 else cv2.cvtColor(plane[..., :3], cv2.COLOR_BGR2GRAY)
            with publisher.loan(frame.width, frame.height, "GRAY8") as edges:
                edges.pts, edges.captured_at = frame.pts, frame.captured_at
                cv2.Canny(gray, 80, 160, edges=edges.numpy_view())
            count += 1
            del frame, plane, gray
        publisher.end_of_stream()
    print(f"{count} frames", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
