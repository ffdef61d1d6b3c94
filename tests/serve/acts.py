"""What child processes of the tests of `serve` do."""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any

from gst_iceoryx2.video import VideoFrameSubscriber


def read(name: str) -> None:
    """Read a stream until stdin ends; report the sequence and format of each frame, and the end of the stream."""
    with VideoFrameSubscriber(name) as subscriber:
        say("there")
        while not select.select([sys.stdin], [], [], 0)[0]:
            frame = subscriber.receive_blocking(20)
            if frame is None:
                continue
            with frame:
                say("end" if frame.is_eos() else [frame.sequence, frame.format, frame.width, frame.height])


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def run(act: str, *arguments: Any) -> None:
    """Run an act by name, then leave without waiting for threads."""
    globals()[act](*arguments)
    sys.stdout.flush()
    os._exit(0)
