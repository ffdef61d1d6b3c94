"""Runs `iox2-video serve` with a file, and readers in this process and in others."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.discovery.served import Served, served
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.commands import Command
from tests.cli.conftest import iox2_video  # noqa: F401 (fixture)
from tests.conftest import Place
from tests.processes.children import Child
from tests.waiting import arrived, wait_until

# A busy machine starts a process in seconds, and the virtual machine of `make test-camera` in more.
WAIT_MS = 60_000
WAIT = 60.0

CAM0 = """
[streams.cam0]
test = true
size = "320x180"
format = "NV12"
fps = 30
stop_after = "0.5s"
"""


class Serve:
    """A running `iox2-video serve`.

    Attributes:
        file: The file that it serves; None if it serves renditions of all streams.
        command: Its process.
    """

    def __init__(self, folder: Path, text: str | None) -> None:
        self.file = None if text is None else folder / "streams.toml"
        if self.file is not None and text is not None:
            self.file.write_text(text)
        self.command = Command(folder, "serve", *([] if self.file is None else [str(self.file)]))

    @property
    def pid(self) -> int:
        return self.command.process.pid

    def state(self, name: str) -> str | None:
        """What it says about a stream; None if it says nothing."""
        found = self.entry(name)
        return None if found is None else found.state

    def entry(self, name: str) -> Served | None:
        """Everything that it says about a stream."""
        return served(current_domain()).get(full_name(name))

    def wait_for(self, name: str, state: str | None, timeout: float = WAIT) -> None:
        """Wait until a stream is in a state."""
        try:
            wait_until(lambda: self.state(name) == state, timeout)
        except AssertionError:
            raise AssertionError(f"{name} is not {state} but {self.entry(name)}: {self.command.err}") from None

    def children(self) -> set[int]:
        """The processes of its streams."""
        return children_of(self.pid)

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self.command.process.kill()
        self.command.process.wait()


def children_of(pid: int) -> set[int]:
    """The child processes of a process that run."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found |= set(map(int, (task / "children").read_text().split()))
    return {child for child in found if runs(child)}


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _cleaned(domain: Place) -> Iterator[None]:
    """Give every test a domain of its own, and remove what killed processes left there."""
    yield
    VideoFramePublisher("video/cleaner/frame/v2").close()


@pytest.fixture
def serve(_cleaned: None, tmp_path: Path) -> Iterator[Callable[..., Serve]]:
    """Return a function that starts `iox2-video serve` with the text of a file."""
    started: list[Serve] = []

    def start(text: str | None = CAM0, folder: Path | None = None) -> Serve:
        made = Serve(folder or tmp_path, text)
        started.append(made)
        if text is None:
            wait_until(lambda: made.pid in _supervisors(), WAIT)
        return made

    yield start
    for one in started:
        if one.command.process.poll() is None:
            one.command.interrupt(signal.SIGTERM)
            one.command.process.wait(WAIT)
        one.command.close()


def _supervisors() -> dict[int, str | None]:
    from gst_iceoryx2.discovery.served import supervisors

    return supervisors(current_domain())


@pytest.fixture
def reader(_cleaned: None) -> Iterator[Callable[[str], Child]]:
    """Return a function that starts a process that reads a stream by its short name until its stdin ends."""
    started: list[Child] = []

    def start(name: str) -> Child:
        started.append(Child("read", full_name(name), acts="tests.serve.acts"))
        assert started[-1].told() == "there"
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill(signal.SIGTERM)
            one.process.wait(WAIT)
        one.close()


@dataclass(frozen=True)
class Seen:
    """What a frame showed."""

    width: int
    height: int
    format: str
    rgb: np.ndarray


def first(name: str) -> Seen:
    """Read a stream until a frame arrives, then leave it."""
    with (
        VideoFrameSubscriber(full_name(name)) as subscriber,
        arrived(subscriber.receive_blocking(WAIT_MS)) as frame,
    ):
        return Seen(frame.width, frame.height, frame.format, frame.to_rgb())
