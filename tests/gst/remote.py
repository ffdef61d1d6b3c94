"""Processes of a test: stages with GStreamer pipelines, and other programs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# GLib prints this when a program misuses it. With G_DEBUG=fatal-warnings the process ends, too.
GLIB_COMPLAINT = re.compile(r"(GLib|GStreamer|GObject)[\w-]*-(CRITICAL|WARNING) \*\*|panicked at")


class RemoteError(AssertionError):
    """A call failed in the other process. The message is its traceback."""


class Stage:
    """A process of `tests.gst.stage`. Its methods are called as methods of this class."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.gst.stage"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(environment),
                cwd=ROOT,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.call(name, *args, **kwargs)

    def run(self, function: Callable[..., Any], *, limit: float = 90.0, **args: Any) -> Any:
        """Run a function in the stage's process. Its first argument is the stage."""
        return self._request({"call": f"{function.__module__}:{function.__qualname__}", "kwargs": args}, limit)

    def call(self, method: str, /, *args: Any, limit: float = 90.0, **kwargs: Any) -> Any:
        return self._request({"call": method, "args": args, "kwargs": kwargs}, limit)

    def _request(self, request: dict[str, Any], limit: float) -> Any:
        name = request["call"]
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise RemoteError(self._exit_report(name)) from None
        line = self._answer(name, limit)
        answer = json.loads(line)
        if "error" in answer:
            raise RemoteError(f"{name}: {answer['error']}")
        return answer["result"]

    def _answer(self, name: str, limit: float) -> bytes:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(limit):
                stacks = self._stacks()
                self.process.kill()
                raise RemoteError(f"{name}: no answer within {limit} s\n{stacks}\n{self.tail()}")
        line = self.process.stdout.readline()
        if not line:
            raise RemoteError(self._exit_report(name))
        return line

    def _stacks(self) -> str:
        """Return where the threads of a hanging process wait, if the kernel tells."""
        lines = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                lines.append(f"{(task / 'comm').read_text().strip()}: {(task / 'wchan').read_text().strip()}")
            except OSError:
                continue
        return "\n".join(lines)

    def _exit_report(self, name: str) -> str:
        code = self.process.wait(60)
        return f"{name}: the process ended with {code}\n{self.tail()}"

    def tail(self, size: int = 4000) -> str:
        return self.log.read_text(errors="replace")[-size:]

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def close(self) -> None:
        """Let the process exit, and check that it succeeded."""
        if self.process.poll() is not None:
            # It was killed on purpose, or a call has already failed because it is dead.
            self._close_streams()
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            stacks = self._stacks()
            self.process.kill()
            self.process.wait()
            raise RemoteError(f"the stage does not end\n{stacks}\n{self.tail()}") from None
        finally:
            self._close_streams()
        assert code == 0, self.tail()
        complaint = GLIB_COMPLAINT.search(self.log.read_text(errors="replace"))
        assert complaint is None, self.tail()

    def _close_streams(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            # An unread request is still in the input buffer of a dead process.
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()


def run(command: list[str], environment: Mapping[str, str], timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command, env=dict(environment), cwd=ROOT, timeout=timeout, capture_output=True, text=True, check=False
    )


def clean_environment() -> dict[str, str]:
    """Return this process's environment without variables that configure GStreamer, iceoryx2 or Python."""
    steering = ("GST_", "G_", "IOX2_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)}
