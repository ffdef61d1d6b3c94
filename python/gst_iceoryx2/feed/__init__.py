"""Publishes a test pattern, video file, picture, camera, network stream or pipeline as a service.

    from gst_iceoryx2.feed import Feeder, TestPattern

    print(Feeder("cam0", TestPattern(1280, 720), duration=10).run())

`VideoFile`, `Image`, `NetworkStream` and `FrameDecoder` need PyAV (`pip install 'iox2-video[record]'`), and so does
`Camera` to convert to formats other than RGB and BGR.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import FeedError, SettingError, SourceError
from .feeder import Fed, Feeder
from .pattern import TestPattern, read_number
from .source import Lend, Picture, Shape, Source

if TYPE_CHECKING:
    from .camera import Camera
    from .decoder import Image, VideoFile
    from .frame_decoder import FrameDecoder
    from .network import NetworkStream
    from .pipeline import PipelineFeeder, PipelineRun
    from .v4l2.controls import CameraControl
    from .v4l2.device import CameraFormat, CameraSize, SizeRange
    from .v4l2.listing import CameraInfo, cameras
    from .v4l2.offer import CameraOffer, camera_offer

__all__ = [
    "Camera",
    "CameraControl",
    "CameraFormat",
    "CameraInfo",
    "CameraOffer",
    "CameraSize",
    "Fed",
    "FeedError",
    "Feeder",
    "FrameDecoder",
    "Image",
    "Lend",
    "NetworkStream",
    "Picture",
    "PipelineFeeder",
    "PipelineRun",
    "SettingError",
    "Shape",
    "SizeRange",
    "Source",
    "SourceError",
    "TestPattern",
    "VideoFile",
    "camera_offer",
    "cameras",
    "read_number",
]

# Names whose modules need Linux, PyAV or GStreamer.
_LAZY = {
    "Camera": "camera",
    "CameraControl": "v4l2.controls",
    "CameraFormat": "v4l2.device",
    "CameraInfo": "v4l2.listing",
    "CameraOffer": "v4l2.offer",
    "CameraSize": "v4l2.device",
    "FrameDecoder": "frame_decoder",
    "Image": "decoder",
    "NetworkStream": "network",
    "PipelineFeeder": "pipeline",
    "PipelineRun": "pipeline",
    "SizeRange": "v4l2.device",
    "VideoFile": "decoder",
    "camera_offer": "v4l2.offer",
    "cameras": "v4l2.listing",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
