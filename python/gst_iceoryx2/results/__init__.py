"""Publish and subscribe to the results of detectors, and join them with the frames that they belong to.

A detector that takes 80 ms gives boxes for a picture that others have long passed on. Each result therefore carries the
identity of its frame:

    from gst_iceoryx2.results import Box, ResultsPublisher
    from gst_iceoryx2.video import VideoFrameSubscriber

    with VideoFrameSubscriber("video/cam0@640x640-RGB/frame/v2") as frames, ResultsPublisher("cam0", "yolo") as out:
        for frame in frames:
            out.publish(frame, [Box("person", 0.91, 10, 20, 64, 128)])

A reader gets each frame with its own results, or with None:

    from gst_iceoryx2.results import ResultsSubscriber

    for frame, results in ResultsSubscriber("cam0", "yolo").joined(wait=0.08):
        print(frame.sequence, None if results is None else results.boxes)
"""

from __future__ import annotations

from .._wire.results import VideoResultsHeader
from .boxes import Box, Boxes
from .joined import JoinedFrames, JoinStats
from .key import FrameKey
from .parts import Classification, Keypoint, Mask, Tensor
from .publisher import ResultsPublisher, ResultsPublisherStats
from .result import Results
from .subscriber import ResultsSubscriber, ResultsSubscriberStats

__all__ = [
    "Box",
    "Boxes",
    "Classification",
    "FrameKey",
    "JoinStats",
    "JoinedFrames",
    "Keypoint",
    "Mask",
    "Results",
    "ResultsPublisher",
    "ResultsPublisherStats",
    "ResultsSubscriber",
    "ResultsSubscriberStats",
    "Tensor",
    "VideoResultsHeader",
]

# Help texts and error messages show the public module, not the private one that defines the object.
for _name in __all__:
    if "._" in getattr(globals()[_name], "__module__", ""):
        globals()[_name].__module__ = __name__
