"""A Unix stream socket: the bytes of the frames, one after the other.

Usage: python -m benchmarks.peers.unix_socket send|receive --folder FOLDER --bytes BYTES [FRAMES FPS]
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.peers.ends import Pixels, main

# Bytes; the kernel gives at most net.core.wmem_max, 212,992 by default.
BUFFER = 4 << 20


@contextmanager
def sender(folder: Path, size: int) -> Iterator[Callable[[Pixels], None]]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        listener.setblocking(False)
        connection: socket.socket | None = None

        def send(pixels: Pixels) -> None:
            nonlocal connection
            if connection is None:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    return
                connection.setblocking(True)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            try:
                connection.sendall(pixels)
            except (BrokenPipeError, ConnectionResetError):
                # The receiver has seen the end of the run.
                connection.close()
                connection = None

        yield send
        if connection is not None:
            connection.close()


@contextmanager
def receiver(folder: Path, size: int) -> Iterator[Iterator[Pixels]]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "socket"))
        pixels = np.empty(size, np.uint8)

        def arrays() -> Iterator[Pixels]:
            while connection.recv_into(pixels, size, socket.MSG_WAITALL) == size:
                yield pixels

        yield arrays()


if __name__ == "__main__":
    main(sender, receiver)
