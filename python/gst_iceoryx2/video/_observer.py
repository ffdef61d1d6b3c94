"""A subscriber that looks on: no stream starts or runs for it."""

from __future__ import annotations

from .subscriber import VideoFrameSubscriber


class VideoFrameObserver(VideoFrameSubscriber):
    """Receives frames like a subscriber, but has no listener, so that a stream on demand is not demanded by it.

    It finds frames by polling: a frame is received up to 2 ms after it was sent.
    """

    _is_reader = False
