"""Python writers and readers for tests that kill them: `python -m tests.sh4lt.victims`.

For each line "writer PATH" or "reader PATH" on standard input, the program forks a process and prints its ID. A fork is
much faster than a new interpreter.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from gst_iceoryx2.sh4lt import Follower, Writer
from gst_iceoryx2.sh4lt.readers import Readers

PAUSE = 0.005
announce = Readers.announce


def announce_slowly(readers: Readers, *arguments: Any) -> int:
    """Pauses between the announcement of a frame and the release of the write lock."""
    announced = announce(readers, *arguments)
    time.sleep(PAUSE)
    return announced


def writer(path: str) -> None:
    def fill(target: npt.NDArray[np.uint8]) -> None:
        target[:] = 1
        time.sleep(PAUSE)

    with Writer(path, "application/x-count") as end:
        while True:
            end.write_with(50_000, fill)
            # Longer than a reader takes, so that sometimes no process uses the segment.
            time.sleep(3 * PAUSE)


def reader(path: str) -> None:
    with Follower(path) as follower:
        while True:
            with follower.borrow():
                time.sleep(PAUSE)


def main() -> None:
    Readers.announce = announce_slowly
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        role, path = line.rstrip("\n").split(" ", 1)
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            {"writer": writer, "reader": reader}[role](path)
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
