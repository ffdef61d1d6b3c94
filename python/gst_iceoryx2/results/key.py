"""Which frame a result belongs to: the frame of the source, also if a rendition of it was analysed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .._wire.clock import CLOCK_META
from .._wire.stamp import Stamp, boot_id
from ..errors import FormatError
from ..video.frame import VideoFrame
from ..video.rendition import RENDITION_META, Rendition

_RENDITION: Final = RENDITION_META.encode()
_CLOCK: Final = CLOCK_META.encode()


@dataclass(frozen=True, slots=True)
class FrameKey:
    """The frame of a source that results belong to, and how coordinates map to it.

    `ResultsPublisher.publish` takes a key instead of a frame, so that you can release the frame first.

    Attributes:
        stamp: Stamp of the source's frame. If the frame crossed a bridge, publisher and sequence are those of its first
            publisher.
        width: Width of the source's frame in pixels.
        height: Height of the source's frame in pixels.
        rendition: How the analysed frame shows the source; None = it is the source's frame itself.

    Example:
        Release the frame before a slow analysis:

            from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
            from gst_iceoryx2.video import VideoFrameSubscriber

            with VideoFrameSubscriber("video/cam0/frame/v2") as frames, ResultsPublisher("cam0", "yolo") as results:
                with frames.receive_blocking() as frame:
                    key, picture = FrameKey.of(frame), frame.to_rgb()
                results.publish(key, [Box("cat", 0.9, 10, 20, 30, 40)])
    """

    stamp: Stamp
    width: int
    height: int
    rendition: Rendition | None = None

    @classmethod
    def of(cls, frame: VideoFrame) -> FrameKey:
        """Return the key of a frame.

        Raises:
            FormatError: The frame has no stamp, or is the end of the stream.
        """
        if not isinstance(frame, VideoFrame):
            raise FormatError(f"results need a frame of a service, which has a stamp, not {type(frame).__name__}")
        aux = bytes(frame.aux)
        rendition = _rendition(frame, aux)
        stamp = _source_stamp(frame, rendition)
        origin = _origin(frame, aux)
        if origin is not None:
            stamp = stamp._replace(publisher=origin[0], sequence=origin[1])
        size = (frame.width, frame.height) if rendition is None else rendition.source_size
        key = cls(stamp, *size, rendition)
        if key.id is None:
            raise FormatError(
                f"{frame!r} has no stamp, so results cannot be matched with it; publish its frames with "
                "VideoFramePublisher or iceoryx2sink, and with aux-bytes other than 0"
            )
        return key

    @property
    def id(self) -> tuple[int, int] | None:
        """Publisher and sequence of the source's frame; None = unknown."""
        return _id(self.stamp.publisher, self.stamp.sequence)


def id_of(frame: VideoFrame) -> tuple[int, int] | None:
    """Return publisher and sequence of the source's frame; None if a frame has no stamp."""
    aux = bytes(frame.aux)
    stamp = _source_stamp(frame, _rendition(frame, aux))
    return _origin(frame, aux) or _id(stamp.publisher, stamp.sequence)


def packet_stamp(frame: VideoFrame) -> Stamp:
    """Return the stamp for a packet that shows a frame: its times, and the publisher and sequence of its results.

    If the frame crossed a bridge, publisher and sequence are those of its first publisher. A rendition keeps its own,
    because a packet cannot tell how coordinates of the source map to it.
    """
    aux = bytes(frame.aux)
    origin = None if _RENDITION in aux else _origin(frame, aux)
    return frame.stamp if origin is None else frame.stamp._replace(publisher=origin[0], sequence=origin[1])


def _source_stamp(frame: VideoFrame, rendition: Rendition | None) -> Stamp:
    if rendition is None or _id(rendition.publisher, rendition.sequence) is None:
        return frame.stamp
    return Stamp(boot_id(), rendition.publisher, rendition.sequence, rendition.captured_at, rendition.due_at)


# Decoding the metas of each frame would take longer than everything else, so both functions look for the name first.


def _rendition(frame: VideoFrame, aux: bytes) -> Rendition | None:
    return Rendition.of(frame) if _RENDITION in aux else None


def _origin(frame: VideoFrame, aux: bytes) -> tuple[int, int] | None:
    """Return publisher and sequence of the first publisher of a frame that crossed a bridge; None = unknown."""
    if _CLOCK not in aux:
        return None
    stamp = frame.origin
    return _id(stamp.publisher, stamp.sequence)


def _id(publisher: int | None, sequence: int | None) -> tuple[int, int] | None:
    return None if publisher is None or sequence is None else (publisher, sequence)
