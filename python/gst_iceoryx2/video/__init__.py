"""Publish and subscribe to video frames in shared memory from plain Python, without GStreamer.

    from gst_iceoryx2.video import VideoFrameSubscriber

    for frame in VideoFrameSubscriber("video/cam0/frame/v2"):
        print(frame.numpy_view().shape, frame.age)

Frames are borrowed. Their arrays are read-only views of the publisher's shared memory, which all subscribers of the
service read. The memory stays in place for as long as an array refers to it.
"""

from __future__ import annotations

from .._iox2.binding import create_listener, create_node, create_notifier
from .._wire.auxblob import ParsedAux, build_aux, parse_aux
from .._wire.formats import (
    PACKED_FORMATS,
    SUPPORTED_FORMATS,
    format_channels,
    header_pixels_to_numpy_view,
    plane_heights,
)
from .._wire.header import (
    BUFFER_FLAGS,
    DEFAULT_AUX_BYTES,
    DEFAULT_SERVICE,
    FORMAT_LEN,
    HEADER_ALIGN,
    HEADER_FLAG_EOS,
    HEADER_SIZE,
    HEADER_TYPE_NAME,
    MAX_PLANES,
    VIDEO_BORROWED_MAX,
    VIDEO_BUFFER_SIZE,
    VIDEO_HISTORY_SIZE,
    VIDEO_SAFE_OVERFLOW,
    VideoFrameHeader,
)
from .._wire.metas import CustomMeta, ReferenceTimestamp
from .._wire.validate import validate_geometry
from ._joint import JointReader as _JointReader
from ._publishing import Publishing as _Publishing
from ._receiver import Receiver as _Receiver
from ._reception import Reception as _Reception
from ._service import open_video_service
from .config import FrameParams, Qos, SinkConfig
from .frame import VideoFrame
from .frame_sets import FrameSet, FrameSets, FrameSetStats
from .loan import LoanedFrame
from .publisher import PublisherStats, VideoFramePublisher
from .subscriber import SubscriberStats, VideoFrameSubscriber

__all__ = [
    "BUFFER_FLAGS",
    "DEFAULT_AUX_BYTES",
    "DEFAULT_SERVICE",
    "FORMAT_LEN",
    "HEADER_ALIGN",
    "HEADER_FLAG_EOS",
    "HEADER_SIZE",
    "HEADER_TYPE_NAME",
    "MAX_PLANES",
    "PACKED_FORMATS",
    "SUPPORTED_FORMATS",
    "VIDEO_BORROWED_MAX",
    "VIDEO_BUFFER_SIZE",
    "VIDEO_HISTORY_SIZE",
    "VIDEO_SAFE_OVERFLOW",
    "CustomMeta",
    "FrameParams",
    "FrameSet",
    "FrameSetStats",
    "FrameSets",
    "LoanedFrame",
    "ParsedAux",
    "PublisherStats",
    "Qos",
    "ReferenceTimestamp",
    "SinkConfig",
    "SubscriberStats",
    "VideoFrame",
    "VideoFrameHeader",
    "VideoFramePublisher",
    "VideoFrameSubscriber",
    "build_aux",
    "create_listener",
    "create_node",
    "create_notifier",
    "format_channels",
    "header_pixels_to_numpy_view",
    "open_video_service",
    "parse_aux",
    "plane_heights",
    "validate_geometry",
]

# Help texts and error messages show the public module, not the private one that defines the object.
for _object in (*map(globals().get, __all__), _JointReader, _Publishing, _Receiver, _Reception):
    if "._" in getattr(_object, "__module__", ""):
        _object.__module__ = __name__
