"""A process is killed at any moment: the other side continues within a second, and nothing is left in the kernel.

The two semaphores show what the processes are doing: each has a value and the ID of the process that used it last. A
process is stopped before the test looks at them, so that it is killed in exactly this state.
SH4LT_CYCLES sets the number of kills in a test.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from gst_iceoryx2.sh4lt import Follower, Writer
from gst_iceoryx2.sh4lt.dialect import READERS, WRITER, keys_of
from tests.sh4lt import conftest
from tests.sh4lt.conftest import Launch, connect, left_behind, ours
from tests.waiting import wait_until

CYCLES = int(os.environ.get("SH4LT_CYCLES", "5"))
MOMENTS = ["idle", "while writing", "while announced", "while reading", "with an unread update"]
ROOT = Path(__file__).parents[2]
_GETPID, _GETVAL = 11, 12  # linux/sem.h
_libc = ctypes.CDLL(None)

PIPELINES = {
    # Large frames, so that the writer is in the middle of one for much of the time, on a busy machine, too.
    "writer": "fakesrc sizetype=fixed sizemax=8000000 filltype=nothing ! application/x-count "
    "! identity sleep-time=5000 ! sh4ltsink socket-path={}",
    "reader": "sh4ltsrc socket-path={} ! identity sleep-time=5000 ! fakesink sync=false enable-last-sample=false",
}


def within() -> float:
    """Seconds in which the other side has to continue: 1, and more on a machine with more work than processors."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Semaphores(NamedTuple):
    """State of the semaphores.

    Attributes:
        readers: Readers that have not finished, plus 1 while a writer writes.
        writer: 1 while a writer writes.
        last: Process that used the writer semaphore last. A reader waits for it before it reads.
    """

    readers: int
    writer: int
    last: int


def look(path: Path) -> Semaphores | None:
    """State of the semaphores of a path; None without a writer."""
    try:
        number = _libc.semget(ctypes.c_int(keys_of(path).semaphores), 2, 0)
    except OSError:
        return None
    value = lambda index, command: _libc.semctl(number, index, command)  # noqa: E731
    state = Semaphores(value(READERS, _GETVAL), value(WRITER, _GETVAL), value(WRITER, _GETPID))
    return None if min(state) < 0 else state


@dataclass
class End:
    """A writer or reader in a process of its own."""

    pid: int
    # Set for pipelines, which are children of this process.
    process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: all(state in "Tt" for state in self._threads()))

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        if self.process is not None:
            self.process.wait(10)
        wait_until(lambda: not Path(f"/proc/{self.pid}").exists())

    def holds(self) -> tuple[int, int]:
        """Number of descriptors and of attached segments."""
        maps = Path(f"/proc/{self.pid}/maps").read_text()
        return len(os.listdir(f"/proc/{self.pid}/fd")), maps.count("/SYSV")

    def _threads(self) -> list[str]:
        states = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            try:
                states.append(task.read_text().rpartition(")")[2].split()[0])
            except OSError:
                continue
        return states


Start = Callable[[str, str], End]


