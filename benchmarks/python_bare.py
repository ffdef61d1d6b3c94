"""The least that a Python reader can take: it reads the stamps that `benchbaresink` writes into a named pipe.

Usage: python -m benchmarks.python_bare PATH
"""

from __future__ import annotations

import os
import select
import sys
import time

import numpy as np

from benchmarks.python_meter import Seen


def main() -> None:
    seen, clock = Seen(), time.monotonic_ns
    # Also open for writing, so that the end of the other process is not reported.
    pipe = os.open(sys.argv[1], os.O_RDWR)
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    is_last = False
    while not is_last:
        waiting.poll()
        pixels = np.frombuffer(os.read(pipe, 32), np.uint8)
        is_last = seen.is_last(pixels, clock())
    print(seen.line(), flush=True)


if __name__ == "__main__":
    main()
