"""An RTSP server in a process of its own, with one stream per encoder: `/cam`, `/cam1`, … It prints its port."""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

SOURCE = "videotestsrc is-live=true pattern={pattern} ! video/x-raw,format=I420,width=320,height=240,framerate=30/1"
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay"


def main(pattern: str, port: str = "0", *encoders: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for number, encoder in enumerate(encoders or [H264]):
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(f"( {SOURCE.format(pattern=pattern)} ! {encoder} name=pay0 pt=96 )")
        factory.set_shared(True)
        server.get_mount_points().add_factory(f"/cam{number or ''}", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