@pytest.fixture(scope="module")
def parent() -> Iterator[subprocess.Popen[str]]:
    """The process that forks the Python writers and readers."""
    command = [sys.executable, "-m", "tests.sh4lt.victims"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate(timeout=60)


@pytest.fixture
def start(path: Path, launch: Launch, parent: subprocess.Popen[str]) -> Iterator[Start]:
    """Starts a process: "writer" or "reader", in "python" or "rust"."""
    ends: list[End] = []

    def begin(role: str, kind: str) -> End:
        if kind == "rust":
            process = launch(PIPELINES[role].format(path))
            end = End(process.pid, process)
        else:
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.write(f"{role} {path}\n")
            parent.stdin.flush()
            end = End(int(parent.stdout.readline()))
            ours.add(end.pid)
        ends.append(end)
        return end

    try:
        yield begin
    finally:
        for end in ends:
            end.kill()
    # A killed writer leaves its objects to the next writer.
    Writer(path).close()


def reach(moment: str, path: Path, writer: End, reader: End) -> None:
    """Stop one of the two processes in this state. The other one continues or waits for it."""
    end = reader if moment in ("while reading", "with an unread update") else writer
    there: Callable[[Semaphores], bool] = {
        "idle": lambda now: now[:2] == (0, 0),
        "while writing": lambda now: now[:2] == (1, 1),
        "while announced": lambda now: now[:2] == (2, 1),
        "while reading": lambda now: now == (1, 0, reader.pid),
        "with an unread update": lambda now: now[:2] == (0, 0),
    }[moment]
    deadline = time.monotonic() + 20
    while True:
        end.stop()
        now = look(path)
        if now is not None and there(now):
            break
        end.resume()
        assert time.monotonic() < deadline, f"never {moment}: {now}"
        time.sleep(random.uniform(0, 0.012))
    if moment == "with an unread update":
        wait_until(lambda: (look(path) or (0, 0))[:2] == (1, 0))


def moments(writer: str) -> Iterator[str]:
    """The states for all kills of a test."""
    # A pipeline is in the excluded state for microseconds only.
    names = [name for name in MOMENTS if (name, writer) != ("while announced", "rust")]
    return (names[number % len(names)] for number in range(CYCLES))


def is_read(path: Path, reader: End) -> bool:
    now = look(path)
    return now is not None and now.last == reader.pid


@pytest.mark.parametrize("reader_kind", ["python", "rust"])
@pytest.mark.parametrize("writer_kind", ["python", "rust"])
@pytest.mark.proves("S3")
def test_a_killed_writer_is_replaced_within_a_second(
    path: Path, start: Start, writer_kind: str, reader_kind: str
) -> None:
    before = left_behind()
    reader = start("reader", reader_kind)
    held = None
    for moment in moments(writer_kind):
        writer = start("writer", writer_kind)
        wait_until(lambda: is_read(path, reader))
        reach(moment, path, writer, reader)
        writer.kill()
        killed = time.monotonic()
        reader.resume()
        with Writer(path, "application/x-next") as following:
            while following.clients == 0:
                assert time.monotonic() < killed + within(), f"killed {moment}: the reader does not come back"
                time.sleep(0.001)
            # The second write waits until the first frame is read.
            assert [following.write(b"next") for _ in range(2)] == [1, 1]
            assert following.evictions == 0
            assert time.monotonic() < killed + within(), f"killed {moment}"
            now = reader.holds()
            held = held or now
            assert now == held, "the reader holds more than after the first kill"
            assert left_behind() <= before


@pytest.mark.parametrize("reader_kind", ["python", "rust"])
@pytest.mark.parametrize("writer_kind", ["python", "rust"])
@pytest.mark.proves("S3")
def test_a_killed_reader_holds_the_writer_up_for_less_than_a_second(
    path: Path, start: Start, writer_kind: str, reader_kind: str
) -> None:
    before = left_behind()
    writer = start("writer", writer_kind)
    held = None
    for moment in moments(writer_kind):
        reader = start("reader", reader_kind)
        wait_until(lambda reader=reader: is_read(path, reader))
        reach(moment, path, writer, reader)
        reader.kill()
        killed = time.monotonic()
        writer.resume()
        with Follower(path) as other:
            for _ in range(2):
                assert other.read(killed + within() - time.monotonic()) is not None, f"killed {moment}: no frame"
            now = writer.holds()
            held = held or now
            assert now == held, "the writer holds more than after the first kill"
        assert left_behind() <= before


def test_another_reader_goes_on_beside_one_that_is_killed(path: Path, start: Start) -> None:
    with Writer(path, "application/x-count") as writer, Follower(path) as survivor:
        connect(writer, survivor)
        for number in range(CYCLES):
            victim = start("reader", "rust" if number % 2 else "python")
            wait_until(lambda: writer.clients == 2)
            for _ in range(number % 3):
                writer.write(bytes(50_000))
                assert survivor.read(60) is not None
            writer.write(bytes(50_000))
            victim.kill()
            killed = time.monotonic()
            assert survivor.read(within()) is not None
            # The longest case: the reader died between reading the announcement and its promise to the kernel.
            while (writer.write(b"next"), survivor.read(0))[1] is None:
                assert time.monotonic() < killed + within()
            wait_until(lambda: writer.clients == 1)


def a_writer_that_dies(path: Path) -> int:
    """Run a process that leaves its writer's objects behind, and return its ID."""
    child = "import os, sys; from gst_iceoryx2.sh4lt import Writer; w = Writer(sys.argv[1]); os._exit(0)"
    number = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", child, str(path)])
    os.waitpid(number, 0)
    return number


def test_what_other_programs_leave_is_not_taken_for_ours(path: Path) -> None:
    """Regression: the tests failed while the tests of another clone ran on the same machine."""
    before = left_behind(by_the_living=True)
    number = a_writer_that_dies(path)
    assert left_behind(by_the_living=True) == before
    ours.add(number)
    assert len(left_behind(by_the_living=True) - before) == 2
    Writer(path).close()
    assert left_behind(by_the_living=True) <= before


def test_what_lay_there_before_is_not_ours_when_its_process_number_comes_again(path: Path) -> None:
    """Regression: objects of an earlier run failed the tests if a child got the ID of their creator."""
    number = a_writer_that_dies(path)
    earlier = {f"{key} {number}" for key, number in conftest.listed()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "there_before", earlier)
        patch.setattr(conftest, "ours", ours | {number})
        assert left_behind(by_the_living=True) == set()
    Writer(path).close()
