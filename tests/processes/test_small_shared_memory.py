"""A /dev/shm of 64 MB, as in a container: large frames are an error with both numbers, and small frames work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from tests.conftest import Place

ROOT = Path(__file__).resolve().parents[2]

SEVERAL = """
import sys
import numpy as np
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
kept = []
picture = np.ones((480, 640, 3), np.uint8)
for number in range(int(sys.argv[2])):
    try:
        publisher = VideoFramePublisher(f"{sys.argv[1]}/{number}", max_bytes=picture.nbytes)
    except MemoryError as error:
        print("refused", number, error)
        break
    subscriber = VideoFrameSubscriber(publisher.service_name)
    publisher.wait_for_subscribers(1, timeout=60)
    kept.append((publisher, subscriber, []))
# Use memory only now: each subscriber holds as many frames as it may, and its buffer fills.
for publisher, subscriber, frames in kept:
    for _ in range(40):
        publisher.publish(picture)
        if subscriber.stats.held < 10:
            frames.append(subscriber.receive())
    assert all((frame.numpy_view() == 1).all() for frame in frames)
print("written", len(kept))
"""

HOLDERS = """
import signal, subprocess, sys
from gst_iceoryx2.video import VideoFrameSubscriber
first, second = [VideoFrameSubscriber("full") for _ in range(2)]
# Without --foreground, `timeout` passes SIGINT on twice, and the second one kills gst-launch-1.0 before it cleans up.
command = ["timeout", "--foreground", "150", *sys.argv[1:]]
writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
# Each subscriber holds 10 frames that the other one does not hold, and 10 newer frames wait in the buffers.
held = [first.receive_blocking(60_000) for _ in range(10)]
for _ in range(10):
    second.receive_blocking(60_000)
while second.stats.held < 10 and (frame := second.receive_blocking(60_000)):
    held.append(frame)
print(next(line for line in writer.stdout if " dropped: " in line))
writer.send_signal(signal.SIGINT)
writer.communicate()
"""

WRITER = """
import numpy as np
from gst_iceoryx2.video import VideoFramePublisher
picture = np.ones((480, 640, 3), np.uint8)
publisher = VideoFramePublisher("full", max_bytes=picture.nbytes)
publisher.wait_for_subscribers(2, timeout=60)
while True:
    publisher.publish(picture)
"""


def in_small_memory(
    *command: str, megabytes: int = 64, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with a /dev/shm of this size."""
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs /dev/shm && exec {shlex.join(command)}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python")))} | (environment or {}),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def why_not() -> str | None:
    try:
        tried = in_small_memory("true", megabytes=1)
    except OSError as error:
        return str(error)
    return tried.stderr.strip() if tried.returncode else None


REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=f"cannot mount a small /dev/shm: {REASON}")

needs_gstreamer = pytest.mark.skipif(gstreamer_version() is None, reason="GStreamer is not installed")


