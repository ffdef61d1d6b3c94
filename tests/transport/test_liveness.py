"""Who lives: told by locks, which hold across containers, and without taking them from anybody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gst_iceoryx2._iox2 import liveness
from gst_iceoryx2._iox2.binding import create_node
from gst_iceoryx2._iox2.domain import current_domain
from tests.conftest import Place
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")

HOLD = """
import fcntl, sys
f = open(sys.argv[1], 'r+b')
fcntl.lockf(f, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""
TAKE = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


@pytest.fixture
def monitor(domain: Place) -> Iterator[Path]:
    """A file as nodes lock it."""
    domain.root.mkdir()
    file = domain.root / "monitor"
    file.touch(0o600)
    yield file
    file.unlink(missing_ok=True)


def node_of(pid: int) -> int:
    return (7 << 96) | (pid << 64) | int(time.monotonic())


def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_file_without_a_lock_belongs_to_nobody_whatever_its_process_id(monitor: Path) -> None:
    assert liveness.is_gone(node_of(os.getpid()), monitor)
    assert liveness.is_gone(node_of(ended_process()), monitor)


@pytest.mark.parametrize("known", [True, False])
def test_a_lock_is_a_sign_of_life_whatever_its_process_id(monitor: Path, known: bool) -> None:
    command = [sys.executable, "-c", HOLD, str(monitor)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        node = node_of(os.getpid() if known else ended_process())
        assert not liveness.is_gone(node, monitor)
        holder.kill()
        holder.wait()
        assert liveness.is_gone(node, monitor)


def test_a_file_in_the_making_is_left_alone_until_it_is_old(monitor: Path) -> None:
    monitor.chmod(0o200)
    assert not liveness.is_gone(node_of(os.getpid()), monitor)
    os.utime(monitor, (1, 1))
    assert liveness.is_gone(node_of(os.getpid()), monitor)


def test_a_node_without_a_file_is_not_known_to_be_dead(domain: Place) -> None:
    """In another container its process number is another process's, or nobody's."""
    nothing = domain.root / "nothing"
    assert not liveness.is_gone(node_of(ended_process()), nothing)
    assert not liveness.is_gone(node_of(os.getpid()), nothing)


@pytest.mark.proves("L9")
def test_asking_about_a_node_of_this_process_does_not_end_it(domain: Place) -> None:
    node = create_node()
    number = node.id.value
    file = current_domain().nodes / f"{domain.prefix}{number}.node_monitor"
    for _ in range(3):
        assert not liveness.is_gone(number, file)
    taken = subprocess.run([sys.executable, "-c", TAKE, str(file)], stderr=subprocess.DEVNULL, check=False)
    assert taken.returncode != 0, "the lock of a living node was dropped"
    assert number in liveness._own
    del node
    # Nothing stays open of a node that is closed.
    wait_until(lambda: not file.exists())
    liveness.forget_ended(set())
    assert number not in liveness._own
