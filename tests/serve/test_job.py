"""Processes of the supervisor that misbehave: they print anything, read nothing, or end in unusual ways."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gst_iceoryx2.serve.job import Job
from tests.waiting import wait_until

Start = Callable[[str], Job]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that starts a shell script as the process of a job."""
    started: list[Job] = []

    def start(script: str) -> Job:
        program = tmp_path / f"program{len(started)}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        started.append(Job("source"))
        started[-1].want("{}", time.monotonic())
        return started[-1]

    yield start
    for one in started:
        one.kill()


def tend(job: Job, until: Callable[[], object]) -> list[str]:
    """Tend a job until a condition is true; return the lines of its log."""
    log: list[str] = []

    def is_true() -> bool:
        log.extend(job.tend(time.monotonic()))
        return bool(until())

    wait_until(is_true)
    return log


def test_lines_that_are_no_json_are_ignored(job: Start) -> None:
    """Any library that printed to stdout ended the supervisor, and with it all streams."""
    one = job(
        'echo "hello world"; echo "[1, 2]"; echo \'{"pid": "x", "state": 7}\'; head -c 3000000 /dev/zero; echo; '
        f"printf '{'[' * 100_000}\\n'; echo '{{\"state\": \"running\"}}'; exec cat"
    )
    tend(one, lambda: one.state == "running")
    assert one.report["state"] == "running"


def test_what_it_prints_to_stderr_is_shown_in_lines_without_passwords(job: Start) -> None:
    one = job(
        "echo 'cannot open rtsp://ada:s3cret@cam/1' >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; "
        'echo \'{"state": "running"}\'; exec cat'
    )
    log = tend(one, lambda: one.state == "running")
    one.release(time.monotonic())
    log += tend(one, lambda: not one.is_alive)
    assert log[0] == "cannot open rtsp://***@cam/1"
    assert max(map(len, log)) <= 1000


def test_a_process_that_prints_without_end_does_not_occupy_the_supervisor(job: Start) -> None:
    one = job("exec yes")
    for _ in range(20):
        one.tend(time.monotonic())
    one.release(time.monotonic())
    tend(one, lambda: not one.is_alive)
    assert one.state == "off"


def test_a_process_that_does_not_read_does_not_stop_the_supervisor(job: Start, tmp_path: Path) -> None:
    """The supervisor waited in write() when a process was stopped and its pipe was full."""
    read = tmp_path / "read"
    one = job(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exec cat > {read}")
    commands = [json.dumps({"number": number, "names": ["x" * 90_000]}) for number in range(5)]
    for command in commands:
        one.want(command, time.monotonic())
    (tmp_path / "go").touch()

    def is_read() -> bool:
        one.want(commands[-1], time.monotonic())
        return read.exists() and read.read_text().endswith(commands[-1] + "\n")

    wait_until(is_read)
    lines = read.read_text().splitlines()
    assert all(line in ("{}", *commands) for line in lines)
    assert len(lines) < 5


def test_a_process_that_closes_its_pipes_is_not_looked_at_all_the_time(job: Start) -> None:
    """A closed pipe is always ready, so the supervisor took all of a processor."""
    one = job("exec >&- 2>&-; exec sleep 60")
    tend(one, lambda: not one.pipes)
    assert one.next_moment is not None
    assert one.next_moment > time.monotonic()
    one.kill()
    assert one.state == "off"


def test_a_process_that_ignores_its_end_is_killed(job: Start) -> None:
    one = job("trap '' TERM; kill -STOP $$")
    one.release(time.monotonic())
    assert one.state == "stopping"
    tend(one, lambda: not one.is_alive)
    assert one.state == "off"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("kill -9 $$", "its process was killed by SIGKILL"),
        ("kill -BUS $$", "its process was killed by SIGBUS; /dev/shm is full"),
        ("kill -40 $$", "its process was killed by signal 40"),
        ("exit 3", "its process ended with exit code 3"),
        ('echo \'{"error": "no such camera"}\'; exit 1', "no such camera"),
    ],
)
def test_the_reason_of_an_end_is_told(job: Start, script: str, error: str) -> None:
    """An end by a signal without a name ended the supervisor, too."""
    one = job(script)
    tend(one, lambda: not one.is_alive)
    assert (one.state, one.error) == ("waiting", error)
    assert one.retry_at is not None


def test_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    one = Job("source")
    one.want("{}", time.monotonic())
    assert (one.state, one.error) == ("waiting", "cannot start a process: No such file or directory")


def test_the_time_of_the_next_attempt_is_over_when_it_has_started(job: Start, tmp_path: Path) -> None:
    """It was kept, so that the supervisor looked all the time after a file had ended."""
    one = job(f'[ -e {tmp_path}/second ] || {{ touch {tmp_path}/second; exit 1; }}; echo \'{{"state": "ended"}}\'')
    tend(one, lambda: one.state == "waiting")
    assert one.retry_at is not None
    one.want("{}", one.retry_at)
    tend(one, lambda: one.state == "ended")
    assert one.next_moment is None
