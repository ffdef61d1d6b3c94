"""Saves one picture from a stream to a file."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Final, NamedTuple

from .. import jpeg
from ..discovery.names import require, service_name, why_silent
from ..errors import FrameTimeoutError
from ..video import VideoFrame, VideoFrameSubscriber
from ..video.scaling import scaled
from ..video.shape import size_in_squares
from .png import encode_png

SUFFIXES: Final = (".jpg", ".jpeg", ".png")
SNAPSHOT_QUALITY: Final = 92
"""Default JPEG quality of a snapshot, 1 to 100."""


class Snapshot(NamedTuple):
    """A saved picture.

    Attributes:
        path: The file.
        width: Width of the picture, in pixels.
        height: Height of the picture, in rows.
        size: Size of the file, in bytes.
    """

    path: Path
    width: int
    height: int
    size: int


def save_snapshot(
    name: str, path: str | os.PathLike[str], *, timeout: float = 5.0, quality: int = SNAPSHOT_QUALITY
) -> Snapshot:
    """Save the newest frame of a stream, or the first frame that arrives. An existing file is replaced.

    A frame with non-square pixels is stretched, because image viewers show pixels as squares.

    Args:
        name: Name of the service, short or in full.
        path: File name ending in .jpg, .jpeg or .png. A PNG file has 16 bits for GRAY16, otherwise 8-bit RGB or gray.
        timeout: Seconds to wait for a frame.
        quality: JPEG quality, 1 to 100.

    Returns:
        Path of the file, size of the picture, and size of the file.

    Raises:
        ValueError: The path has a different ending, or the name is a Sh4lt path or a Zenoh key.
        ServiceNotFoundError: The service still does not exist after `timeout`.
        FrameTimeoutError: The service exists, but no frame arrived in time.
        OSError: The file cannot be written.
    """
    target = Path(path)
    check_path(target)
    service = service_name(name)
    with VideoFrameSubscriber(service) as subscriber:
        frame = _first_picture(subscriber, timeout)
        refused = subscriber.stats.invalid
        reason = None if frame is not None else why_silent(service)
        if frame is not None:
            with frame:
                width, height = size_in_squares(frame)
                is_png = target.suffix.lower() == ".png"
                data = _as_png(frame, width, height) if is_png else _as_jpeg(frame, width, height, quality)
    if frame is None:
        require(name)
        why = (
            f"{refused} frames were refused, because they violate the wire contract"
            if refused
            else reason or "its publisher did not send any"
        )
        raise FrameTimeoutError(f"no frame from {service!r} arrived within {timeout:g} s: {why}")
    _write(target, data)
    return Snapshot(target, width, height, len(data))


def check_path(path: Path) -> None:
    """Check the ending of a file name.

    Raises:
        ValueError: The name does not end in .jpg, .jpeg or .png.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"cannot save {str(path)!r}: the file name must end in .jpg or .png")


def _first_picture(subscriber: VideoFrameSubscriber, timeout: float) -> VideoFrame | None:
    deadline = time.monotonic() + timeout
    while (remaining := deadline - time.monotonic()) > 0:
        frame = subscriber.latest(remaining)
        if frame is not None and not frame.is_eos():
            return frame
    return None


def _as_png(frame: VideoFrame, width: int, height: int) -> bytes:
    if frame.format.startswith("GRAY16_"):
        return encode_png(scaled(frame.numpy_view(), width, height))
    picture = frame.to_rgb((width, height))
    return encode_png(picture[..., 0] if frame.format.startswith("GRAY") else picture)


def _as_jpeg(frame: VideoFrame, width: int, height: int, quality: int) -> bytes:
    if (width, height) == (frame.width, frame.height):
        return jpeg.encode(frame, quality, "444")
    return jpeg.encode_rgb(frame.to_rgb((width, height)), quality, "444")


def _write(target: Path, data: bytes) -> None:
    """Replace the file atomically: programs that read it see either the old or the new picture."""
    target = target.resolve()
    part = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(4)}")
    try:
        with open(part, "xb") as file:
            file.write(data)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
