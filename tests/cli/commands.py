"""Runs `iox2-video` as a process, with stdout and stderr apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = Path(sys.executable).parent / "iox2-video"


class Command:
    """A running `iox2-video`.

    Args:
        folder: Where its outputs go, and where it runs.
        *arguments: What is typed behind `iox2-video`.
        prefix: A command that starts it; without arguments, all of the command.

    Attributes:
        process: The process.
    """

    def __init__(self, folder: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self._out = folder / f"out{time.monotonic_ns()}"
        self._err = self._out.with_name(self._out.name + ".err")
        environment = os.environ | {"PYTHONWARNINGS": "error,ignore::ImportWarning"}
        self._arguments = arguments
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*prefix, *((str(COMMAND), *arguments) if arguments else ())],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        """The text on stdout."""
        return self._out.read_bytes().decode()

    @property
    def err(self) -> str:
        """The text on stderr."""
        return self._err.read_text()

    def ends(self, code: int, timeout: float = 60.0) -> str:
        """Wait until it ends with this exit code; return the text on stderr."""
        try:
            got = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} does not end: {self.err}") from None
        assert got == code, f"{self} ended with {got}, not {code}: {self.err}"
        return self.err

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal; by default that of Ctrl-C."""
        self.process.send_signal(number)

    def says(self, text: str, timeout: float = 60.0) -> None:
        """Wait until the text is on stderr."""
        deadline = time.monotonic() + timeout
        while text not in self.err:
            assert self.process.poll() is None, f"{self} ended without saying {text!r}: {self.err}"
            assert time.monotonic() < deadline, f"{self} does not say {text!r}: {self.err}"
            time.sleep(0.01)

    def close(self) -> None:
        """Kill the process if it runs."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)

    def __str__(self) -> str:
        return f"iox2-video {' '.join(self._arguments)}"
