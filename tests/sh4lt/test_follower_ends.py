"""A follower that is closed, forked or interrupted while it waits or reads stops, and no writer waits for it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gst_iceoryx2.sh4lt import Follower, Sh4ltClosedError, Writer, follower
from tests.interrupts import python_calls
from tests.sh4lt.conftest import connect, on_tmpfs, wait_until_in
from tests.waiting import arrived, wait_until

pytestmark = on_tmpfs

STOPPED_WRITER = """
import sys
from gst_iceoryx2.sh4lt import Writer
with Writer(sys.argv[1]) as writer:
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    with Writer(path) as writer:
        yield writer


def connected(writer: Writer, path: Path) -> Follower:
    made = Follower(path)
    connect(writer, made)
    return made


def ends_with(read: Follower, timeout: float | None) -> tuple[threading.Thread, list[BaseException]]:
    """A thread that waits for a frame, and a list for the exception that ends it."""
    ended: list[BaseException] = []

    def run() -> None:
        try:
            read.read(timeout)
        except BaseException as exc:
            ended.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert thread.ident is not None
    wait_until_in("connection.py", thread.ident)
    return thread, ended


@contextmanager
def closed_by_a_signal(reader: Follower) -> Iterator[None]:
    """Closes a follower in a signal handler as soon as this thread waits for a frame."""
    waiting = threading.get_ident()

    def interrupt() -> None:
        wait_until_in("connection.py", waiting)
        signal.pthread_kill(waiting, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: reader.close())
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_closing_from_another_thread_ends_a_read(writer: Writer, path: Path, timeout: float | None) -> None:
    reader = connected(writer, path)
    thread, ended = ends_with(reader, timeout)
    reader.close()
    thread.join(20)
    assert [type(exc) for exc in ended] == [Sh4ltClosedError]


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_closing_from_a_signal_handler_ends_a_read(writer: Writer, path: Path, timeout: float | None) -> None:
    reader = connected(writer, path)
    with closed_by_a_signal(reader), pytest.raises(Sh4ltClosedError):
        reader.read(timeout)


def test_closing_from_a_signal_handler_ends_an_iteration(writer: Writer, path: Path) -> None:
    reader = connected(writer, path)
    with closed_by_a_signal(reader):
        assert list(reader) == []


def test_closing_ends_a_read_although_the_writer_is_stopped(path: Path) -> None:
    command = [sys.executable, "-c", STOPPED_WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        reader = Follower(path)
        wait_until(lambda: reader.read(0) is None and reader.is_connected)
        thread, ended = ends_with(reader, None)
        process.send_signal(signal.SIGSTOP)
        try:
            reader.close()
            thread.join(20)
            assert [type(exc) for exc in ended] == [Sh4ltClosedError]
        finally:
            process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)


def test_an_interrupt_before_the_block_leaves_no_frame_that_the_writer_waits_for(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with connected(writer, path) as reader:
        writer.write(b"1")
        with monkeypatch.context() as patch:
            patch.setattr(follower, "Frame", interrupted)
            with pytest.raises(KeyboardInterrupt):
                reader.borrow(5).__enter__()
        assert writer.write(b"2") == 1
        assert writer.evictions == 0
        frame = arrived(reader.read(60))
        assert bytes(frame) == b"2"


def test_one_borrowing_is_one_block_at_a_time(writer: Writer, path: Path) -> None:
    with connected(writer, path) as reader:
        for number in (b"1", b"2"):
            writer.write(number)
            borrowing = reader.borrow(5)
            with borrowing as frame:
                assert frame is not None
                with pytest.raises(RuntimeError, match="borrow"):
                    borrowing.__enter__()
                assert bytes(frame) == number
        with reader.borrow(0) as nothing:
            assert nothing is None


def test_a_borrowing_that_is_kept_keeps_no_segment(path: Path) -> None:
    def attached() -> int:
        gc.collect()
        return Path("/proc/self/maps").read_text().count("/SYSV")

    before = attached()
    with Writer(path) as writer, connected(writer, path) as reader:
        writer.write(b"1")
        kept = reader.borrow(5)
        with kept as frame:
            assert frame is not None
    assert attached() == before + 1
    del writer
    assert attached() == before
    del kept


def test_a_forked_child_that_ends_takes_nothing_along(writer: Writer, path: Path) -> None:
    with connected(writer, path) as reader:
        child = os.fork()
        if child == 0:
            reader.__del__()
            writer.close()
            writer._segment.__del__()
            writer._semaphores.__del__()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for number in (b"1", b"2"):
            assert writer.write(number) == 1
            frame = arrived(reader.read(60))
            assert bytes(frame) == number
        assert (writer.clients, writer.evictions) == (1, 0)


def test_what_a_follower_attached_goes_without_python_code(writer: Writer, path: Path) -> None:
    """Ctrl-C was lost when it came while a follower let go of a writer: Python discards exceptions in `__del__`."""
    reader = connected(writer, path)
    connection = reader._connection
    assert connection is not None
    held = [connection.segment, connection._semaphores]
    reader.close()
    del connection, reader._connection
    assert python_calls(held.clear) == []
