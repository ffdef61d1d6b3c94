"""Consumer (b): a GStreamer pipeline, `iceoryx2src ! fakesink`, that times each buffer as it leaves the source.

Usage: python -m demo.receive SERVICE
"""

from __future__ import annotations

import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

from demo.arrivals import Arrivals
from gst_iceoryx2 import setup_gstreamer


def main() -> None:
    (service,) = sys.argv[1:]
    setup_gstreamer()
    # SPEC.md §5: when the publisher captured or sent the frame, on this host's CLOCK_MONOTONIC.
    reference = Gst.Caps.from_string("timestamp/x-monotonic, kind=(string)capture")
    pipeline = Gst.parse_launch("iceoryx2src name=source ! fakesink")
    source = pipeline.get_by_name("source")
    source.set_property("service", service)
    arrivals = Arrivals()

    def note(_pad: Any, info: Any) -> Any:
        meta = info.get_buffer().get_reference_timestamp_meta(reference)
        arrivals.note(None if meta is None else meta.timestamp)
        return Gst.PadProbeReturn.OK

    source.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, note)
    pipeline.set_state(Gst.State.PLAYING)
    ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends)
    received, copied = source.get_property("frames-received"), source.get_property("frames-copied")
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(f"demo: the receiving pipeline failed: {message.parse_error().gerror.message}")
    print(arrivals.summary(received - copied).to_line())


if __name__ == "__main__":
    main()