@pytest.fixture
def gst(domain: Place, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which gst-launch-1.0 finds the elements."""
    return {"GST_PLUGIN_PATH": str(plugin_library().parent), "GST_REGISTRY": str(tmp_path / "registry.bin")}


def launch(line: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return in_small_memory("gst-launch-1.0", *line.split(), environment=environment)


@needs_gstreamer
@pytest.mark.proves("M8")
def test_a_sink_whose_frames_are_too_large_says_so_with_both_numbers(gst: dict[str, str]) -> None:
    caps = "video/x-raw,format=BGR,width=1920,height=1080"
    ended = launch(f"videotestsrc num-buffers=60 ! {caps} ! iceoryx2sink service=large", gst)
    # SIGBUS would be -7, or 128 + 7.
    assert ended.returncode == 1, ended.stderr
    need = r'on service "large": it may need 14\d\.\d MB of shared memory \(24 frames of 6\.2 MB\)'
    assert re.search(rf"{need}, but /dev/shm has only 6\d\.\d MB free, .* reserved by existing files", ended.stderr), (
        ended.stderr
    )
    assert "--shm-size" in ended.stderr


@needs_gstreamer
@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ("width=640,height=480", ""),
        ("width=1920,height=1080", "max-frames=6 max-loans=2 buffer-size=2 borrowed-max=2"),
    ],
)
@pytest.mark.proves("M8")
def test_small_frames_or_few_of_them_work(gst: dict[str, str], size: str, settings: str) -> None:
    source = f"videotestsrc num-buffers=60 pattern=ball ! video/x-raw,format=BGR,{size}"
    # The receiver holds back a second of frames, which is more than fits.
    queue = "queue max-size-buffers=30 min-threshold-buffers=20 max-size-bytes=0"
    receiver = f"iceoryx2src service=small ! {queue} ! fakesink async=false"
    ended = launch(
        f"{source} ! iceoryx2sink service=small sync=false wait-for-connection=true {settings} {receiver}", gst
    )
    assert ended.returncode == 0, ended.stderr


@needs_gstreamer
def test_frames_that_grow_beyond_the_memory_are_refused_with_both_numbers(gst: dict[str, str]) -> None:
    line = (
        "videotestsrc num-buffers=10 ! video/x-raw,format=BGR,width=320,height=240 ! c.sink_0 "
        "videotestsrc num-buffers=10 ! video/x-raw,format=BGR,width=3840,height=2160 ! c.sink_1 "
        "concat name=c ! iceoryx2sink name=sink service=growing sync=false"
    )
    ended = launch(line, gst)
    assert ended.returncode == 1, ended.stderr
    assert re.search(
        r'"growing": it may need 604\.0 MB .* \(24 frames of 25\.2 MB\), but /dev/shm has only 6\d\.\d MB', ended.stderr
    )


@pytest.mark.parametrize("language", ["python", pytest.param("rust", marks=needs_gstreamer)])
@pytest.mark.proves("M8")
def test_where_memory_cannot_grow_the_warning_says_so(
    language: str, domain: Place, request: pytest.FixtureRequest
) -> None:
    """24 frames fit, but 48 do not. A larger `max-frames` would not help."""
    writer, environment = [sys.executable, "-c", WRITER], {}
    if language == "rust":
        source = "videotestsrc ! video/x-raw,format=BGR,width=640,height=480"
        line = f"gst-launch-1.0 {source} ! iceoryx2sink service=full sync=false wait-for-connection=true"
        writer, environment = line.split(), request.getfixturevalue("gst")
    ended = in_small_memory(sys.executable, "-c", HOLDERS, *writer, megabytes=40, environment=environment)
    assert ended.returncode == 0, ended.stderr
    held = 'frame of service "full" dropped: subscribers hold all 24 frames in the publisher\'s memory'
    assert f"{held}, and /dev/shm has no room for more; release frames sooner, or enlarge /dev/shm" in ended.stdout
    assert ended.stdout.count("dropped: ") == 1
    assert "max-frames" not in ended.stdout


def test_memory_without_a_limit_is_no_small_memory(service: str, domain: Place) -> None:
    ended = in_small_memory(sys.executable, "-c", SEVERAL, service, "1", megabytes=0)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "written 1" in ended.stdout


FILLED = "head -c 4000000 /dev/zero > /dev/shm/filler; exec {}"
OPEN = "import sys; from gst_iceoryx2.video import {0}; {0}(sys.argv[1])"


@pytest.mark.parametrize("port", ["VideoFramePublisher", "VideoFrameSubscriber"])
@pytest.mark.proves("M8")
def test_where_shared_memory_is_full_the_sdk_says_so_before_it_writes(port: str, service: str, domain: Place) -> None:
    """Even the first 16 bytes of a domain would be a SIGBUS."""
    command = shlex.join([sys.executable, "-c", OPEN.format(port), service])
    ended = in_small_memory("sh", "-c", FILLED.format(command), megabytes=2)
    assert ended.returncode == 1, ended.stderr
    assert re.search(
        r"OutOfSharedMemoryError: .* needs 262144 bytes .*, but /dev/shm has only 0 bytes free",
        ended.stderr,
    )


@needs_gstreamer
@pytest.mark.parametrize("line", ["iceoryx2src service=s ! fakesink", "videotestsrc ! iceoryx2sink service=s"])
@pytest.mark.proves("M8")
def test_where_shared_memory_is_full_an_element_says_so_before_it_writes(line: str, gst: dict[str, str]) -> None:
    command = shlex.join(["gst-launch-1.0", *line.split()])
    ended = in_small_memory("sh", "-c", FILLED.format(command), megabytes=2, environment=gst)
    assert ended.returncode not in (0, -7, 135), ended.stderr
    assert (
        "needs 262144 bytes of shared memory in addition to its frames, but /dev/shm has only 0 bytes free; enlarge it"
        in ended.stderr
    )


@pytest.mark.proves("M8")
def test_memory_that_is_laid_out_for_others_counts_as_used(service: str, domain: Place) -> None:
    """Without that, any number of publishers of 22 MB would find 60 MB free before the first frame."""
    ended = in_small_memory(sys.executable, "-c", SEVERAL, service, "6", megabytes=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "written 2" in ended.stdout
    assert "refused 2" in ended.stdout
    assert "reserved by existing files" in ended.stdout
