"""Media between programs over the Shmdata protocol, without GStreamer.

Peers are ossia score's Shmdata devices, sdflow, Splash, Switcher, and the elements `sh4ltsink` and `sh4ltsrc`. The
names come from Sh4lt, the successor of Shmdata; Sh4lt's own wire format is not supported. Linux only.

    from gst_iceoryx2.sh4lt import Follower, Writer

    caps = "video/x-raw, format=RGBA, width=640, height=480, framerate=30/1"
    with Writer("/tmp/score_shmdata_input", caps) as writer:
        writer.write(picture)  # waits until every live reader has finished with the previous frame

    for frame in Follower("/tmp/score_shm_video"):
        print(frame.numpy_view().shape)  # a copy; `with follower.borrow() as frame:` borrows the writer's memory

The Rust crate `iox2-video-shmdata` is the twin of this package, with the same file names. There are three exceptions:
`shtype` exists in Python only, `poll` in Rust only, and `errors` is called `error` in Rust. `frame` describes the
picture in Python and the borrowed memory in Rust.
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
