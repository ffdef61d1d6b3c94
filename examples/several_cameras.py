"""Look at the newest frame of several cameras in turn, however fast each of them is.

Usage: python several_cameras.py SERVICE SERVICE …
"""

import contextlib
import sys

from gst_iceoryx2.video import VideoFrameSubscriber


def main(services: list[str]) -> None:
    with contextlib.ExitStack() as stack:
        cameras = {name: stack.enter_context(VideoFrameSubscriber(name)) for name in services}
        while cameras:
            for name, camera in list(cameras.items()):
                # What queued meanwhile is given back unseen. A camera that is silent costs the others 50 ms a turn.
                frame = camera.latest(timeout=0.05)
                if frame is None:
                    continue
                if frame.is_eos():
                    stats = camera.stats
                    print(f"{name}: {stats.received - stats.skipped} seen, {stats.skipped} skipped", flush=True)
                    del cameras[name]
                    continue
                look_at(frame.to_rgb())


def look_at(picture: object) -> None:
    """Stand here for what takes time: a detector, a display, an encoder."""


if __name__ == "__main__":
    main(sys.argv[1:])
