"""Child processes of tests: each runs a function of `tests.processes.acts` and reports lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Child:
    """A Python process that runs one act.

    Args:
        act: Name of a function in the module of acts.
        *arguments: Arguments of the function.
        acts: Module of acts with a function `run`.
    """

    def __init__(self, act: str, *arguments: Any, acts: str = "tests.processes.acts") -> None:
        program = f"from {acts} import run; run({act!r}, *{list(arguments)!r})"
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-W", "error", "-c", program],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python")))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._told: queue.Queue[Any] = queue.Queue()
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_told, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _read_told(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._told.put(json.loads(line))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def told(self, timeout: float = 60) -> Any:
        """Return the next report."""
        try:
            return self._told.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no report within {timeout} s: {self.complaint()}") from None

    def tell(self, text: str = "go") -> None:
        """Write a line to the standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; after SIGKILL wait for the end."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait(60)

    def ends(self, timeout: float = 60) -> int:
        """Wait for the end; return the exit code."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(60)
        return code

    def complaint(self) -> str:
        """Return the text on standard error."""
        return "".join(self.errors)

    def close(self) -> None:
        """End the process if it runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        for reader in self._readers:
            reader.join(60)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
