"""Draw what a detector finds with supervision, and publish the frames with the drawings.

Needs supervision: pip install supervision opencv-python-headless
Usage: python supervision_boxes.py SOURCE DETECTOR TARGET
"""

import contextlib
import sys

import numpy as np

from gst_iceoryx2.results import ResultsSubscriber
from gst_iceoryx2.video import VideoFramePublisher

try:
    import supervision
except ImportError as exc:
    sys.exit(f"this example needs supervision: pip install supervision opencv-python-headless ({exc})")


def main(source: str, detector: str, target: str) -> None:
    paint = supervision.BoxAnnotator()
    with ResultsSubscriber(source, detector) as found, VideoFramePublisher(f"video/{target}/frame/v2") as out:
        for frame, results in found.joined(wait=0.2):
            picture = frame.to_rgb()[..., ::-1].copy()  # supervision draws on BGR
            if results is not None:
                boxes = results.boxes
                names, ids = np.unique([label or "" for label in boxes.labels], return_inverse=True)
                found_here = supervision.Detections(
                    boxes.xyxy, confidence=boxes.scores, class_id=ids, data={"class_name": names[ids]}
                )
                picture = paint.annotate(picture, found_here)
            out.publish(picture, pts=frame.pts, captured_at=frame.captured_at)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
