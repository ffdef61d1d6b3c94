"""Helpers for tests of recordings: frames that tell their number, and decoded files."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2.record import Recorder, Recording
from gst_iceoryx2.video import Qos, VideoFramePublisher
from tests.cli.commands import Command
from tests.waiting import wait_until

Record = Callable[..., Command]

WIDTH, HEIGHT = 320, 240
MS = 1_000_000
# The buffer holds all frames of a test, so the speed of the machine does not matter.
ROOMY = Qos(buffer_size=120)


def publisher(name: str = "cam0", **settings: Any) -> VideoFramePublisher:
    return VideoFramePublisher(f"video/{name}/frame/v2", qos=ROOMY, **settings)


def level(number: int) -> int:
    """A gray that identifies a frame among its neighbours, also after a lossy codec."""
    return 40 + number * 37 % 160


def send(
    sender: VideoFramePublisher, number: int, pts: int, format: str = "BGR", size: tuple[int, int] | None = None
) -> None:
    """Send a picture: the gray of the left half encodes the number, the right half is red above blue."""
    width, height = size or (WIDTH, HEIGHT)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, : width // 2] = level(number)
    picture[: height // 2, width // 2 :] = (200, 30, 30)
    picture[height // 2 :, width // 2 :] = (30, 30, 200)
    if format == "BGR":
        sender.publish(picture[..., ::-1], format="BGR", pts=pts)
        return
    converted = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format={"NV12": "nv12", "I420": "yuv420p"}[format]
    )
    with sender.loan(width, height, format) as frame:
        frame.pts = pts
        for target, plane in zip(frame.planes, converted.planes, strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            target[...] = rows[:, : target[0].size].reshape(target.shape)


def decoded(file: Path, track: int = 0) -> list[Any]:
    with av.open(str(file)) as container:
        return list(container.decode(video=track))


def times(frames: list[Any]) -> list[float]:
    return [round(float(frame.pts * frame.time_base) * 1000, 3) for frame in frames]


def check_picture(frame: Any, number: int) -> None:
    picture = frame.to_ndarray(format="rgb24").astype(int)
    height, width = picture.shape[:2]
    assert abs(picture[:, : width // 2 - 4] - level(number)).mean() < 6
    assert abs(picture[: height // 2 - 4, width // 2 + 4 :] - (200, 30, 30)).mean() < 8
    assert abs(picture[height // 2 + 4 :, width // 2 + 4 :] - (30, 30, 200)).mean() < 8


@contextlib.contextmanager
def stopped(command: Command) -> Iterator[None]:
    """Stop a recorder meanwhile, so that it finds everything at once, however slowly the test sends it.

    A recorder waits at most 5 s for the results of a frame.
    """
    stat = Path(f"/proc/{command.process.pid}/stat")
    command.interrupt(signal.SIGSTOP)
    wait_until(lambda: b") T" in stat.read_bytes())
    yield
    command.interrupt(signal.SIGCONT)


@contextlib.contextmanager
def running(recorder: Recorder) -> Iterator[list[Recording]]:
    """Run a recorder in a thread; the list has the result afterwards."""
    results: list[Recording] = []
    thread = threading.Thread(target=lambda: results.append(recorder.run()))
    thread.start()
    try:
        yield results
    except BaseException:
        recorder.stop()
        raise
    finally:
        thread.join(60)


def wait_for_frames(recorder: Recorder, count: int) -> None:
    """Wait until all that was sent is in the file: what is still waiting may be lost when its publisher closes."""
    wait_until(lambda: recorder.report().tracks[0].frames >= count)


def keep_sending(
    command: Command, *senders: VideoFramePublisher, sizes: tuple[tuple[int, int], ...] = ((WIDTH, HEIGHT),)
) -> int:
    """Send frames to each publisher, fifty a second, until the command has ended; return their number."""
    number = 0
    while command.process.poll() is None:
        for sender, size in zip(senders, sizes, strict=True):
            send(sender, number, number * 20 * MS, size=size)
        number += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(0.02)
    return number
