"""Containers without a container engine: each has a mount namespace and a pid namespace of its own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import plugin_library
from tests.conftest import Place

ROOT = Path(__file__).resolve().parents[2]

NAMESPACES = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]


def unshare() -> list[str]:
    """Return the prefix of a container's command; an ordinary user also needs a user namespace."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, *NAMESPACES]


def why_not() -> str | None:
    """Return why containers cannot be made here; None if they can."""
    try:
        tried = subprocess.run([*unshare(), "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    except FileNotFoundError as error:
        return str(error)
    return tried.stderr.strip() if tried.returncode else None


class Container:
    """A program in a container, as its process 1 unless told otherwise.

    Attributes:
        process: The unshare command around it; the program dies with it.
    """

    def __init__(self, command: list[str], log: Path, own: tuple[str, ...] = (), after: int = 0) -> None:
        mounts = "".join(f"mkdir -p {path} && mount -t tmpfs none {path} && " for path in own)
        shell = f"{mounts}exec {shlex.join(command)}"
        if after:
            # Other processes run first, and the shell stays process 1.
            shell = f"{mounts}for _ in $(seq {after}); do /bin/true; done; {shlex.join(command)}; exit $?"
        self._log = log
        environment = os.environ | {"PYTHONPATH": "python:."}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*unshare(), "sh", "-c", shell],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=ROOT,
            )

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def lines(self) -> list[str]:
        # The last line may be incomplete.
        return self.output().rpartition("\n")[0].splitlines()

    def tell(self, words: str) -> None:
        """Write a line to the standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n".encode())
        self.process.stdin.flush()

    def finish(self, timeout: float = 90.0) -> str:
        """Close the standard input, wait for the end, and return the output."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end:\n{self.output()}") from None
        assert code == 0, f"ended with {code}:\n{self.output()}"
        return self.output()

    def kill(self) -> None:
        """Kill all its processes."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


Start = Callable[..., Container]


@pytest.fixture
def container(domain: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a program of `tests.containers.programs`, or any command, in a container of its own.

    ``own=("/dev/shm",)`` gives it this folder for itself instead of the shared one. ``after=40`` runs so many processes
    first, so that its process id is unknown in other containers.
    """
    reason = why_not()
    if reason is not None:
        pytest.skip(f"making namespaces is not permitted here: {reason}")
    monkeypatch.setenv("GST_PLUGIN_PATH", str(plugin_library().parent))
    monkeypatch.setenv("GST_REGISTRY", str(tmp_path / "registry.bin"))
    started: list[Container] = []

    def start(*command: object, own: tuple[str, ...] = (), after: int = 0) -> Container:
        words = [str(word) for word in command]
        if not words[0].startswith("gst-"):
            words = [sys.executable, "-m", "tests.containers.programs", *words]
        box = Container(words, tmp_path / f"container{len(started)}.log", own, after)
        started.append(box)
        return box

    yield start
    for box in started:
        if box.process.poll() is None:
            box.kill()
        if box.process.stdin is not None:
            box.process.stdin.close()
    # Only `unshare` was waited for: a killed process may take a moment to die.
    deadline = time.monotonic() + 60
    while domain.leftovers() and time.monotonic() < deadline:
        subprocess.run([plugin_library().parent / "iceoryx2-cleanup", domain.root, domain.prefix], check=True)


@pytest.fixture
def service() -> str:
    """Name of the test's service: one word of a launch line."""
    return "video/containers/frame/v2"
