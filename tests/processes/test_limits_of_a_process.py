"""A process that cannot receive or send because of its limits reports that once, and continues when they are raised.

The tests set the limits from outside while the process runs.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets the limits of another process")

ROOT = Path(__file__).resolve().parents[2]
READER = """
import sys
from gst_iceoryx2.video import VideoFrameSubscriber
with VideoFrameSubscriber(sys.argv[1]) as subscriber:
    print("waiting", flush=True)
    while True:
        frame = subscriber.receive_blocking(100)
        if frame is not None:
            print("frame", flush=True)
            del frame
"""
WRITER = """
import sys, time
import numpy as np
from gst_iceoryx2.video import VideoFramePublisher
picture = np.ones((48, 64, 3), np.uint8)
with VideoFramePublisher(sys.argv[1], max_bytes=picture.nbytes) as publisher:
    print("running", flush=True)
    while True:
        publisher.publish(picture)
        time.sleep(0.02)
"""
# Prints a line per frame.
SENDER = "gst-launch-1.0 -m videotestsrc is-live=true ! video/x-raw,width=64,height=48 ! iceoryx2sink service={}"
PIPELINE = "gst-launch-1.0 -m iceoryx2src service={} ! fakesink silent=false sync=false -v"

Limit = Callable[[int], tuple[int, int]]


def address_space(pid: int) -> tuple[int, int]:
    """Return a limit that suffices for everything except the frames, which take 66 MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return resource.RLIMIT_AS, pages * resource.getpagesize() + (30 << 20)


def no_descriptors(pid: int) -> tuple[int, int]:
    """Return a limit that is too low to open the service."""
    return resource.RLIMIT_NOFILE, _limit_that_leaves(1, pid)


def few_descriptors(pid: int) -> tuple[int, int]:
    """Return a limit for service and port, but not for a connection; counted in /proc/self/fd."""
    return resource.RLIMIT_NOFILE, _limit_that_leaves(4, pid)


def _limit_that_leaves(count: int, pid: int) -> int:
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = (number for number in range(1024) if number not in used)
    return [next(free) for _ in range(count + 1)][-1]


class Process:
    """A process that prints its frames and its errors to one file."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ
                | {
                    "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python"))),
                    "GST_PLUGIN_PATH": str(plugin_library().parent),
                    "GST_REGISTRY": str(log.with_suffix(".bin")),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def frames(self) -> int:
        return len(re.findall(r"^frame$|chain.* \*{7}", self.said(), re.MULTILINE))


@pytest.fixture(params=["python", "element"])
def reader(request: pytest.FixtureRequest, service: str, domain: Place, tmp_path: Path) -> Iterator[Process]:
    """Start a subscriber or a pipeline that waits for its publisher."""
    if request.param == "python":
        command = [sys.executable, "-u", "-c", READER, service]
    elif gstreamer_version() is None:
        pytest.skip("GStreamer is not installed")
    else:
        command = ["stdbuf", "-oL", *(word.format(service) for word in PIPELINE.split())]
    with Process(command, tmp_path / "said") as one:
        wait_until(lambda: "waiting" in one.said() or "New clock" in one.said())
        yield one


@pytest.mark.parametrize("limit", [address_space, no_descriptors, few_descriptors])
@pytest.mark.proves("E6")
def test_a_reader_that_cannot_map_its_publisher_says_so_once_and_recovers(
    limit: Limit, reader: Process, service: str
) -> None:
    pid = reader.process.pid
    what, most = limit(pid)
    soft, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, hard))
    picture = np.ones((720, 1280, 3), np.uint8)

    told = re.compile(rf'cannot receive from "{re.escape(service)}": this process may (use|open) at most {most} ')
    with VideoFramePublisher(service, max_bytes=picture.nbytes) as publisher:

        def is_told() -> bool:
            publisher.publish(picture)
            return told.search(reader.said()) is not None

        wait_until(is_told)
        assert reader.process.poll() is None, reader.said()
        assert reader.frames() == 0
        resource.prlimit(pid, what, (soft, hard))

        def receives() -> bool:
            publisher.publish(picture)
            return reader.frames() > 2

        wait_until(receives)
        assert len(set(told.findall(reader.said()))) == 1, reader.said()


@pytest.mark.proves("E6")
def test_a_reader_recovers_from_a_publisher_that_grew_beyond_the_limit(reader: Process, service: str) -> None:
    """Memory of a later port is mapped while frames come."""
    pid = reader.process.pid
    small, large = (np.ones((height, 1280, 3), np.uint8) for height in (64, 720))

    with VideoFramePublisher(service, max_bytes=small.nbytes) as publisher:

        def receives(picture: np.ndarray, more_than: int = 2) -> bool:
            publisher.publish(picture)
            return reader.frames() > more_than

        wait_until(lambda: receives(small))
        what, most = address_space(pid)
        soft, hard = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (most, hard))
        wait_until(lambda: receives(large, 1 << 30) or f"may use at most {most} bytes" in reader.said())
        resource.prlimit(pid, what, (soft, hard))
        before = reader.frames()
        wait_until(lambda: receives(large, before + 2))


@pytest.mark.parametrize("language", ["python", "element"])
@pytest.mark.proves("E6")
def test_a_publisher_that_cannot_connect_a_reader_says_so_once_and_does_it_later(
    language: str, service: str, domain: Place, tmp_path: Path
) -> None:
    if language == "python":
        command = [sys.executable, "-u", "-c", WRITER, service]
    elif gstreamer_version() is None:
        pytest.skip("GStreamer is not installed")
    else:
        command = ["stdbuf", "-oL", *(word.format(service) for word in SENDER.split())]
    with Process(command, tmp_path / "said") as writer, VideoFrameSubscriber(service) as first:
        wait_until(lambda: first.receive() is not None)
        pid, what = writer.process.pid, resource.RLIMIT_NOFILE
        soft, hard = resource.prlimit(pid, what)
        most = _limit_that_leaves(0, pid)
        resource.prlimit(pid, what, (most, hard))
        with VideoFrameSubscriber(service) as reader:
            fault = f"this process may open at most {most} files and can open only 0 more"
            told = f'cannot send to a subscriber of "{service}": {fault}'
            wait_until(lambda: told in writer.said())
            assert reader.receive() is None
            wait_until(lambda: first.receive() is not None)
            resource.prlimit(pid, what, (soft, hard))
            wait_until(lambda: reader.receive() is not None and first.receive() is not None)
            assert writer.said().count(told) == 1, writer.said()
