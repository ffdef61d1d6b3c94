"""What runs in the containers: ``python -m tests.containers.programs publish|receive|… SERVICE …``."""

from __future__ import annotations

import os
import select
import sys
import time

import numpy as np

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber


def publish(service: str, interval: float) -> None:
    """Publish numbered frames until standard input ends, and tell how many subscribers there are."""
    with VideoFramePublisher(service) as publisher:
        print("publishing as process", os.getpid(), flush=True)
        number = counted = 0
        while not select.select([0], [], [], interval)[0]:
            publisher.publish(np.full((48, 64, 3), number % 251, np.uint8), offset=number)
            number += 1
            if counted != publisher.num_subscribers:
                counted = publisher.num_subscribers
                print("counts", counted, flush=True)
        print("subscribers", publisher.num_subscribers, flush=True)


def receive(service: str, count: float, pause: float = 0.0) -> None:
    """Print the number of each frame, and whether its pixels are those of that number."""
    with VideoFrameSubscriber(service) as subscriber:
        print("receiving as process", os.getpid(), flush=True)
        for _ in range(int(count)):
            frame = subscriber.receive_blocking()
            assert frame is not None
            if frame.is_eos():
                print("end", flush=True)
                return
            view = frame.numpy_view()
            state = "sound" if (view == (frame.offset or 0) % 251).all() else "?"
            print("frame", frame.offset, state, flush=True)
            time.sleep(pause)


if __name__ == "__main__":
    name, service, *numbers = sys.argv[1:]
    {"publish": publish, "receive": receive}[name](service, *map(float, numbers))
