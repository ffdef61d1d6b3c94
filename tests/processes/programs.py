"""Starts programs as a reader of the documentation does: several commands in parallel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gst_iceoryx2._plugin import plugin_library

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """A running command, whose output goes to a file.

    Attributes:
        process: The process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path) -> None:
        self._command = command
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=dict(environment), cwd=cwd
            )

    def __str__(self) -> str:
        return f"{' '.join(self._command)} ({self.process.poll()})"

    def output(self) -> str:
        """Its output so far."""
        return self._log.read_text(errors="replace")

    def finish(self, timeout: float = 90.0) -> str:
        """Wait until it exits by itself with code 0, and return its output."""
        self.close_input()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} does not end:\n{self.output()}") from None
        assert code == 0, f"{self} failed:\n{self.output()}"
        return self.output()

    def close_input(self) -> None:
        """Close its standard input; a program can wait for this."""
        assert self.process.stdin is not None
        self.process.stdin.close()


class Programs:
    """The programs of one test.

    Attributes:
        environment: Their environment; a test may add to it.
        folder: Folder of their working files.
    """

    def __init__(self, folder: Path, registry: Path) -> None:
        # Python of this environment, and the command `iox2-video` beside it, come first.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("GST_", "G_"))}
        # Importing gi.repository raises an ImportWarning.
        self.environment |= {"PATH": path, "PYTHONWARNINGS": "error,ignore::ImportWarning", "PYTHONUNBUFFERED": "1"}
        self.environment |= {"G_DEBUG": "fatal-warnings", "GST_REGISTRY": str(registry)}
        self._started: list[Program] = []

    def use_plugin(self) -> None:
        """Make GStreamer find the elements."""
        self.environment["GST_PLUGIN_PATH"] = str(plugin_library().parent)

    def start(self, *command: str, cwd: Path = ROOT) -> Program:
        """Start a command."""
        program = Program(command, self.environment, self.folder / f"{len(self._started)}.log", cwd)
        self._started.append(program)
        return program

    def example(self, name: str, *arguments: str) -> Program:
        """Start one of `examples/`."""
        return self.start(sys.executable, f"examples/{name}.py", *arguments)

    def python(self, text: str) -> Program:
        """Start a Python program with this text, in the folder of the test."""
        file = self.folder / f"program{len(self._started)}.py"
        file.write_text(text)
        return self.start(sys.executable, str(file), cwd=self.folder)

    def shell(self, text: str) -> Program:
        """Start lines of bash in the folder of the test; the first failing line ends them."""
        return self.start("bash", "-euc", text, cwd=self.folder)

    def end(self) -> None:
        """Stop programs that still run after a failed test, with SIGINT, so that they clean up."""
        for program in self._started:
            program.close_input()
            program.process.send_signal(signal.SIGINT)
        for program in self._started:
            try:
                program.process.wait(30)
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()
            # pytest shows this if the test fails.
            print(f"{program}:\n{program.output()}")


def wait_for_text(program: Program, text: str, timeout: float = 90.0) -> None:
    """Wait until a program has printed a text."""
    deadline = time.monotonic() + timeout
    while text not in program.output():
        assert program.process.poll() is None, f"it ended without printing {text!r}:\n{program.output()}"
        assert time.monotonic() < deadline, f"it does not print {text!r}:\n{program.output()}"
        time.sleep(0.01)
