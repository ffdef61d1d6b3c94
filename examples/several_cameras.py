"""Process the newest frame of each camera in turn. The cameras may have different frame rates.

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
                # Older queued frames are skipped. A camera without new frames delays each round by 50 ms.
                frame = camera.latest(timeout=0.05)
                if frame is None:
                    continue
                if frame.is_eos():
                    stats = camera.stats
                    print(f"{name}: {stats.received - stats.skipped} seen, {stats.skipped} skipped", flush=True)
                    del cameras[name]
                    continue
                # One size for all cameras, as a detector needs it.
                look_at(frame.to_rgb(size=(640, 640)))


def look_at(picture: object) -> None:
    """Replace this with slow work, such as a detector, a display or an encoder."""


if __name__ == "__main__":
    main(sys.argv[1:])
