"""ZeroMQ push and pull over ipc, with its own means to avoid copies on both sides.

Usage: python -m benchmarks.peers.zeromq send|receive --folder FOLDER --bytes BYTES [FRAMES FPS]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import zmq

from benchmarks.peers.ends import Pixels, main

WAITING = 10


@contextmanager
def sender(folder: Path, size: int) -> Iterator[Callable[[Pixels], None]]:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.setsockopt(zmq.SNDHWM, WAITING)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(f"ipc://{folder}/zmq")
        # With a time limit, because the other process has exited at the end of the run.
        socket.setsockopt(zmq.SNDTIMEO, 1000)

        def send(pixels: Pixels) -> None:
            with suppress(zmq.Again):
                socket.send(pixels, copy=False)

        yield send


@contextmanager
def receiver(folder: Path, size: int) -> Iterator[Iterator[Pixels]]:
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.setsockopt(zmq.RCVHWM, WAITING)
        socket.connect(f"ipc://{folder}/zmq")
        yield (np.frombuffer(socket.recv(copy=False).buffer, np.uint8) for _ in iter(int, 1))


if __name__ == "__main__":
    # Refers to the arrays of the waiting frames, on both sides and in between.
    main(sender, receiver, pictures=3 * WAITING)
