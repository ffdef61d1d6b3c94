"""Plans for the snippets of docs/python.md and docs/cameras.md."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.processes.markdown import Snippet
from tests.processes.plans.plan import CAMERA, runs
from tests.processes.programs import Programs


@runs("last = deque(maxlen=100)")
def keeps_copies(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text)
    programs.example("publish_loan", CAMERA, "20").finish()
    printed = program.finish()
    # The variable of the loop may still hold one frame.
    assert re.fullmatch(r"\d+ pictures kept, [01] frames held\n", printed)


@runs("framed = np.full((640, 640, 3), 114, np.uint8)")
def scales_for_a_detector(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text)
    programs.example("publish_loan", CAMERA, "20").finish()
    assert program.finish() == "(640, 640, 3) (640, 640, 3)\n"


@runs("qos=Qos(buffer_size=2, borrowed_max=4)")
def publisher_with_settings(programs: Programs, snippet: Snippet) -> None:
    with VideoFrameSubscriber(CAMERA) as subscriber:
        program = programs.python(snippet.text)
        (caps,) = [frame.caps for frame in subscriber]
        assert subscriber.qos is not None
        assert (subscriber.qos.buffer_size, subscriber.qos.borrowed_max) == (2, 4)
        program.finish()
    assert caps is not None
    assert "framerate=(fraction)30000/1001" in caps
    assert "colorimetry=(string)bt709" in caps


@runs('FrameSets(["left", "right"], tolerance=0.005)')
def pairs_of_two_cameras(programs: Programs, snippet: Snippet) -> None:
    with VideoFramePublisher("video/left/frame/v2") as left, VideoFramePublisher("video/right/frame/v2") as right:
        program = programs.python(snippet.text)
        for camera in (left, right):
            camera.wait_for_subscribers(timeout=30)
        for number in range(3):
            for camera, shift in ((left, 0), (right, 1_500_000)):
                camera.publish(np.zeros((48, 64, 3), np.uint8), captured_at=(number + 1) * 33_000_000 + shift)
        for camera in (left, right):
            camera.end_of_stream()
        lines = program.finish().splitlines()
    assert lines[:-1] == ["(48, 64, 3) (48, 64, 3) 1.5 ms apart"] * 3
    assert lines[-1].startswith("FrameSetStats(matched=3, unmatched=0, ")


@runs('av.open("camera.mp4", "w")')
def writes_a_file(programs: Programs, snippet: Snippet) -> None:
    av = pytest.importorskip("av")
    with VideoFramePublisher(CAMERA, qos=Qos(buffer_size=21)) as publisher:
        program = programs.python(snippet.text)
        publisher.wait_for_subscribers(timeout=60)
        for number in range(20):
            publisher.publish(np.zeros((480, 640, 3), np.uint8), captured_at=(number + 1) * 40_000_000)
        publisher.end_of_stream()
        program.finish()
    with av.open(str(programs.folder / "camera.mp4")) as file:
        pictures = list(file.decode(video=0))
    assert len(pictures) == 20
    assert (pictures[0].width, pictures[0].height) == (640, 480)
    assert float(pictures[-1].time) == pytest.approx(19 * 0.04, abs=0.01)


@runs("buffer_size=2).gst_properties())")
def settings_for_elements(programs: Programs, snippet: Snippet) -> None:
    printed = programs.python(snippet.text).finish()
    assert "'buffer-size': 2" in printed
    assert "'max-bytes': 1228800" in printed


@runs("        picture = frame.to_rgb(size=(640, 640))")
def reads_a_camera(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text)
    programs.example("publish_loan", CAMERA, "10").finish()
    assert re.search(r"\(640, 640, 3\) \d+\.\d+ s old", program.finish())


@runs("    offer = camera_offer(camera.path)")
def lists_cameras(programs: Programs, snippet: Snippet) -> None:
    # Machines that run tests seldom have a camera; tests/camera runs the same calls with two.
    assert "Error" not in programs.python(snippet.text).finish()
