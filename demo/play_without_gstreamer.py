"""The publisher for machines without GStreamer or the plugin: PyAV decodes, the SDK publishes.

Usage: python -m demo.play_without_gstreamer CLIP SERVICE TIMES CONSUMERS
"""

from __future__ import annotations

import sys
import time

import av

from demo.arrivals import HEIGHT, WIDTH
from demo.published import CONNECT_TIMEOUT, Published
from gst_iceoryx2.video import VideoFramePublisher


def main() -> None:
    clip, service, times, consumers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sent = 0
    with VideoFramePublisher(service, max_bytes=WIDTH * HEIGHT * 3) as publisher:
        publisher.wait_for_subscribers(consumers, timeout=CONNECT_TIMEOUT)
        start = None
        for _ in range(times):
            with av.open(clip) as container:
                stream = container.streams.video[0]
                for decoded in container.decode(stream):
                    due = sent / float(stream.average_rate)
                    picture = decoded.reformat(WIDTH, HEIGHT, "bgr24").to_ndarray()
                    start = time.monotonic() if start is None else start
                    time.sleep(max(0, start + due - time.monotonic()))
                    publisher.publish(picture, format="BGR", pts=round(due * 1e9))
                    sent += 1
        publisher.end_of_stream()
    # swscale cannot render into a loan, so each frame is copied into it.
    print(Published(sent, 0).to_line())


if __name__ == "__main__":
    main()
