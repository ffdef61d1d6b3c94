"""The publisher: a GStreamer pipeline that decodes the clip, scales it to 1080p and renders it into shared memory.

Usage: python -m demo.play CLIP SERVICE TIMES CONSUMERS
"""

from __future__ import annotations

import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

from demo.arrivals import HEIGHT, WIDTH
from demo.published import CONNECT_TIMEOUT, Published
from gst_iceoryx2 import setup_gstreamer


def main() -> None:
    clip, service, times, consumers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    setup_gstreamer()
    # videoconvert renders into the sink's shared memory, because it is the last element that writes pixels. If it had
    # nothing to convert, it would pass on the decoder's own frames, and the sink would have to copy them.
    pipeline = Gst.parse_launch(
        f"concat name=clips ! videoscale ! videoconvert ! video/x-raw,format=BGR,width={WIDTH},height={HEIGHT} "
        f'! iceoryx2sink name=sink service="{service}" '
        + " ".join([f'filesrc location="{clip}" ! decodebin ! clips.'] * times)
    )
    sink = pipeline.get_by_name("sink")
    bus = pipeline.get_bus()
    ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
    # The service exists from PAUSED on, so all consumers can connect before the first frame is sent.
    pipeline.set_state(Gst.State.PAUSED)
    message = None
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while message is None and sink.get_property("num-clients") < consumers and time.monotonic() < deadline:
        message = bus.timed_pop_filtered(Gst.SECOND // 20, ends)
    if message is None:
        pipeline.set_state(Gst.State.PLAYING)
        message = bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends)
    published = Published(sink.get_property("frames-sent"), sink.get_property("frames-zero-copy"))
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        error, details = message.parse_error()
        sys.exit(f"demo: the publishing pipeline failed: {error.message} ({details})")
    print(published.to_line())


if __name__ == "__main__":
    main()
