"""Fixtures: a path for each test, pipelines, and a check that nothing is left in the kernel."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2 import plugin_path
from gst_iceoryx2.sh4lt import Follower, Writer
from gst_iceoryx2.sh4lt.dialect import READERS, SEGMENT_PROJECT
from gst_iceoryx2.sh4lt.sysv import segment_status
from tests.waiting import wait_until

_GETPID = 11  # linux/sem.h
_libc = ctypes.CDLL(None)
_numbers = itertools.count()
HERE = Path(__file__).parent
FOLDERS = {"disk": Path("/var/tmp"), "tmpfs": Path("/dev/shm")}

Launch = Callable[..., "subprocess.Popen[bytes]"]


def preloaded(folder: Path, source: str) -> Path:
    """Compile one of the C files of this folder to a library for LD_PRELOAD."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = folder / f"{source}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / source, "-ldl"], check=True)
    return library


ours: set[int] = {os.getpid()}
"""IDs of this process and of the processes that the tests have started."""

there_before: set[str] = set()
"""Segments and semaphores that existed before the tests. A child may get the ID of the process that created them."""


@pytest.fixture(autouse=True, scope="session")
def _known_children() -> Iterator[None]:
    """Record the ID of every process that the tests start."""
    begin = subprocess.Popen.__init__

    def noting(self: subprocess.Popen[Any], *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        ours.add(self.pid)

    there_before.update(f"{key} {number}" for key, number in listed())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", noting)
        yield


def listed() -> list[tuple[str, str]]:
    """All segments and semaphores of this machine with a key of the protocol: key and ID."""
    lines = subprocess.run(["ipcs", "-m", "-s"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines if line.startswith(("0x6e", "0x6d"))]


def left_behind(*, by_the_living: bool = False) -> set[str]:
    """Segments and semaphores of our dead processes, as "KEY ID"; with `by_the_living`, those of this process, too.

    Other programs on this machine may use the protocol at the same time. The owner of semaphores is the creator of the
    segment with the same key, or without such a segment, the process that used them last.
    """
    found = set()
    for key, number in listed():
        if f"{key} {number}" in there_before:
            continue
        try:
            owner = segment_status(SEGMENT_PROJECT << 24 | int(key, 16) & 0xFFFFFF).creator
        except OSError:
            owner = _libc.semctl(int(number), READERS, _GETPID) if key.startswith("0x6d") else -1
        # The owner is -1 if the semaphores were removed after they were listed.
        if owner in ours and (not Path(f"/proc/{owner}").exists() or (by_the_living and owner == os.getpid())):
            found.add(f"{key} {number}")
    return found


@pytest.fixture(params=sorted(FOLDERS))
def path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A path for a socket: once on disk and once on tmpfs, which never uses an inode number twice."""
    before = left_behind(by_the_living=True)
    socket = FOLDERS[request.param] / f"sh4lt{os.getpid()}_{next(_numbers)}"
    yield socket
    assert not socket.exists(), "the socket was left behind"
    assert left_behind(by_the_living=True) <= before, "SysV objects were left behind"


# For tests that do not depend on the file system.
on_tmpfs = pytest.mark.parametrize("path", ["tmpfs"], indirect=True)


def connect(writer: Writer, follower: Follower) -> None:
    """Wait until a writer has this follower as its only reader."""
    assert follower.read(0) is None
    wait_until(lambda: writer.clients == 1)


def wait_until_in(file: str, thread: int) -> None:
    """Wait until a thread runs or waits in a function of this file of the package."""
    wait_until(lambda: Path(sys._current_frames()[thread].f_code.co_filename).name == file)


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts `gst-launch-1.0` with this package's plugin. Pipelines that still run at the end are stopped."""
    started: list[subprocess.Popen[bytes]] = []

    def start(pipeline: str, *options: str, before: tuple[str, ...] = (), **variables: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"GST_PLUGIN_PATH": str(plugin_path()), "G_DEBUG": "fatal-warnings"} | variables
        quiet = () if "-v" in options else ("-q",)
        command = [*before, "gst-launch-1.0", *quiet, *options, *pipeline.split()]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            # gst-launch ends a pipeline in order on SIGINT only.
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
