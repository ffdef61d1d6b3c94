"""Media between programs over the Shmdata protocol, without GStreamer.

Its peers are ossia score's Shmdata devices, sdflow, Splash, Switcher, and the elements `sh4ltsink` and `sh4ltsrc`.

    from gst_iceoryx2.sh4lt import Follower, Writer

    caps = "video/x-raw, format=RGBA, width=640, height=480, framerate=30/1"
    with Writer("/tmp/score_shmdata_input", caps) as writer:
        writer.write(picture)  # waits for the readers of the frame before, never for dead ones

    for frame in Follower("/tmp/score_shm_video"):
        print(frame.numpy_view().shape)  # a copy; `with follower.borrow() as frame:` has the writer's own memory

The names are those of Sh4lt, Shmdata's successor, whose own wire format is another one and not spoken here. Linux only.
"""

from __future__ import annotations

import os
import threading

from .dialect import address
from .errors import (
    AddressError,
    FrameSizeError,
    Sh4ltClosedError,
    Sh4ltError,
    TypeTextError,
    WriterIsAliveError,
)
from .follower import Follower
from .frame import Frame
from .shtype import ShType
from .writer import Writer

__all__ = [
    "AddressError",
    "Follower",
    "Frame",
    "FrameSizeError",
    "Sh4ltClosedError",
    "Sh4ltError",
    "ShType",
    "TypeTextError",
    "Writer",
    "WriterIsAliveError",
    "address",
    "path_to_service",
    "service_to_path",
]


def service_to_path(
    service: str,
    path: str | os.PathLike[str],
    *,
    stop: threading.Event | None = None,
    frames: int | None = None,
) -> int:
    """Write the frames of an iceoryx2 service to a path until the stream ends: a `bridge.Bridge` in one call.

    Args:
        service: Name of the service, short or in full; it may start later.
        path: Path of the socket.
        stop: Ends the bridge when it is set; None = the bridge ends with the stream only.
        frames: Frames after which to end; None = no limit.

    Returns:
        Number of frames written.

    Raises:
        WriterIsAliveError: The path has another writer.
        AddressError: The path cannot be used.
        ServiceError: The service cannot be opened.
    """
    return _bridged(service, f"sh4lt:{os.fspath(path)}", stop, frames)


def path_to_service(
    path: str | os.PathLike[str],
    service: str,
    *,
    stop: threading.Event | None = None,
    frames: int | None = None,
) -> int:
    """Publish the frames of a path as an iceoryx2 service: a `bridge.Bridge` in one call.

    Each frame's capture time is the time at which it arrived, because the protocol carries no times.
    Frames that are not raw video are counted, logged and left out.

    Args:
        path: Path of the socket; its writer may start later, and restart.
        service: Name of the service, short or in full.
        stop: Ends the bridge when it is set; None = only `frames` ends it.
        frames: Frames after which to end; None = no limit.

    Returns:
        Number of frames published.

    Raises:
        ServiceError: The service has another publisher, or cannot be created.
        AddressError: The path cannot be used.
    """
    return _bridged(f"sh4lt:{os.fspath(path)}", service, stop, frames)


def _bridged(source: str, target: str, stop: threading.Event | None, frames: int | None) -> int:
    from ..bridge import Bridge, Bridged

    bridge = Bridge(source, target, frames=frames, until_end=True)

    def check(_: Bridged) -> None:
        if stop is not None and stop.is_set():
            bridge.stop()

    return bridge.run(check).passed
