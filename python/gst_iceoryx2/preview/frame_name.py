"""Names frames for the page, so that it draws results only on the picture of their own frame."""

from __future__ import annotations

from ..errors import FormatError
from ..packets import Packet
from ..results import FrameKey, Results
from ..video import VideoFrame


def of_frame(frame: VideoFrame) -> tuple[str | None, list[float] | None]:
    """Return the name of a frame, and which part of it shows which part of the source.

    Returns:
        The name; None if the frame has no stamp. Two rectangles, each x, y, width and height: in pixels of the frame,
        and of the source; None if both are the whole picture.
    """
    try:
        key = FrameKey.of(frame)
    except FormatError:
        return None, None
    shown = key.rendition
    return _name(key.stamp.publisher, key.stamp.sequence), None if shown is None else [*shown.rect, *shown.source_rect]


def of_packet(packet: Packet) -> str | None:
    """Return the name of the frame that a packet shows; None = unknown.

    The packets of a camera that encodes show no frame. Frames that are decoded from them have their capture times.
    """
    return _name(packet.publisher, packet.sequence) or _moment(packet.captured_at)


def of_results(results: Results) -> tuple[str, ...]:
    """Return the names of the frame that results belong to."""
    names = _name(results.publisher, results.sequence), _moment(results.captured_at)
    return tuple(name for name in names if name is not None)


def _name(publisher: int | None, sequence: int | None) -> str | None:
    return None if publisher is None or sequence is None else f"{publisher:x}.{sequence}"


def _moment(captured_at: int | None) -> str | None:
    return None if captured_at is None else f"@{captured_at}"
