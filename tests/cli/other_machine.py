"""Another machine: its own boot ID and clock, behind a link with a delay."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import shlex
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.cli.bridges import free_port

AHEAD: Final = 5000
"""Seconds by which the clock of the other machine is ahead."""


def why_not() -> str | None:
    """Return why time namespaces cannot be made here; None if they can."""
    if not Path("/proc/self/ns/time").exists():
        return "this kernel has no time namespaces"
    try:
        tried = subprocess.run([*_unshare(AHEAD), "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return tried.stderr.strip() if tried.returncode else None


def other_machine(folder: Path, domain: str, *, ahead: int = AHEAD, has_own_boot: bool = True) -> tuple[str, ...]:
    """Return the prefix of a command that runs on another machine; skip the test if that is not permitted here.

    Args:
        folder: A folder for the boot ID.
        domain: The machine's own domain of iceoryx2.
        ahead: Seconds by which its CLOCK_MONOTONIC is ahead of this machine's.
        has_own_boot: Whether it has its own boot ID, unlike a container with a time namespace.
    """
    reason = why_not()
    if reason is not None:
        pytest.skip(f"no time namespaces here: {reason}")
    boot = folder / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    mount = f"mount --bind {shlex.quote(str(boot))} /proc/sys/kernel/random/boot_id && " if has_own_boot else ""
    # Only root may mount. The command itself is this user's again.
    again = f"unshare --map-user={os.getuid()} --map-group={os.getgid()} " if os.getuid() else ""
    return (*_unshare(ahead), "env", f"IOX2_VIDEO_DOMAIN={domain}", "sh", "-c", f'{mount}exec {again}"$@"', "sh")


def _unshare(ahead: int) -> tuple[str, ...]:
    own_root = ("--map-root-user",) if os.getuid() else ()
    return ("unshare", *own_root, "--mount", "--time", "--monotonic", str(ahead), "--fork", "--kill-child")


CAMERA: Final = """
import sys, time
import numpy as np
from gst_iceoryx2.video import VideoFramePublisher
with VideoFramePublisher("video/near/frame/v2", framerate=30) as publisher:
    picture = np.full((48, 64, 3), 99, np.uint8)
    while True:
        publisher.publish(picture)
        time.sleep(1 / 30)
"""


def camera(prefix: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Publish `near` on another machine, 30 frames per second."""
    return subprocess.Popen([*prefix, sys.executable, "-c", CAMERA])


class Link(NamedTuple):
    """A link that delays by 20 ms ± 5 ms in each direction.

    Attributes:
        listen: Zenoh's endpoint to listen on.
        connect: Zenoh's endpoint to connect to.
        half: Half of a round trip, in seconds, that a bridge measures sooner or later.
    """

    listen: str
    connect: str
    half: float


@contextlib.contextmanager
def slow_link() -> Iterator[Link]:
    """Yield a link. In the virtual machine of `make test-camera`, the kernel delays its packets, and loses some."""
    address, port = os.environ.get("IOX2_VIDEO_SLOW_ADDRESS"), free_port()
    if address is not None:
        # The virtual machine may be slow.
        yield Link(f"tcp/{address}:{port}", f"tcp/{address}:{port}", 0.05)
        return
    with Relay(port) as relay:
        # The shortest round trip is 30 ms, the longest is 50 ms, and a busy machine adds to it.
        yield Link(f"tcp/127.0.0.1:{port}", f"tcp/127.0.0.1:{relay.port}", 0.026)


class Relay:
    """Forwards TCP connections to a port of this machine, and delays what crosses.

    Args:
        target: The port to connect to.
        delay: Mean delay in each direction, in seconds.
        jitter: Largest difference from it.
        rate: Bytes per second in each direction; None = unlimited.

    Attributes:
        port: The port on which it listens.
    """

    def __init__(self, target: int, delay: float = 0.02, jitter: float = 0.005, rate: float | None = None) -> None:
        self._target = target
        self._delay, self._jitter, self.rate = delay, jitter, rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small buffers, because the kernel's would hold many seconds of a slow link.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = [self._listener]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets.append(far)
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(8)
                threading.Thread(target=self._receive, args=(one, waiting), daemon=True).start()
                threading.Thread(target=self._send, args=(other, waiting), daemon=True).start()

    def _receive(self, source: socket.socket, waiting: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(1 << 14)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + self._delay + random.uniform(-1, 1) * self._jitter, data))

    def _send(self, target: socket.socket, waiting: queue.Queue[tuple[float, bytes]]) -> None:
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if self.rate is not None:
                time.sleep(len(data) / self.rate)
            try:
                if data:
                    target.sendall(data)
                    continue
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return

    def close(self) -> None:
        """Close all connections."""
        # This wakes the thread, unlike `close`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
