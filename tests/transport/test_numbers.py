"""Every numeric argument of a port, given NaN, numpy scalars, booleans and far too large numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2 import jpeg
from gst_iceoryx2.errors import FormatError, FrameTimeoutError
from gst_iceoryx2.video import (
    FrameParams,
    ReferenceTimestamp,
    VideoFramePublisher,
    VideoFrameSubscriber,
    create_node,
    open_video_service,
)
from tests.waiting import arrived

PICTURE = np.zeros((4, 4, 3), np.uint8)

MAKING: dict[str, Callable[[Any], object]] = {
    "max_bytes": lambda value: VideoFramePublisher("video/n", max_bytes=value),
    "max_frames": lambda value: VideoFramePublisher("video/n", max_frames=value),
    "aux_bytes": lambda value: VideoFramePublisher("video/n", aux_bytes=value),
    "max_subscribers": lambda value: VideoFramePublisher("video/n", max_subscribers=value),
    "max_publishers": lambda value: VideoFramePublisher("video/n", max_publishers=value),
    "busy_wait": lambda value: VideoFrameSubscriber("video/n", busy_wait=value),
    "quality": lambda value: jpeg.encode_rgb(PICTURE, value),
    "max_pixels": lambda value: jpeg.decode(b"", max_pixels=value),
}
WAITING: dict[str, Callable[[VideoFramePublisher, VideoFrameSubscriber, Any], object]] = {
    "block_ms": lambda _, sub, value: sub.receive_blocking(value),
    "timeout": lambda _, sub, value: sub.latest(value),
    "timeout ": lambda pub, _, value: pub.wait_for_subscribers(2, value),
    "n": lambda pub, _, value: pub.wait_for_subscribers(value, 0),
}
SENDING: dict[str, Callable[[VideoFramePublisher, Any], object]] = {
    "width": lambda pub, value: pub.loan(value, 4),
    "height": lambda pub, value: pub.publish_frame(PICTURE, FrameParams(4, value)),
    "stride0": lambda pub, value: pub.loan(4, 4, stride0=value),
    "pts": lambda pub, value: pub.publish(PICTURE, pts=value),
    "offset": lambda pub, value: pub.publish(PICTURE, offset=value),
    "flags": lambda pub, value: pub.publish(PICTURE, flags=value),
    "captured_at": lambda pub, value: pub.publish(PICTURE, captured_at=value),
    "timestamp": lambda pub, value: pub.publish(PICTURE, metas=[ReferenceTimestamp("timestamp/x-unix", value)]),
}


@pytest.mark.parametrize("value", [math.nan, True, "5", None])
@pytest.mark.parametrize("name", MAKING)
def test_what_is_not_a_number_makes_nothing(name: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} is .*, but must be a"):
        MAKING[name](value)


@pytest.mark.parametrize("name", ["aux_bytes", "max_subscribers", "max_publishers", "quality"])
@pytest.mark.proves("P8")
def test_what_is_far_too_large_makes_nothing(name: str) -> None:
    """iceoryx2 began to write the hundreds of gigabytes that 2**31 subscribers need."""
    with pytest.raises(ValueError, match=f"^{name} is .*, but must be at most"):
        MAKING[name](1 << 40)


def test_a_service_has_the_same_limits(service: str) -> None:
    with pytest.raises(ValueError, match="max_publishers is 2147483648, but must be at most 65,536"):
        open_video_service(create_node(), service, max_publishers=1 << 31)


@pytest.mark.parametrize("value", [math.nan, True, "5"])
@pytest.mark.parametrize("name", WAITING)
@pytest.mark.proves("P8")
def test_what_is_not_a_number_is_not_waited_for(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, name: str, value: object
) -> None:
    """`receive_blocking(float("nan"))` never returned."""
    with pytest.raises((TypeError, ValueError), match=f"^{name.strip()} is .*, but must be a"):
        WAITING[name](pub, sub, value)


@pytest.mark.parametrize("value", [0, -1, -math.inf, np.float32(0.01), np.float64(0.01), np.int8(0)])
@pytest.mark.proves("P8")
def test_times_are_numbers_of_any_type(pub: VideoFramePublisher, sub: VideoFrameSubscriber, value: Any) -> None:
    """`receive_blocking(np.float32(5))` was a TypeError."""
    assert sub.receive_blocking(value) is None
    assert sub.latest(value) is None
    with pytest.raises(FrameTimeoutError):
        pub.wait_for_subscribers(np.int64(2), value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.inf, 10**400, 1e300])
@pytest.mark.proves("P8")
def test_the_longest_times_end_with_what_was_waited_for(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, value: Any
) -> None:
    assert pub.wait_for_subscribers(1, value) == 1
    for receive in (sub.receive_blocking, sub.latest):
        pub.publish(PICTURE)
        assert receive(value) is not None


@pytest.mark.parametrize("value", [math.nan, 1.5, "5"])
@pytest.mark.parametrize("name", SENDING)
def test_a_frame_of_no_numbers_is_a_format_error(pub: VideoFramePublisher, name: str, value: object) -> None:
    with pytest.raises(FormatError, match=name):
        SENDING[name](pub, value)


@pytest.mark.parametrize("framerate", [np.int64(30), np.float32(30), 30])
def test_a_frame_rate_may_be_numpys(service: str, framerate: Any) -> None:
    """With an integer of numpy, `publish` did not return."""
    with VideoFrameSubscriber(service) as sub, VideoFramePublisher(service, framerate=framerate) as pub:
        pub.wait_for_subscribers(1, 60)
        pub.publish(PICTURE)
        frame = arrived(sub.receive_blocking(60_000))
        assert "framerate=(fraction)30/1" in (frame.caps or "")
