"""Every example in a docstring of `gst_iceoryx2.video` runs as it stands."""

from __future__ import annotations

import inspect
import re
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2 import video
from gst_iceoryx2.errors import ClosedError
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.waiting import wait_until

SERVICE, OTHER = "video/cam0/frame/v2", "video/cam1/frame/v2"
# A newcomer meets these first.
EXPECTED = {
    *(
        "FrameParams",
        "FrameSets",
        "FrameSets.latest",
        "LoanedFrame",
        "LoanedFrame.send",
        "Qos",
        "SinkConfig",
        "open_video_service",
    ),
    *("VideoFrame", "VideoFrame.numpy_view", "VideoFrame.planes", "VideoFrame.to_rgb"),
    *("VideoFramePublisher", "VideoFramePublisher.end_of_stream", "VideoFramePublisher.loan"),
    *("VideoFramePublisher.publish", "VideoFramePublisher.publish_frame", "VideoFramePublisher.wait_for_subscribers"),
    *("VideoFrameSubscriber", "VideoFrameSubscriber.latest", "VideoFrameSubscriber.receive"),
    "VideoFrameSubscriber.receive_blocking",
}


def documented() -> Iterator[tuple[str, Any]]:
    """All public names, and the public members of classes."""
    for name in video.__all__:
        value = getattr(video, name)
        yield name, value
        if inspect.isclass(value):
            for member, of in inspect.getmembers(value):
                if not member.startswith("_") and of.__doc__:
                    yield f"{name}.{member}", of


def example_of(value: Any) -> str | None:
    """The code of an `Example:` section: a sentence, an empty line, and the code four spaces further in."""
    _, found, section = (inspect.getdoc(value) or "").partition("\nExample:\n")
    if not found:
        return None
    match = re.match(r"    \S[^\n]*:\n\n((?:(?: {8}[^\n]*)?\n)+)", section + "\n")
    assert match is not None, section
    return textwrap.dedent(match[1])


EXAMPLES = {name: code for name, value in documented() if (code := example_of(value)) is not None}


def test_newcomers_find_an_example() -> None:
    assert set(EXAMPLES) >= EXPECTED


def publish_until(stop: threading.Event) -> None:
    """Publish a stream of 50 frames again and again, from two cameras."""
    with VideoFramePublisher(SERVICE) as publisher, VideoFramePublisher(OTHER) as other:
        while not stop.is_set():
            for value in range(50):
                for camera in (publisher, other):
                    camera.publish(np.full((480, 640, 3), value, np.uint8))
                stop.wait(0.002)
            publisher.end_of_stream()


def read(subscriber: VideoFrameSubscriber, received: list[Any]) -> None:
    try:
        while True:
            frame = subscriber.receive_blocking()
            if frame is not None:
                received.append(frame.format)
    except ClosedError:
        pass


@pytest.fixture
def other_end(request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """A subscriber for an example that publishes, which lists what it received; else a publisher."""
    received: list[Any] = []
    if "VideoFramePublisher(" in request.getfixturevalue("code"):
        subscriber = VideoFrameSubscriber(SERVICE)
        thread = threading.Thread(target=read, args=(subscriber, received))
        stop = subscriber.close
    else:
        event = threading.Event()
        thread = threading.Thread(target=publish_until, args=(event,))
        stop = event.set
    thread.start()
    try:
        yield received
    finally:
        stop()
        thread.join()


@pytest.fixture
def code(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("code", EXAMPLES.values(), ids=EXAMPLES, indirect=True)
def test_an_example_runs(code: str, other_end: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    names = {name: getattr(video, name) for name in video.__all__}
    exec(compile(code, "example", "exec"), {"np": np, **names})
    # The one about a timeout prints only after it.
    assert capsys.readouterr().out or "print(" not in code or "if frame is None" in code
    if ".publish" in code or ".loan(" in code:
        wait_until(lambda: other_end)
