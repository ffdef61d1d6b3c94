"""Consumer (a): plain Python without GStreamer. Computes motion on borrowed views and draws a contact sheet.

Usage: python -m demo.watch SERVICE [SHEET.png]    (without a sheet it only counts)
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo.arrivals import Arrivals, SharedMemory
from demo.contact_sheet import ContactSheet
from demo.motion import MotionMeter
from gst_iceoryx2.video import VideoFrameSubscriber


def main() -> None:
    service, *sheet_path = sys.argv[1:]
    arrivals, memory, motion = Arrivals(), SharedMemory(), []
    meter, sheet = MotionMeter(), ContactSheet()
    borrowed = 0
    with VideoFrameSubscriber(service) as subscriber:
        for frame in subscriber:
            arrivals.note(frame.captured_at)
            pixels = frame.numpy_view()
            borrowed += memory.holds(pixels.__array_interface__["data"][0])
            if sheet_path:
                motion.append(meter.see(pixels))
                sheet.offer(frame.pts, motion[-1], lambda pixels=pixels: meter.draw(pixels))
    assert "gi" not in sys.modules
    if sheet_path:
        sheet.write(Path(sheet_path[0]))
    print(arrivals.summary(borrowed, motion).to_line())


if __name__ == "__main__":
    main()
