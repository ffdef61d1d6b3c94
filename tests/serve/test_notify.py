"""`gst_iceoryx2.serve.Notifier` sends what sd_notify(3) describes, to a real socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gst_iceoryx2.serve import Notifier


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd has one, and its address in NOTIFY_SOCKET."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has sockets without a file")
    name = str(tmp_path / "notify") if request.param == "file" else f"@iox2-video-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name[1:] if name.startswith("@") else name)
        receiver.settimeout(10)
        yield receiver, name


def test_every_state_is_a_datagram(systemd: tuple[socket.socket, str]) -> None:
    receiver, name = systemd
    environ = {"NOTIFY_SOCKET": name, "HOME": "/"}
    notifier = Notifier(environ)
    assert environ == {"HOME": "/"}, "children must not notify in the name of this process"
    notifier.ready("2 streams")
    assert receiver.recv(4096) == b"READY=1\nSTATUS=2 streams"
    notifier.status("cam0: é\nREADY=1")
    assert receiver.recv(4096) == "STATUS=cam0: é\\nREADY=1".encode()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, second = receiver.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    key, _, value = second.partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.watchdog()
    assert receiver.recv(4096) == b"WATCHDOG=1"
    notifier.stopping()
    assert receiver.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_answered_twice_in_its_time_by_the_process_that_is_meant(
    variables: dict[str, str], interval: float | None
) -> None:
    environ = {"NOTIFY_SOCKET": "@x"} | variables
    assert Notifier(environ).watchdog_interval == interval
    assert environ == {}
    # Without a socket, nobody waits for answers.
    assert Notifier(variables).watchdog_interval is None


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/gone/notify", "@gone", "/" + "a" * 200])
def test_without_systemd_nothing_happens(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    notifier.ready("x")
    notifier.stopping()


def test_the_notify_socket_of_this_process_is_used(systemd: tuple[socket.socket, str]) -> None:
    receiver, name = systemd
    program = "from gst_iceoryx2.serve import Notifier; Notifier().ready('\\udc80')"
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"NOTIFY_SOCKET": name}, check=True)
    assert receiver.recv(4096) == b"READY=1\nSTATUS=\\x80"
