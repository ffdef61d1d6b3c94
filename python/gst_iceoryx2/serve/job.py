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
from ..errors import without_passwords

# Pause before the first restart after a failure, and the longest one, in seconds.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
# A process that ran for so long starts with the first pause again, in seconds.
_STEADY: Final = 10.0
# Time that a process gets to end before it is killed, in seconds.
_ENDS_WITHIN: Final = 2.0
# Time between two looks whether a process has ended whose pipes are closed, in seconds.
_END_LOOK: Final = 0.02
# Limits on what a process prints, so that one that prints without end cannot occupy the supervisor.
_READ_MAX: Final = 1 << 16
_LINE_MAX: Final = 1 << 20
_LOG_MAX: Final = 1000
_ERROR_MAX: Final = 300
# With "-m" alone, the interpreter imports modules from the current folder first.
_FLAGS: Final = ("-P",) if sys.version_info >= (3, 11) else ()


class Job:
    """A process that serves one stream, its renditions, or one encoded stream, or keeps its packets, when it is wanted.

    Args:
        kind: What the process serves.

    Attributes:
        state: What it does.
        error: Why it failed last; None if it has not, or runs again.
        retry_at: Time of the next attempt (`time.monotonic`); None if none is due.
        report: The newest value of everything that the process has reported.
        pids: Process IDs of the process and its child, which are still listed as participants after they were killed.
    """

    def __init__(self, kind: Literal["source", "renditions", "packets", "ring"]) -> None:
        self.state: State = "off"
        self.error: str | None = None
        self.retry_at: float | None = None
        self.report: dict[str, Any] = {}
        self.pids: set[int] = set()
        self._kind = kind
        self._process: subprocess.Popen[bytes] | None = None
        self._line: bytes | None = None
        # What the process has not read yet.
        self._unsent = b""
        self._out = _Lines()
        self._log = _Lines()
        self._began = 0.0
        self._kill_at: float | None = None
        self._is_killed = False
        self._failures = 0

    @property
    def is_alive(self) -> bool:
        """Whether the process exists."""
        return self._process is not None

    @property
    def pipes(self) -> list[IO[bytes]]:
        """The pipes to wait for: the process's stdout and stderr, unless the process has closed them."""
        process = self._process
        if process is None:
            return []
        ends = ((process.stdout, self._out), (process.stderr, self._log))
        return [pipe for pipe, lines in ends if pipe is not None and not lines.is_closed]

    @property
    def next_moment(self) -> float | None:
        """Time at which `tend` has something to do; None if there is nothing."""
        if self._process is None:
            return self.retry_at
        is_ending = self._out.is_closed or self._log.is_closed or self._is_killed
        return time.monotonic() + _END_LOOK if is_ending else self._kill_at

    def want(self, command: str, now: float) -> None:
        """Start the process if it does not run and is not in a pause, and tell it what to do, as a line of JSON."""
        line = command.encode() + b"\n"
        if self._process is None:
            if self.state != "ended" and (self.retry_at is None or now >= self.retry_at):
                self._start(line, now)
        elif self._kill_at is None:
            if line != self._line:
                self._line, self._unsent = line, self._rest() + line
            self._send()

    def release(self, now: float) -> None:
        """Stop the process if it runs."""
        self.retry_at = None
        if self._process is None:
            # The attempt for the next reader is a first one again.
            self.state, self.error, self._failures = "off", None, 0
        elif self._kill_at is None:
            self.state = "stopping"
            self._kill_at = now + _ENDS_WITHIN
            self._unsent = b""
            assert self._process.stdin is not None
            self._process.stdin.close()

    def tend(self, now: float) -> list[str]:
        """Read what the process has printed, and note its end; return new lines of its log."""
        process = self._process
        if process is None:
            # Other processes may have these numbers soon.
            self.pids.clear()
            return []
        lines = self._read()
        if self._kill_at is not None and now >= self._kill_at and not self._is_killed:
            self._is_killed = True
            process.kill()
        code = process.poll()
        if code is not None:
            lines += self._read()
            self._ended(code, now)
        return lines

    def kill(self) -> None:
        """Kill the process and wait for its end for a moment. A process that waits for a device may end later."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDS_WITHIN)
            self._kill_at = 0.0
            self._ended(-signal.SIGKILL, time.monotonic())

    def _start(self, line: bytes, now: float) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, *_FLAGS, "-m", "gst_iceoryx2.serve.worker", self._kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as exc:
            self._fail(f"cannot start a process: {exc.strerror or exc}", now)
            return
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        self.pids = {self._process.pid}
        self.state, self.report, self._began, self._kill_at = "starting", {}, now, None
        self.retry_at, self._is_killed = None, False
        self._out, self._log = _Lines(), _Lines()
        self._line = self._unsent = line
        self._send()

    def _rest(self) -> bytes:
        """Return the rest of a line of which the process has received a part; what follows it is out of date."""
        part, end, _ = self._unsent.partition(b"\n")
        return b"" if self._unsent == self._line else part + end

    def _send(self) -> None:
        """Send as much as the process takes at present."""
        assert self._process is not None
        assert self._process.stdin is not None
        # If it has just ended, `tend` will notice.
        with contextlib.suppress(OSError):
            while self._unsent and (count := self._process.stdin.write(self._unsent)):
                self._unsent = self._unsent[count:]

    def _read(self) -> list[str]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for document in self._out.read(process.stdout):
            with contextlib.suppress(ValueError, RecursionError):
                self._note(json.loads(document))
        lines = [without_passwords(line.decode(errors="replace")) for line in self._log.read(process.stderr)]
        return [line[:_LOG_MAX] for line in lines if line.strip()]

    def _note(self, values: Any) -> None:
        if not isinstance(values, dict):
            return
        self.report.update(values)
        if isinstance(values.get("pid"), int):
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
        was_asked, self._kill_at, self._line, self._unsent = self._kill_at is not None, None, None, b""
        if was_asked:
            self.state, self._failures = "off", 0
            return
        if code == 0 and self.report.get("state") == "ended":
            self.state = "ended"
            return
        if now - self._began > _STEADY:
            self._failures = 0
        self._fail(self._reason(code), now)

    def _fail(self, error: str, now: float) -> None:
        """Note why it cannot run, and when to try again."""
        self._failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self._failures - 1, 10), _LONGEST_PAUSE)
        self.state, self.retry_at = "waiting", now + pause
        self.error = error

    def _reason(self, code: int) -> str:
        told = self.report.get("error")
        if isinstance(told, str):
            return told[:_ERROR_MAX]
        if code >= 0:
            return f"its process ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            # Real-time signals have no name.
            name = f"signal {-code}"
        return f"its process was killed by {name}" + ("; /dev/shm is full" if -code == signal.SIGBUS else "")


class _Lines:
    """The lines that a process prints to a pipe.

    Attributes:
        is_closed: Whether the process has closed the pipe.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._part = b""

    def read(self, pipe: IO[bytes]) -> list[bytes]:
        """Return new lines. Of a line that is too long, the rest is left out."""
        if self.is_closed:
            return []
        try:
            found = os.read(pipe.fileno(), _READ_MAX)
        except BlockingIOError:
            return []
        if not found:
            self.is_closed = True
            # What precedes the end is a line, too.
            found = b"\n"
        *lines, self._part = (self._part + found).split(b"\n")
        self._part = self._part[:_LINE_MAX]
        return lines
