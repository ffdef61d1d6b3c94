"""Whoever is killed, and whatever it was doing: the other end goes on within a second, and nothing is left.

The kernel tells what the ends are doing: the two semaphores have a value and remember the process that was last there.
An end is stopped in order to look, so that it is killed in that very moment.
SH4LT_CYCLES sets how many kills a test has.
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
from tests.sh4lt.conftest import Launch, left_behind, ours
from tests.waiting import wait_until

CYCLES = int(os.environ.get("SH4LT_CYCLES", "5"))
MOMENTS = ["idle", "while writing", "while announced", "while reading", "with an unread update"]
WITHIN = 1.0
ROOT = Path(__file__).parents[2]
_GETPID, _GETVAL = 11, 12  # linux/sem.h
_libc = ctypes.CDLL(None)

PIPELINES = {
    # Large frames, so that a moment inside is found soon.
    "writer": "fakesrc sizetype=fixed sizemax=2000000 filltype=nothing ! application/x-count "
    "! identity sleep-time=15000 ! sh4ltsink socket-path={}",
    "reader": "sh4ltsrc socket-path={} ! identity sleep-time=5000 ! fakesink sync=false enable-last-sample=false",
}


class Semaphores(NamedTuple):
    """What they say: readers that are not done (and the writer, while inside), a writer inside, who came or went last.

    A reader waits for the writer's flag to be 0 before it reads, which makes it the last one there.
    """

    readers: int
    writer: int
    last: int


def look(path: Path) -> Semaphores | None:
    """None where there is no writer."""
    try:
        number = _libc.semget(ctypes.c_int(keys_of(path).semaphores), 2, 0)
    except OSError:
        return None
    value = lambda index, command: _libc.semctl(number, index, command)  # noqa: E731
    state = Semaphores(value(READERS, _GETVAL), value(WRITER, _GETVAL), value(WRITER, _GETPID))
    return None if min(state) < 0 else state


@dataclass
class End:
    """A process at one end of a path."""

    pid: int
    # Set for pipelines, whose parent is this process.
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
        """Descriptors, and attached segments."""
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
def mother() -> Iterator[subprocess.Popen[str]]:
    """The process whose children the Python ends are."""
    command = [sys.executable, "-m", "tests.sh4lt.victims"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate(timeout=10)


@pytest.fixture
def start(path: Path, launch: Launch, mother: subprocess.Popen[str]) -> Iterator[Start]:
    """Starts an end: "writer" or "reader", in "python" or "rust"."""
    ends: list[End] = []

    def begin(role: str, kind: str) -> End:
        if kind == "rust":
            process = launch(PIPELINES[role].format(path))
            end = End(process.pid, process)
        else:
            assert mother.stdin is not None
            assert mother.stdout is not None
            mother.stdin.write(f"{role} {path}\n")
            mother.stdin.flush()
            end = End(int(mother.stdout.readline()))
            ours.add(end.pid)
        ends.append(end)
        return end

    try:
        yield begin
    finally:
        for end in ends:
            end.kill()
    # The last writer may have been killed, too: the next one cleans up.
    Writer(path).close()


def reach(moment: str, path: Path, writer: End, reader: End) -> None:
    """Stop one of the two in this moment. The other runs on, or waits for it."""
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
    """As many as there are to be kills."""
    # A pipeline is in that moment for microseconds.
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
        wait_until(lambda: is_read(path, reader), 20)
        reach(moment, path, writer, reader)
        writer.kill()
        killed = time.monotonic()
        reader.resume()
        with Writer(path, "application/x-next") as following:
            while following.clients == 0:
                assert time.monotonic() < killed + WITHIN, f"killed {moment}: the reader does not come back"
                time.sleep(0.001)
            # The second waits until the first has been read.
            assert [following.write(b"next") for _ in range(2)] == [1, 1]
            assert following.evictions == 0
            assert time.monotonic() < killed + WITHIN, f"killed {moment}"
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
        wait_until(lambda reader=reader: is_read(path, reader), 20)
        reach(moment, path, writer, reader)
        reader.kill()
        killed = time.monotonic()
        writer.resume()
        with Follower(path) as other:
            for _ in range(2):
                assert other.read(killed + WITHIN - time.monotonic()) is not None, f"killed {moment}: no frame"
            now = writer.holds()
            held = held or now
            assert now == held, "the writer holds more than after the first kill"
        assert left_behind() <= before


def test_another_reader_goes_on_beside_one_that_is_killed(path: Path, start: Start) -> None:
    with Writer(path, "application/x-count") as writer, Follower(path) as survivor:
        assert survivor.read(0) is None
        wait_until(lambda: writer.clients == 1)
        for number in range(CYCLES):
            victim = start("reader", "rust" if number % 2 else "python")
            wait_until(lambda: writer.clients == 2, 20)
            for _ in range(number % 3):
                writer.write(bytes(50_000))
                assert survivor.read(5) is not None
            writer.write(bytes(50_000))
            victim.kill()
            killed = time.monotonic()
            assert survivor.read(WITHIN) is not None
            # It may have died between reading the announcement and its promise to the kernel: the longest way back.
            while (writer.write(b"next"), survivor.read(0))[1] is None:
                assert time.monotonic() < killed + WITHIN
            wait_until(lambda: writer.clients == 1)


def test_what_other_programs_leave_is_not_taken_for_ours(path: Path) -> None:
    """Beside the tests of another work tree these failed."""
    before, program = left_behind(by_the_living=True), f"import os; w = Writer({str(path)!r}); os._exit(0)"
    number = os.spawnv(
        os.P_NOWAIT, sys.executable, [sys.executable, "-c", f"from gst_iceoryx2.sh4lt import Writer; {program}"]
    )
    os.waitpid(number, 0)
    assert left_behind(by_the_living=True) == before
    ours.add(number)
    assert len(left_behind(by_the_living=True) - before) == 2
    Writer(path).close()
    assert left_behind(by_the_living=True) <= before


def test_what_lay_there_before_is_not_ours_when_its_process_number_comes_again(path: Path) -> None:
    """A set that an earlier run had left failed these tests as soon as a child got the number of its process."""
    child = "import os, sys; from gst_iceoryx2.sh4lt import Writer; w = Writer(sys.argv[1]); os._exit(0)"
    number = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", child, str(path)])
    os.waitpid(number, 0)
    earlier = {f"{key} {number}" for key, number in conftest.listed()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "there_before", earlier)
        patch.setattr(conftest, "ours", ours | {number})
        assert left_behind(by_the_living=True) == set()
    Writer(path).close()
