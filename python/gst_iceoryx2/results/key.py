"""Which frame a result belongs to: the frame of the source, also if a rendition of it was analysed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .._wire.stamp import Stamp, boot_id
from ..errors import FormatError
from ..video.frame import VideoFrame
from ..video.rendition import RENDITION_META, Rendition

_META: Final = RENDITION_META.encode()


@dataclass(frozen=True, slots=True)
class FrameKey:
    """The frame of a source that results belong to, and how coordinates map to it.

    `ResultsPublisher.publish` takes a key instead of a frame, so that you can release the frame first.

    Attributes:
        stamp: Stamp of the source's frame.
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
        rendition = _rendition(frame)
        if rendition is None:
            key = cls(frame.stamp, frame.width, frame.height)
        else:
            stamp = Stamp(boot_id(), rendition.publisher, rendition.sequence, rendition.captured_at, rendition.due_at)
            key = cls(stamp, *rendition.source_size, rendition)
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
    rendition = _rendition(frame)
    if rendition is not None:
        return _id(rendition.publisher, rendition.sequence)
    return _id(frame.stamp.publisher, frame.stamp.sequence)


def _rendition(frame: VideoFrame) -> Rendition | None:
    # Decoding the metas of each frame would take longer than everything else.
    return Rendition.of(frame) if _META in bytes(frame.aux) else None


def _id(publisher: int | None, sequence: int | None) -> tuple[int, int] | None:
    return None if publisher is None or sequence is None else (publisher, sequence)
