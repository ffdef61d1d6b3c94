"""Between an iceoryx2 service and a Sh4lt path, in either direction, with one copy a frame."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._wire.caps import video_caps
from .._wire.formats import get_format
from .._wire.numbers import whole
from ..video.frame import VideoFrame
from ..video.publisher import VideoFramePublisher
from ..video.subscriber import VideoFrameSubscriber
from . import score
from .follower import Follower
from .frame import Picture, default_layout
from .writer import Writer

_log: Final = logging.getLogger("gst_iceoryx2")

_LOOK_INTERVAL: Final = 0.25


def service_to_path(
    service: str,
    path: str | os.PathLike[str],
    *,
    stop: threading.Event | None = None,
    frames: int | None = None,
    reader_timeout: float = 1.0,
) -> int:
    """Write what a service publishes to a path, until the stream ends.

    Caps become the type text; a change of caps makes a new writer, to which readers come back. Timestamps end here: the
    protocol has none.

    Args:
        service: Name of the iceoryx2 service; it may start later.
        path: Path of the socket.
        stop: Ends the bridge when set.
        frames: Ends the bridge after so many frames.
        reader_timeout: Seconds that readers of the path may take for one frame.

    Returns:
        Number of frames written.

    Raises:
        WriterIsAliveError: Another writer is alive on the path.
        AddressError: The path cannot be used.
    """
    frames = None if frames is None else whole(frames, "frames")
    count = 0
    writer: Writer | None = None
    try:
        with VideoFrameSubscriber(service) as subscriber:
            while not _over(stop, frames, count):
                frame = subscriber.receive_blocking(_LOOK_INTERVAL * 1000)
                if frame is None:
                    continue
                with frame:
                    if frame.is_eos():
                        break
                    caps = frame.caps or video_caps(frame.format, frame.width, frame.height)
                    writer = writer_for(caps, path, writer, reader_timeout)
                    _write(writer, frame)
                    count += 1
    finally:
        if writer is not None:
            writer.close()
    return count


def path_to_service(
    path: str | os.PathLike[str],
    service: str,
    *,
    stop: threading.Event | None = None,
    frames: int | None = None,
) -> int:
    """Publish what a writer puts on a path as a service.

    The moment at which a frame arrived here becomes its capture time, because the protocol tells none.

    Args:
        path: Path of the socket; its writer may start later, and come back.
        service: Name of the iceoryx2 service.
        stop: Ends the bridge when set.
        frames: Ends the bridge after so many frames.

    Returns:
        Number of frames published.

    Raises:
        ServiceError: The service cannot be had; the subclass and the message say why.
        FormatError: The type text is no raw video.
        AddressError: The path cannot be used.
    """
    frames = None if frames is None else whole(frames, "frames")
    count = 0
    publisher: VideoFramePublisher | None = None
    picture: Picture | None = None
    datatype = ""
    try:
        with Follower(path) as follower:
            while not _over(stop, frames, count):
                with follower.borrow(_LOOK_INTERVAL) as frame:
                    if frame is None:
                        continue
                    arrived = time.monotonic_ns()
                    if publisher is None or picture is None or datatype != frame.datatype:
                        datatype, picture = frame.datatype, Picture.of(frame.datatype)
                        if publisher is not None:
                            publisher.close()
                        publisher = VideoFramePublisher(service, max_bytes=picture.layout.size, caps=datatype)
                    planes = frame.planes
                    picture_or_planes = planes[0] if len(planes) == 1 else planes
                    publisher.publish(
                        picture_or_planes, format=picture.format.name, width=picture.width, captured_at=arrived
                    )
                    count += 1
    finally:
        if publisher is not None:
            publisher.close()
    return count


def writer_for(caps: str, path: str | os.PathLike[str], writer: Writer | None, reader_timeout: float = 1.0) -> Writer:
    """The writer for frames of these caps; says so if they are nothing for ossia score.

    Args:
        caps: The frames' caps.
        path: Path of the socket.
        writer: The one so far, which is closed if it is for other caps.
        reader_timeout: Seconds that readers of the path may take for one frame.
    """
    new = Writer(path, caps, reader_timeout=reader_timeout) if writer is None else writer.retyped(caps)
    if new is not writer and (reason := score.refusal(new.datatype)):
        _log.warning("ossia score shows nothing of %s: %s", path, reason)
    return new


def _over(stop: threading.Event | None, frames: int | None, count: int) -> bool:
    return (stop is not None and stop.is_set()) or (frames is not None and count >= frames)


def _write(writer: Writer, frame: VideoFrame) -> None:
    """Write a frame of any strides in the protocol's layout, with one copy."""
    if get_format(frame.format).planes:
        write_planes(writer, frame.format, frame.width, frame.height, frame.planes)
    else:
        # Tiled formats have no rows to move: they travel as they lie.
        writer.write(frame.pixels)


def write_planes(writer: Writer, format: str, width: int, height: int, planes: Sequence[npt.NDArray[Any]]) -> int:
    """Write a picture of any strides in the protocol's layout, with one copy.

    Args:
        writer: Where to.
        format: GStreamer's name of the format.
        width: Pixels.
        height: Pixels.
        planes: One array a plane, shaped as `VideoFrame.planes`.

    Returns:
        Bytes of pixels.

    Raises:
        FormatError: The format has no rows, or the size is none.
    """
    known = get_format(format)
    layout = default_layout(known, width, height)

    def fill(target: npt.NDArray[np.uint8]) -> None:
        for view, plane in zip(known.views(target, width, height, layout.strides, layout.offsets), planes, strict=True):
            view[...] = plane

    writer.write_with(layout.size, fill)
    return layout.size
