"""Publish from a GStreamer pipeline and print how many frames the sink sent and copied.

Usage: python gstreamer_sink.py [SERVICE [SOURCE PIPELINE]]
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

from gst_iceoryx2 import setup_gstreamer

SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1"


def main(service: str = "video/cam0/frame/v2", source: str = SOURCE) -> None:
    setup_gstreamer()
    # videoconvert comes last because it renders directly into the sink's shared memory, so nothing is copied.
    pipeline = Gst.parse_launch(f"{source} ! videoconvert ! video/x-raw,format=BGR ! iceoryx2sink name=sink")
    sink = pipeline.get_by_name("sink")
    sink.set_property("service", service)
    sink.connect("client-connected", lambda _, count: print(f"{count} subscribers", flush=True))
    pipeline.set_state(Gst.State.PLAYING)
    ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends)
    if message.type == Gst.MessageType.ERROR:
        print(message.parse_error().gerror.message)
    print(f"{sink.get_property('frames-sent')} sent, {sink.get_property('frames-copied')} of them copied")
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
