"""A process that starts participants and kills them: ``python -m tests.processes.victims [gst]``.

Each line of standard input is ``{"kind": …, "service": …, "lives": seconds}``; the answer comes after the kill. A
participant is forked, so it opens its service within a millisecond, and the kill can come at every step.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from gst_iceoryx2.video import FrameParams, VideoFramePublisher, VideoFrameSubscriber
from tests.chaos.pattern import fill
from tests.chaos.role import Numbering

WIDTH, HEIGHT = 64, 48
PARAMS = FrameParams(WIDTH, HEIGHT)
INTERVAL = 0.005


def publisher(service: str) -> None:
    numbering = Numbering(random.Random())
    pixels = np.empty(WIDTH * HEIGHT * 3, np.uint8)
    with VideoFramePublisher(service) as pub:
        while True:
            fill(pixels, numbering.next(len(pixels), pub.stats.dropped))
            pub.publish_frame(pixels, PARAMS)
            time.sleep(INTERVAL)


def subscriber(service: str) -> None:
    held: list[object] = []
    with VideoFrameSubscriber(service) as sub:
        while True:
            held = [*held[-2:], sub.receive_blocking(None)]


def sink(service: str) -> None:
    from tests.chaos.elements import Sink

    Sink({"service": service, "seed": random.random(), "rate": 200}, print).live()


def source(service: str) -> None:
    from tests.chaos.elements import Source

    Source({"service": service, "seed": random.random()}, print).live()


KINDS: dict[str, Callable[[str], None]] = {
    "publisher": publisher,
    "subscriber": subscriber,
    "sink": sink,
    "source": source,
}


def bear_and_kill(kind: str, service: str, lives: float) -> dict[str, Any]:
    """Start a participant, kill it, and report whether the kill ended it."""
    end = time.monotonic() + lives
    pid = os.fork()
    if pid == 0:
        try:
            # Its output is not an answer to the test.
            os.dup2(2, 1)
            KINDS[kind](service)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    time.sleep(max(0.0, end - time.monotonic()))
    os.kill(pid, signal.SIGKILL)
    died = time.monotonic()
    _, status = os.waitpid(pid, 0)
    return {"pid": pid, "died": died, "killed": os.WIFSIGNALED(status)}


def main() -> None:
    if "gst" in sys.argv:
        # Before the fork, because loading takes longer than some participants live.
        import tests.chaos.elements  # noqa: F401
    for line in sys.stdin:
        print(json.dumps(bear_and_kill(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
