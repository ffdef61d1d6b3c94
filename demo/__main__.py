"""Plays a video clip in one process to two other processes and prints statistics about the received frames.

    publisher    GStreamer: decode ! scale to 1080p ! BGR ! iceoryx2sink
    consumer a   plain Python, no GStreamer: motion between frames, contact sheet
    consumer b   GStreamer: iceoryx2src ! fakesink

Without GStreamer or the plugin, the Python SDK runs on both sides.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from demo.arrivals import HEIGHT, WIDTH, Consumed
from demo.clip import CREDIT, DownloadError, clip_path
from demo.processes import ProcessError, run_together
from demo.published import Published
from demo.report import Stream, report
from gst_iceoryx2 import setup_gstreamer

BUILD = Path(__file__).parents[1] / "build" / "demo"
SERVICE = "video/demo/frame/v2"
# Time limits in seconds: for the processes to find each other, and to play the clip once.
START_TIMEOUT, CLIP_TIMEOUT = 30, 10

NEXT = {
    "gstreamer": "GST_PLUGIN_PATH=$(.venv/bin/iox2-video plugin-path) "
    "gst-launch-1.0 -q v4l2src io-mode=userptr ! iceoryx2sink "
    "& .venv/bin/python examples/subscribe.py    (no camera: videotestsrc is-live=true)",
    "sdk": ".venv/bin/python examples/publish_loan.py & .venv/bin/python examples/subscribe.py",
}


def main(times: int, sheet: Path, sdk_only: bool) -> None:
    """Run the demo and print its results."""
    clip = clip_path(BUILD)
    if not sdk_only:
        try:
            setup_gstreamer()
        except RuntimeError as exc:
            sdk_only = True
            print(textwrap.fill(f"Running without GStreamer: {exc}", width=110, break_on_hyphens=False) + "\n")
    if sdk_only:
        print("The publisher and both consumers use the Python SDK; PyAV decodes the clip.")
    print(f"Playing {CREDIT}: {WIDTH}×{HEIGHT} BGR to two other processes …", flush=True)
    player, second = ("play_without_gstreamer", "watch") if sdk_only else ("play", "receive")
    commands = {
        "(a)": ["demo.watch", SERVICE, str(sheet)],
        "(b)": [f"demo.{second}", SERVICE],
        "publisher": [f"demo.{player}", str(clip), SERVICE, str(times), "2"],
    }
    printed, memory = run_together(commands, START_TIMEOUT + times * CLIP_TIMEOUT)
    names = {"(a)": "Python without GStreamer", "(b)": "Python, counting only" if sdk_only else "iceoryx2src pipeline"}
    streams = [Stream(f"{which} {name}", Consumed.from_line(printed[which])) for which, name in names.items()]
    report(Published.from_line(printed["publisher"]), streams, memory)
    print(f"contact sheet of the pictures that (a) received: {sheet}")
    print(f"\nNext: {NEXT['sdk' if sdk_only else 'gstreamer']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="play the 5.3 s clip this many times (3)")
    parser.add_argument(
        "--sheet", type=Path, default=BUILD / "contact-sheet.png", help="write the contact sheet to this file"
    )
    parser.add_argument("--sdk", action="store_true", help="do not use GStreamer, even if it is installed")
    arguments = parser.parse_args()
    try:
        main(arguments.times, arguments.sheet, arguments.sdk)
    except (DownloadError, ProcessError) as error:
        sys.exit(f"The demo failed: {error}")
