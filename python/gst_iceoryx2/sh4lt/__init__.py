"""Exchange media between programs over the Shmdata protocol, without GStreamer.

Compatible programs are ossia score (its Shmdata devices), sdflow, Splash, Switcher, and the elements `sh4ltsink` and
`sh4ltsrc`. The names come from Sh4lt, the successor of Shmdata, but Sh4lt's own wire format is not supported. Linux
only.

    from gst_iceoryx2.sh4lt import Follower, Writer

    caps = "video/x-raw, format=RGBA, width=640, height=480, framerate=30/1"
    with Writer("/tmp/score_shmdata_input", caps) as writer:
        writer.write(picture)  # waits until every live reader has released the previous frame

    for frame in Follower("/tmp/score_shm_video"):
        print(frame.numpy_view().shape)  # a copy; `with follower.borrow() as frame:` borrows the writer's memory

The Rust crate `iox2-video-shmdata` is the counterpart of this package and has the same file names, with three
exceptions: `shtype` only exists in Python, `poll` only exists in Rust, and `errors` is called `error` in Rust. In
Python, `frame` describes the picture; in Rust, it describes the borrowed memory.
"""

from __future__ import annotations

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
from .paths import address
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
