"""The two programs of a peer in Python: one sends an array repeatedly, the other receives arrays."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.python_meter import Seen, write_stamp
from benchmarks.python_pace import send_frames

Pixels: TypeAlias = npt.NDArray[np.uint8]
# Called with the folder of the run and the bytes of a frame.
Sender: TypeAlias = Callable[[Path, int], AbstractContextManager[Callable[[Pixels], None]]]
Receiver: TypeAlias = Callable[[Path, int], AbstractContextManager[Iterator[Pixels]]]


def main(sender: Sender, receiver: Receiver, pictures: int = 1) -> None:
    """Run the end that the command line names.

    Args:
        sender: Makes a function that sends an array.
        receiver: Makes an iterator of what arrives.
        pictures: How many arrays to send in turns, for a sender that refers to them for longer than the call.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("end", choices=("send", "receive"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--bytes", type=int)
    parser.add_argument("--appsink", metavar="CAPS", help="take each array from a pipeline")
    parser.add_argument("numbers", nargs="*", type=int, metavar="FRAMES FPS")
    # Intermixed, because the numbers follow the options of each peer.
    arguments = parser.parse_intermixed_args()
    if arguments.end == "receive":
        with receiver(arguments.folder, arguments.bytes) as received:
            receive(received)
        return
    arrays = [np.full(arguments.bytes, 128, np.uint8) for _ in range(pictures)]
    with sender(arguments.folder, arguments.bytes) as send:
        if arguments.appsink:
            from benchmarks.peers.appsink import through_pipeline

            picture, send = through_pipeline(arguments.appsink, arguments.bytes, send)
            arrays = [picture]

        def send_frame(phase: int, number: int) -> None:
            picture = next(turn)
            write_stamp(picture, phase, number, time.monotonic_ns())
            send(picture)

        turn = itertools.cycle(arrays)
        send_frames(send_frame, *arguments.numbers)


def receive(arrays: Iterator[Pixels]) -> None:
    """Read arrays until the end of the run, and print the result."""
    seen, clock = Seen(), time.monotonic_ns
    for pixels in arrays:
        if seen.is_last(pixels, clock()):
            break
    print(seen.line(), flush=True)
