"""Play the encoded stream of a service in a GStreamer pipeline, which takes the packets through appsrc.

Usage: python gstreamer_packets.py [STREAM [SINK PIPELINE]]
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

from gst_iceoryx2.packets import PacketSubscriber

SINK = "decodebin ! videoconvert ! autovideosink sync=false"


def main(stream: str = "cam0@h264", sink: str = SINK) -> None:
    Gst.init(None)
    pipeline = Gst.parse_launch(f"appsrc name=source format=time is-live=true ! h264parse ! {sink}")
    source = pipeline.get_by_name("source")
    source.set_property("caps", Gst.Caps.from_string("video/x-h264, stream-format=byte-stream, alignment=au"))
    pipeline.set_state(Gst.State.PLAYING)
    with PacketSubscriber(stream) as subscriber:
        for packet in subscriber:
            buffer = Gst.Buffer.new_wrapped(bytes(packet.data))
            buffer.pts = packet.pts if packet.pts is not None else Gst.CLOCK_TIME_NONE
            buffer.dts = packet.dts if packet.dts is not None else Gst.CLOCK_TIME_NONE
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                break
    source.emit("end-of-stream")
    message = pipeline.get_bus().timed_pop_filtered(5 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    print("end of stream" if message and message.type == Gst.MessageType.EOS else "failed")
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
