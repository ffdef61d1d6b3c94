"""A worker process of the supervisor: start, commands, reports, restart after a failure."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import IO, Any, Final, Literal

from ..discovery.served import State

# Pause before the first restart after a failure, and the longest one, in seconds.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
# A process that ran for so long starts with the first pause again, in seconds.
_STEADY: Final = 10.0
# Time that a process gets to end before it is killed, in seconds.
_ENDS_WITHIN: Final = 2.0
_READ_SIZE: Final = 1 << 16
_ERROR_MAX: Final = 300


class Job:
    """A process that serves one stream, or the renditions of one stream, whenever it is wanted.

    Args:
        kind: What the process serves.

    Attributes:
        state: What it does.
        error: Why it failed last; None if it has not, or runs again.
        retry_at: Time of the next attempt (`time.monotonic`); None if none is due.
        report: The newest value of everything that the process has reported.
        pids: Process IDs of the processes of this job that ran so far and may still be listed as participants.
    """

    def __init__(self, kind: Literal["source", "renditions"]) -> None:
        self.state: State = "off"
        self.error: str | None = None
        self.retry_at: float | None = None
        self.report: dict[str, Any] = {}
        self.pids: set[int] = set()
        self._kind = kind
        self._process: subprocess.Popen[bytes] | None = None
        self._line: bytes | None = None
        self._pending = b""
        self._log = b""
        self._began = 0.0
        self._kill_at: float | None = None
        self._failures = 0

    @property
    def is_alive(self) -> bool:
        """Whether the process exists."""
        return self._process is not None

    @property
    def pipes(self) -> list[IO[bytes]]:
        """The pipes to wait for: the process's stdout and stderr."""
        process = self._process
        return [] if process is None else [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]

    @property
    def next_moment(self) -> float | None:
        """Time at which `tend` has something to do; None if there is nothing."""
        return self._kill_at if self._process is not None else self.retry_at

    def want(self, command: str, now: float) -> None:
        """Start the process if it does not run and is not in a pause, and tell it what to do, as a line of JSON."""
        line = command.encode() + b"\n"
        if self._process is None:
            if self.state != "ended" and (self.retry_at is None or now >= self.retry_at):
                self._start(line, now)
        elif line != self._line and self._kill_at is None:
            self._send(line)

    def release(self, now: float) -> None:
        """Stop the process if it runs."""
        self.retry_at = None
        if self._process is None:
            # The next reader's attempt is a first one again.
            self.state, self.error, self._failures = "off", None, 0
        elif self._kill_at is None:
            self.state = "stopping"
            self._kill_at = now + _ENDS_WITHIN
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def tend(self, now: float) -> list[str]:
        """Read what the process has printed, and note its end; return new lines of its log."""
        process = self._process
        if process is None:
            return []
        lines = self._read()
        if self._kill_at is not None and now >= self._kill_at:
            process.kill()
        code = process.poll()
        if code is not None:
            lines += self._read()
            self._ended(code, now)
        return lines

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._ended(-signal.SIGKILL, time.monotonic())

    def _start(self, line: bytes, now: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gst_iceoryx2.serve.worker", self._kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for pipe in self.pipes:
            os.set_blocking(pipe.fileno(), False)
        self.pids.add(self._process.pid)
        self.state, self.report, self._began, self._kill_at = "starting", {}, now, None
        self._pending = self._log = b""
        self._send(line)

    def _send(self, line: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._line = line
        # If it has just ended, `tend` will notice.
        with contextlib.suppress(OSError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _read(self) -> list[str]:
        assert self._process is not None
        out, log = (_drain(pipe) for pipe in self.pipes)
        *documents, self._pending = (self._pending + out).split(b"\n")
        for document in documents:
            self._note(json.loads(document))
        *lines, self._log = (self._log + log).split(b"\n")
        return [line.decode(errors="replace") for line in lines if line.strip()]

    def _note(self, values: dict[str, Any]) -> None:
        self.report.update(values)
        if "pid" in values:
            self.pids.add(values["pid"])
        state = values.get("state")
        if state == "running" and self._kill_at is None:
            self.state, self.error = "running", None

    def _ended(self, code: int, now: float) -> None:
        process, self._process = self._process, None
        assert process is not None
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        was_asked, self._kill_at, self._line = self._kill_at is not None, None, None
        if was_asked:
            self.state, self._failures = "off", 0
            return
        if code == 0 and self.report.get("state") == "ended":
            self.state = "ended"
            return
        self._failures = 1 if now - self._began > _STEADY else self._failures + 1
        pause = min(_FIRST_PAUSE * 2 ** (self._failures - 1), _LONGEST_PAUSE)
        self.state, self.retry_at = "waiting", now + pause
        self.error = self._reason(code)

    def _reason(self, code: int) -> str:
        told = self.report.get("error")
        if isinstance(told, str):
            return told[:_ERROR_MAX]
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"


def _drain(pipe: IO[bytes]) -> bytes:
    found = b""
    try:
        while chunk := os.read(pipe.fileno(), _READ_SIZE):
            found += chunk
    except BlockingIOError:
        pass
    return found
