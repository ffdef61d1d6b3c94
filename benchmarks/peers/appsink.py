"""Frames between a pipeline and arrays of a Python program, through appsink and PyGObject.

Usage: python -m benchmarks.peers.appsink LAUNCH_LINE_OF_A_SOURCE
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: F401 (GstApp: methods of appsrc and appsink)

from benchmarks.gst_memory import MapInfo, map_buffer, unmap_buffer
from benchmarks.peers.ends import Pixels, receive

_SINK = "appsink name=out sync=false max-buffers=10 enable-last-sample=false"


def _arrays(sink: Any) -> Iterator[Pixels]:
    """Yield each sample as an array without a copy, valid until the next one is requested."""
    info = MapInfo()
    while (sample := sink.pull_sample()) is not None:
        buffer = sample.get_buffer()
        # The hash of a boxed object is its address.
        if not map_buffer(hash(buffer), ctypes.byref(info), Gst.MapFlags.READ):
            raise RuntimeError("a buffer cannot be mapped")
        yield np.frombuffer((ctypes.c_uint8 * info.size).from_address(info.data), np.uint8)
        unmap_buffer(hash(buffer), ctypes.byref(info))
        del buffer, sample


def through_pipeline(caps: str, size: int, send: Callable[[Pixels], None]) -> tuple[Pixels, Callable[[Pixels], None]]:
    """Return an array over the memory of a buffer, and a function that pulls and sends that buffer."""
    pipeline = Gst.parse_launch(f'appsrc name=in format=time max-buffers=10 block=true caps="{caps}" ! {_SINK}')
    source, sink = pipeline.get_by_name("in"), pipeline.get_by_name("out")
    buffer, info = Gst.Buffer.new_allocate(None, size, None), MapInfo()
    if not map_buffer(hash(buffer), ctypes.byref(info), Gst.MapFlags.READ | Gst.MapFlags.WRITE):
        raise RuntimeError("a new buffer cannot be mapped")
    picture = np.frombuffer((ctypes.c_uint8 * size).from_address(info.data), np.uint8)
    # The memory stays mapped as long as the buffer exists, and downstream can read it.
    unmap_buffer(hash(buffer), ctypes.byref(info))
    pipeline.set_state(Gst.State.PLAYING)
    arrays = _arrays(sink)

    def pull_and_send(_: Pixels) -> None:
        source.push_buffer(buffer)
        send(next(arrays))

    return picture, pull_and_send


def main() -> None:
    Gst.init(None)
    pipeline = Gst.parse_launch(f"{sys.argv[1]} ! {_SINK}")
    pipeline.set_state(Gst.State.PLAYING)
    receive(_arrays(pipeline.get_by_name("out")))
    pipeline.set_state(Gst.State.NULL)


Gst.init(None)
if __name__ == "__main__":
    main()
