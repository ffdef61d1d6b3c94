"""Settings as values: quality of service, the sink element's properties, and where the planes of raw bytes lie."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields

import numpy as np

from .._wire.header import VIDEO_BORROWED_MAX, VIDEO_BUFFER_SIZE, VIDEO_HISTORY_SIZE, VIDEO_SAFE_OVERFLOW
from .._wire.numbers import whole


@dataclass(frozen=True, slots=True)
class Qos:
    """Quality of service that the creator of a service lays down for all its participants.

    Attributes:
        buffer_size: Frames that wait for each subscriber, at least 1.
        borrowed_max: Received frames that each subscriber may hold at once, at least 1.
        history_size: Frames that a late joiner gets; 0 means the newest one, as 1 does.
        safe_overflow: True = a full buffer loses its oldest frame, False = its newest. A Python publisher never waits
            for a subscriber: for back-pressure use `iceoryx2sink lossless=true`.

    Raises:
        ValueError: A number is outside its range, or the history has no room in a buffer that does not overflow.
        TypeError: A number is not a whole one, or `safe_overflow` is not a bool.
    """

    buffer_size: int = VIDEO_BUFFER_SIZE
    borrowed_max: int = VIDEO_BORROWED_MAX
    history_size: int = VIDEO_HISTORY_SIZE
    safe_overflow: bool = VIDEO_SAFE_OVERFLOW

    def __post_init__(self) -> None:
        for name, least in (("buffer_size", 1), ("borrowed_max", 1), ("history_size", 0)):
            # Others' services may have whatever iceoryx2 allows.
            object.__setattr__(self, name, whole(getattr(self, name), name, least, sys.maxsize))
        if not isinstance(self.safe_overflow, (bool, np.bool_)):
            raise TypeError(f"safe_overflow is {self.safe_overflow!r}, it must be True or False")
        object.__setattr__(self, "safe_overflow", bool(self.safe_overflow))
        if not self.safe_overflow and self.history_size > self.buffer_size:
            raise ValueError(
                f"history_size is {self.history_size}, buffer_size {self.buffer_size}: without safe_overflow "
                "the history must fit the buffer"
            )


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """Properties of an `iceoryx2sink` as a value, for programs that own the naming of services.

    Attributes:
        service: Name of the service.
        max_bytes: Bytes of the largest frame; 0 = as the caps say.
        buffer_size: As in `Qos`.
        borrowed_max: As in `Qos`.
        history_size: As in `Qos`.
        safe_overflow: As in `Qos`.
    """

    service: str
    max_bytes: int = 0
    buffer_size: int = VIDEO_BUFFER_SIZE
    borrowed_max: int = VIDEO_BORROWED_MAX
    history_size: int = VIDEO_HISTORY_SIZE
    safe_overflow: bool = VIDEO_SAFE_OVERFLOW

    def gst_properties(self) -> dict[str, str | int | bool]:
        """Property names as GStreamer spells them, with values for `element.set_property(name, value)`."""
        return {field.name.replace("_", "-"): getattr(self, field.name) for field in fields(self)}


@dataclass(slots=True)
class FrameParams:
    """What raw pixel bytes are, for `VideoFramePublisher.publish_frame`. Can be changed from frame to frame.

    The number of planes and where they lie follow from the format: one behind the other.

    Attributes:
        width: Pixels, at least 1 when a frame is published.
        height: Pixels, at least 1 when a frame is published.
        format: GStreamer's name of the format.
        n_planes: 1, or the format's number of planes; the header gets the latter.
        stride0: Bytes from row to row of the first plane, the others' in proportion. None = rows without padding. If
            the pixels have another length, None = length / height, where the format has one plane and that is whole.
        offset: Frame counter, as in GstBuffer's offset.
        pts: Presentation timestamp, nanoseconds.
    """

    width: int = 0
    height: int = 0
    format: str = "BGR"
    n_planes: int = 1
    stride0: int | None = None
    offset: int = 0
    pts: int = 0
