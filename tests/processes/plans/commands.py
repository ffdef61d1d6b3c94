"""Plans for the snippets that use the modules of the commands: record, feed, preview, bridge and others."""

from __future__ import annotations

import re
import signal

import numpy as np
import pytest

from gst_iceoryx2.video import VideoFramePublisher
from tests.processes.markdown import Snippet
from tests.processes.plans.plan import CAMERA, runs, stop
from tests.processes.programs import Programs
from tests.waiting import wait_until


@runs('record(["left", "right"], "both.mkv"')
def records(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    cameras = [programs.shell(f"exec iox2-video publish {name} --test --size 160x120") for name in ("left", "right")]
    printed = programs.python(snippet.text).finish()
    assert re.findall(r"(\w+)/frame/v2 50 frames, \d+ dropped, limit", printed) == ["left", "right"]
    assert (programs.folder / "both.mkv").stat().st_size > 0
    for camera in cameras:
        camera.process.send_signal(signal.SIGTERM)
        camera.finish()


STEREO = """
import time
import numpy as np
from gst_iceoryx2.video import VideoFramePublisher

picture = np.full((48, 64, 3), 90, np.uint8)
with VideoFramePublisher("video/left/frame/v2") as left, VideoFramePublisher("video/right/frame/v2") as right:
    for number in range(100_000):
        now = time.monotonic_ns()
        left.publish(picture, format="BGR", captured_at=now)
        right.publish(picture, format="BGR", captured_at=now + 1_200_000)
        if number % 7 == 0:
            left.publish(picture, format="BGR", captured_at=now + 10_000_000)
        time.sleep(0.02)
"""


@runs('record(["left", "right"], "pairs.mkv", sync=0.005')
def records_pairs(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    cameras = programs.python(STEREO)
    pairs, left, right, last = programs.python(snippet.text).finish().splitlines()
    assert pairs == "50 pairs, at most 1.2 ms apart"
    assert re.fullmatch(r"video/left/frame/v2 [1-9]\d? frames without a partner", left)
    assert right.startswith("video/right/frame/v2 ")
    assert last == "last pair: (48, 64) (48, 64)"
    stop(cameras)


DETECTED = """
import numpy as np
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber

service, picture = "video/cam0/frame/v2", np.full((48, 64, 3), 90, np.uint8)
with (
    VideoFramePublisher(service) as camera,
    VideoFrameSubscriber(service) as frames,
    ResultsPublisher("cam0", "motion") as results,
):
    results.wait_for_subscribers(timeout=30)
    camera.wait_for_subscribers(2, timeout=30)
    for number in range(5):
        # Capture times are 40 ms apart, because at most 60 pictures per second are logged.
        camera.publish(picture, format="RGB", captured_at=10_000_000_000 + number * 40_000_000)
        with frames.receive_blocking(20_000) as frame:
            results.publish(FrameKey.of(frame), [Box("motion", 0.5, 1, 2, 3, 4)])
    camera.end_of_stream()
"""


@runs("done = RerunView(")
def logs_to_rerun(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("rerun", reason="Rerun's SDK is not installed, because it is large: pip install --group rerun")
    camera = programs.python(DETECTED)
    first, *entities = programs.python(snippet.text).finish().splitlines()
    assert first == "cam0 5 JPEG pictures {'motion': 5}"
    assert sorted(entities) == ["/cam0 5 rows", "/cam0/motion 5 rows"]
    camera.finish()


@runs('Feeder("cam0", TestPattern(640, 360), frames=60)')
def feeds(programs: Programs, snippet: Snippet) -> None:
    assert programs.python(snippet.text).finish() == "60 frames sent\n"


@runs('config = load("streams.toml")')
def lists_streams(programs: Programs, snippet: Snippet) -> None:
    printed = programs.python(snippet.text).finish()
    assert printed == "cam0: test pattern, 640x360, on demand, stops 5 s after the last reader\n"


@runs('with Preview(["cam0", "cam1"], max_fps=10) as preview:')
def previews(programs: Programs, snippet: Snippet) -> None:
    camera = programs.example("publish_loan", CAMERA)
    size, url, *streams = programs.python(snippet.text).finish().splitlines()
    assert size == "640 480"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", url)
    assert [line.split()[0] for line in streams] == ["cam0", "cam1"]
    assert (programs.folder / "cam0.png").read_bytes().startswith(b"\x89PNG")
    camera.process.send_signal(signal.SIGINT)
    camera.finish()


@runs('Bridge("near", "far", max_fps=10, frames=5)')
def bridges(programs: Programs, snippet: Snippet) -> None:
    camera = programs.shell("exec iox2-video publish near --test --size 160x120")
    printed = programs.python(snippet.text).finish()
    assert re.fullmatch(r"5 frames passed on, \d+ left out\n", printed)
    camera.process.send_signal(signal.SIGTERM)
    camera.finish()


@runs('Bridge("cam0", "ros2:/cam0/image_raw"')
def bridges_to_ros2(programs: Programs, snippet: Snippet) -> None:
    """The router listens on a free port here, because another one may use the usual port."""
    pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    from tests.cli.bridges import free_port
    from tests.cli.router import Router
    from tests.pure.test_ros2_messages import CALIBRATION

    port = free_port()
    (programs.folder / "front.yaml").write_text(CALIBRATION)
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480 --format BGR")
    with Router(port) as router:
        reader, heard = router.client(), []
        subscriber = reader.declare_subscriber("0/cam0/*/**", lambda sample: heard.append(str(sample.key_expr)))
        text = snippet.text.replace(").run()", f", connect=['tcp/127.0.0.1:{port}'], frames=5).run()")
        assert programs.python(text).finish() == ""
        wait_until(lambda: {key.split("/")[2] for key in heard} == {"camera_info", "image_raw"})
        subscriber.undeclare()
        reader.close()
    camera.process.send_signal(signal.SIGTERM)
    camera.finish()


@runs("from gst_iceoryx2.discovery import full_name, streams")
def lists(programs: Programs, snippet: Snippet) -> None:
    """It shows what it has found within its time, which a pause can use up; then it runs again."""
    promised = re.compile(rf"cam0 BGR 64 48 None None\n(?:.*\n)*{CAMERA}\n")
    with VideoFramePublisher(CAMERA) as publisher:
        publisher.publish(np.zeros((48, 64, 3), np.uint8))
        wait_until(lambda: promised.fullmatch(programs.python(snippet.text).finish()))


@runs("from gst_iceoryx2.doctor import examine")
def examines(programs: Programs, snippet: Snippet) -> None:
    printed = programs.python(snippet.text).finish()
    assert "leftovers" not in printed
    assert "users" not in printed
