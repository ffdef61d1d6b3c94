"""Settings classes: quality of service, properties of the sink element, and parameters of raw frames."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields

import numpy as np

from .._wire.header import VIDEO_BORROWED_MAX, VIDEO_BUFFER_SIZE, VIDEO_HISTORY_SIZE, VIDEO_SAFE_OVERFLOW
from .._wire.numbers import whole


@dataclass(frozen=True, slots=True)
class Qos:
    """Quality of service. The creator of a service chooses it for all participants.

    Attributes:
        buffer_size: Frames that can queue for each subscriber, at least 1.
        borrowed_max: Received frames that each subscriber may hold at once, at least 1.
        history_size: Recent frames that are sent to a subscriber that joins late; 0 is treated as 1 (the newest frame).
        safe_overflow: Whether a full buffer drops its oldest frame (True) or the new one (False). A Python publisher
            never waits for a subscriber. Use `iceoryx2sink lossless=true` for back-pressure.

    Raises:
        ValueError: A number is out of range, or `safe_overflow` is False and the history does not fit into the buffer.
        TypeError: An argument is not an integer, or `safe_overflow` is not a bool.

    Example:
        Let each subscriber hold 30 frames:

            from gst_iceoryx2.video import Qos, VideoFramePublisher

            with VideoFramePublisher("video/cam0/frame/v2", qos=Qos(borrowed_max=30)) as publisher:
                print(publisher.qos)
    """

    buffer_size: int = VIDEO_BUFFER_SIZE
    borrowed_max: int = VIDEO_BORROWED_MAX
    history_size: int = VIDEO_HISTORY_SIZE
    safe_overflow: bool = VIDEO_SAFE_OVERFLOW

    def __post_init__(self) -> None:
        for name, least in (("buffer_size", 1), ("borrowed_max", 1), ("history_size", 0)):
            # Other programs may create services with any number that iceoryx2 allows.
            object.__setattr__(self, name, whole(getattr(self, name), name, least, sys.maxsize))
        if not isinstance(self.safe_overflow, (bool, np.bool_)):
            raise TypeError(f"safe_overflow is {self.safe_overflow!r}, but must be True or False")
        object.__setattr__(self, "safe_overflow", bool(self.safe_overflow))
        if not self.safe_overflow and self.history_size > self.buffer_size:
            raise ValueError(
                f"history_size {self.history_size} is larger than buffer_size {self.buffer_size}: without "
                "safe_overflow, the history must fit into the buffer"
            )


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """Properties of an `iceoryx2sink` element.

    Attributes:
        service: Service name.
        max_bytes: Size of the largest frame in bytes; 0 = derived from the caps.
        buffer_size: Frames that can queue for each subscriber.
        borrowed_max: Received frames that each subscriber may hold at once.
        history_size: Recent frames that are sent to a subscriber that joins late; 0 is treated as 1 (the newest frame).
        safe_overflow: Whether a full buffer drops its oldest frame (True) or the new one (False).

    Example:
        Print a pipeline description:

            from gst_iceoryx2.video import SinkConfig

            properties = SinkConfig("video/cam0/frame/v2", buffer_size=3).gst_properties()
            print("videotestsrc ! iceoryx2sink", *(f"{name}={value}" for name, value in properties.items()))
    """

    service: str
    max_bytes: int = 0
    buffer_size: int = VIDEO_BUFFER_SIZE
    borrowed_max: int = VIDEO_BORROWED_MAX
    history_size: int = VIDEO_HISTORY_SIZE
    safe_overflow: bool = VIDEO_SAFE_OVERFLOW

    def gst_properties(self) -> dict[str, str | int | bool]:
        """Return a dict from GStreamer property name to value, for `element.set_property(name, value)`."""
        return {field.name.replace("_", "-"): getattr(self, field.name) for field in fields(self)}


@dataclass(slots=True)
class FrameParams:
    """Size, format and timestamp of raw pixel bytes for `VideoFramePublisher.publish_frame`. Mutable.

    The format determines the number of planes. They follow one another in the bytes.

    Attributes:
        width: Width in pixels, at least 1 when a frame is published.
        height: Height in pixels, at least 1 when a frame is published.
        format: GStreamer's name for the pixel format.
        n_planes: 1, or the format's number of planes. The header always carries the format's number.
        stride0: Bytes from the start of one row to the next in the first plane; other planes scale in proportion. None
            = rows without padding; for a single-plane format, None means the number of pixel bytes divided by the
            height.
        offset: Frame counter, like the offset of a GstBuffer.
        pts: Presentation timestamp in nanoseconds.

    Example:
        Publish raw RGB bytes with rows padded to 2,048 bytes:

            from gst_iceoryx2.video import FrameParams, VideoFramePublisher

            params = FrameParams(640, 480, "RGB", stride0=2048)
            with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                for number in range(3):
                    params.offset, params.pts = number, number * 40_000_000
                    publisher.publish_frame(bytes(480 * 2048), params)
    """

    width: int = 0
    height: int = 0
    format: str = "BGR"
    n_planes: int = 1
    stride0: int | None = None
    offset: int = 0
    pts: int = 0
