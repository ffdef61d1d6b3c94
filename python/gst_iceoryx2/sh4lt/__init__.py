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
]
