"""Locks tell which nodes are alive. They work across containers, and a look does not drop them."""

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

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has locks of open files")

HOLD = """
import fcntl, sys
f = open(sys.argv[1], 'r+b')
fcntl.lockf(f, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""
TAKE = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def node_of(pid: int) -> int:
    return (7 << 96) | (pid << 64) | int(time.monotonic())


def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def monitor_of(node: int, mode: int = 0o600) -> Path:
    """Create the file that the process of a node locks."""
    file = Path(liveness.monitor_of(node, current_domain()))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode)
    return file


@pytest.fixture(autouse=True)
def cleared(domain: Place) -> Iterator[None]:
    yield
    domain.remove()


def test_a_file_without_a_lock_belongs_to_nobody_whatever_its_process_id() -> None:
    for node in (node_of(os.getpid()), node_of(ended_process())):
        monitor_of(node)
        assert liveness.is_gone(node, current_domain())


@pytest.mark.parametrize("known", [True, False])
def test_a_lock_is_a_sign_of_life_whatever_its_process_id(known: bool) -> None:
    node = node_of(os.getpid() if known else ended_process())
    command = [sys.executable, "-c", HOLD, str(monitor_of(node))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert not liveness.is_gone(node, current_domain())
        holder.kill()
        holder.wait()
        assert liveness.is_gone(node, current_domain())


def test_a_file_in_the_making_is_left_alone_until_it_is_old() -> None:
    node = node_of(os.getpid())
    monitor = monitor_of(node, 0o200)
    os.utime(monitor, (time.time() + 3600,) * 2)
    assert not liveness.is_gone(node, current_domain())
    os.utime(monitor, (1, 1))
    assert liveness.is_gone(node, current_domain())


def test_a_node_without_a_file_is_not_known_to_be_dead() -> None:
    """In another container the same process id belongs to another process, or to none."""
    assert not liveness.is_gone(node_of(ended_process()), current_domain())
    assert not liveness.is_gone(node_of(os.getpid()), current_domain())


@pytest.mark.proves("L9")
def test_asking_about_a_node_of_this_process_does_not_end_it() -> None:
    node = create_node()
    number = node.id.value
    file = Path(liveness.monitor_of(number, current_domain()))
    for _ in range(3):
        assert not liveness.is_gone(number, current_domain())
    taken = subprocess.run([sys.executable, "-c", TAKE, str(file)], stderr=subprocess.DEVNULL, check=False)
    assert taken.returncode != 0, "the lock of a living node was dropped"
    assert number in liveness._own
    del node
    # The monitor of a closed node does not stay open.
    wait_until(lambda: not file.exists())
    liveness.forget_ended(set())
    assert number not in liveness._own
