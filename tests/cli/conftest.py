"""Runs `iox2-video` as a process in the test's domain, and publishers for it to find."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import FAR, NEAR, Bridge, Pair
from tests.cli.commands import Command
from tests.conftest import Place
from tests.processes.children import ROOT, Child


class CommandLine:
    """Runs `iox2-video`."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-W", "error", "-m", "gst_iceoryx2"]

    @property
    def environment(self) -> dict[str, str]:
        """Environment with the test's domain and this tree's package, without settings for colours."""
        path = os.pathsep.join((str(ROOT / "python"), str(ROOT)))
        environment = os.environ | {"PYTHONPATH": path}
        return {name: value for name, value in environment.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}

    def __call__(self, *arguments: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, with any exit code."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Run successfully, and parse stdout as JSON."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a process; it is killed at the end of the test."""
        process = subprocess.Popen(
            [*self.command, *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def close(self) -> None:
        """Kill all running processes."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


class Views:
    """Starts `iox2-video view`, and ends it with Ctrl-C."""

    def __init__(self, line: CommandLine) -> None:
        self._line = line
        self.processes: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, **environment: str) -> str:
        """Start the command; return the address that it prints."""
        process = self._line.start("view", *arguments, **environment)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stderr is not None
        return process.stdout.readline().strip() or pytest.fail(process.stderr.read())

    def says(self, text: str) -> str:
        """The first line on stderr of the newest process that has a text."""
        stream = self.processes[-1].stderr
        return next((line for line in stream or () if text in line), "")

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 130
            assert process.stderr is not None
            assert "Exception in thread" not in process.stderr.read()


Paint = Callable[..., Child]
"""Starts a publisher of known pictures."""


@pytest.fixture
def paint(domain: Place) -> Iterator[Paint]:
    """Starts publishers, which end in order."""
    children = []

    def start(name: str = "cam0", **options: Any) -> Child:
        child = Child("paint", f"video/{name}/frame/v2", options, acts="tests.cli.painter")
        children.append(child)
        assert child.told() == "painting"
        return child

    yield start
    for child in children:
        end(child)


@pytest.fixture
def encode(domain: Place) -> Iterator[Callable[..., Child]]:
    """Starts encoders: `encode("cam0", keyint=60)`; they end in order."""
    pytest.importorskip("av")
    children = []

    def start(name: str = "cam0", **settings: Any) -> Child:
        child = Child("encode", f"{name}@h264", {"preset": "ultrafast"} | settings, acts="tests.cli.painter")
        children.append(child)
        assert child.told() == "encoding"
        return child

    yield start
    for child in children:
        end(child)


def end(child: Child) -> None:
    """End a publisher of `paint` or `encode`, if it runs."""
    if child.process.poll() is None:
        child.tell()
        child.ends()
    child.close()


@pytest.fixture
def iox2_video(domain: Place) -> Iterator[CommandLine]:
    """Runs `iox2-video` in the test's domain."""
    line = CommandLine()
    yield line
    line.close()


@pytest.fixture
def child(domain: Place) -> Iterator[Callable[..., Child]]:
    """Starts acts of `tests.cli.acts` in processes; they end with the test."""
    children: list[Child] = []

    def start(act: str, *arguments: Any) -> Child:
        started = Child(act, *arguments, acts="tests.cli.acts")
        children.append(started)
        return started

    yield start
    for one in reversed(children):
        if one.process.poll() is None:
            stop(one)
        one.close()


@pytest.fixture
def source(child: Callable[..., Child]) -> Callable[..., Child]:
    """Starts a publisher process: `source("video/cam0/frame/v2", fps=30, width=64, …)`, and waits for its frames."""

    def start(*services: str, fps: float = 30, width: int = 64, height: int = 48, **more: Any) -> Child:
        started = child("send_with", {"services": services, "fps": fps, "width": width, "height": height} | more)
        assert started.told() == "sending"
        return started

    return start


def stop(process: Child) -> None:
    """Ask a process to end, and wait for its end."""
    try:
        process.tell()
        process.ends(60)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        process.close()


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory for this test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@contextmanager
def described_by_another_release(domain: Place, name: str) -> Iterator[None]:
    """Adds the description of a service by iceoryx2 0.9, made from the stream cam0."""
    file = next(path for path in domain.root.glob("services/*.service") if "VideoFrameHeader" in path.read_text())
    other = file.with_name(f"{domain.prefix}{'0' * 40}.service")
    other.write_text(file.read_text().replace("minor = 10", "minor = 9").replace("cam0", name))
    other.chmod(0o400)
    yield
    other.unlink()


@pytest.fixture
def key() -> str:
    """A unique key, because all bridges of this user hear each other."""
    return f"test/{os.getpid()}/{time.monotonic_ns()}/cam 0"


@pytest.fixture
def bridge(tmp_path: Path, domain: Place) -> Iterator[Bridge]:
    running: list[Command] = []

    def start(*arguments: str, prefix: tuple[str, ...] = ()) -> Command:
        running.append(Command(tmp_path, "bridge", *arguments, prefix=prefix))
        return running[-1]

    yield start
    for command in running:
        with contextlib.suppress(ProcessLookupError):
            command.process.send_signal(signal.SIGCONT)
        command.close()


@pytest.fixture
def pair(domain: Place) -> Iterator[Pair]:
    with VideoFramePublisher(NEAR, framerate=30) as publisher, VideoFrameSubscriber(FAR) as subscriber:
        yield Pair(publisher, subscriber)


@pytest.fixture
def view(iox2_video: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Views]:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    views = Views(iox2_video)
    yield views
    views.close()


@pytest.fixture
def record(tmp_path: Path, domain: Place) -> Iterator[Callable[..., Command]]:
    """Starts recorders, which wait for a minute: a busy machine may pause a test for longer than the usual 5 s."""
    running: list[Command] = []

    def start(*arguments: str, prefix: tuple[str, ...] = ()) -> Command:
        patient = () if "--timeout" in arguments else ("--timeout", "60")
        running.append(Command(tmp_path, "record", *arguments, *patient, prefix=prefix))
        return running[-1]

    yield start
    for command in running:
        command.close()
