"""Redis pub/sub with a server of its own, on a Unix socket in the folder of the run.

Usage: python -m benchmarks.peers.redis_pubsub send|receive --folder FOLDER --bytes BYTES [FRAMES FPS]
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import redis
from redis.connection import PythonRespSerializer

from benchmarks.peers.ends import Pixels, main

CHANNEL = "frames"
# Time limit in seconds for the start of the server.
START = 10
# Bytes per read.
READ = 1 << 20
# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1


class _Connection(redis.UnixDomainSocketConnection):
    """Sends large values without a copy; with hiredis installed, the library would first copy them twice."""

    def _construct_command_packer(self, packer: Any) -> Any:
        return PythonRespSerializer(self._buffer_cutoff, self.encoder.encode)


@contextmanager
def sender(folder: Path, size: int) -> Iterator[Callable[[Pixels], None]]:
    path = folder / "redis"
    options = {
        "port": 0,
        "unixsocket": path,
        "dir": folder,
        "save": "",
        "appendonly": "no",
        # A slow subscriber is not disconnected, because the benchmark sends a limited amount.
        "client-output-buffer-limit": "pubsub 0 0 0",
    }
    command = ["redis-server", *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=_end_with_parent)
    try:
        pool = redis.ConnectionPool(connection_class=_Connection, path=str(path))
        client = redis.Redis(connection_pool=pool)
        _wait_for(client)

        def send(pixels: Pixels) -> None:
            client.publish(CHANNEL, memoryview(pixels))

        yield send
        client.close()
    finally:
        server.kill()
        server.wait()


def _end_with_parent() -> None:
    # A killed publisher must not leave a server behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for(client: redis.Redis) -> None:
    end = time.monotonic() + START
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def receiver(folder: Path, size: int) -> Iterator[Iterator[Pixels]]:
    # By default it reads 64 KiB at a time, and with the newer protocol it formats every picture as text for its log.
    options: dict[str, Any] = {"unix_socket_path": str(folder / "redis"), "socket_read_size": READ, "protocol": 2}
    with redis.Redis(**options) as client, client.pubsub() as subscription:
        subscription.subscribe(CHANNEL)
        messages = (message["data"] for message in subscription.listen() if message["type"] == "message")
        yield (np.frombuffer(data, np.uint8) for data in messages)


if __name__ == "__main__":
    main(sender, receiver)
