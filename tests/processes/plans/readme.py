"""Plans for the snippets of README.md."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2.sh4lt import Follower
from gst_iceoryx2.sh4lt import Writer as Sh4ltWriter
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.processes.markdown import Snippet
from tests.processes.plans.plan import CAMERA, camera_pipeline, ends_after, launch, runs, seen, stop
from tests.processes.programs import Programs, wait_for_text
from tests.waiting import wait_until

SCORE = ("/tmp/score_shm_video", "/tmp/score_shmdata_input")


def at(place: Path, text: str) -> str:
    """The text with score's paths replaced by paths in this folder."""
    for path in SCORE:
        text = text.replace(path, str(place / Path(path).name))
    return text


@runs("! sh4ltsink socket-path=/tmp/score_shmdata_input")
def to_and_from_score(programs: Programs, snippet: Snippet) -> None:
    """The second command shows what the first one sends, because both use one path here."""
    text = at(programs.folder, snippet.text).replace("score_shmdata_input", "score_shm_video")
    sender, viewer = launch(programs, text)
    wait_for_text(viewer, "last-message = chain ")
    sender.finish()


@runs("from gst_iceoryx2.sh4lt import Follower, Writer")
def negative_over_sh4lt_paths(programs: Programs, snippet: Snippet) -> None:
    there, back = (programs.folder / Path(path).name for path in SCORE)
    program = programs.python(at(programs.folder, snippet.text))
    with Sh4ltWriter(there, "video/x-raw, format=RGBA, width=640, height=480") as writer, Follower(back) as follower:
        wait_until(lambda: writer.clients == 1)
        frame = None
        while frame is None:
            writer.write(np.full((480, 640, 4), 5, np.uint8))
            frame = follower.read(0.2)
        assert frame.numpy_view()[240, 320].tolist() == [250] * 4
    stop(program)


@runs("from lerobot_camera_iox2 import")
def with_lerobot(programs: Programs, snippet: Snippet) -> None:
    pytest.skip("`make test-lerobot` runs this snippet (tests/lerobot/test_lerobot.py)")


@runs("make demo ", "make develop ")
def known_to_make(programs: Programs, snippet: Snippet) -> None:
    """Other tests run these targets (tests/wheel, tests/processes/test_demo.py)."""
    targets = re.findall(r"^make ([\w-]+)", snippet.text, re.MULTILINE)
    programs.start("make", "--dry-run", *targets).finish()
    assert set(re.findall(r"^pip install (\S+)", snippet.text, re.MULTILINE)) <= {"."}


@runs("    for frame in camera:")
def first_screen(programs: Programs, snippet: Snippet) -> None:
    assert len(snippet.text.splitlines()) <= 10
    subscriber = programs.python(snippet.text)
    (command,) = re.findall(r"^# (gst-launch-1\.0 .*\n)", snippet.text, re.MULTILINE)
    (camera,) = launch(programs, command, is_endless=True)
    ends_after(camera, lambda: subscriber.output().count("\n") > 10)
    lines = subscriber.finish().splitlines()
    assert all(re.fullmatch(r"\(240, 320, 3\) \d+\.\d+ \d+\.\d{4} s old", line) for line in lines), lines[:3]


@runs("import setup_gstreamer\n\nsetup_gstreamer()\n```", "setup_gstreamer() # registers")
def registers(programs: Programs, snippet: Snippet) -> None:
    check = "from gi.repository import Gst\nassert Gst.ElementFactory.make('iceoryx2sink')\n"
    programs.python(f"{snippet.text}\n{check}").finish()


@runs("export GST_PLUGIN_PATH=$(iox2-video plugin-path)\ngst-inspect-1.0 iceoryx2\n")
def finds_the_plugin(programs: Programs, snippet: Snippet) -> None:
    printed = programs.shell(snippet.text).finish()
    assert "iceoryx2sink:" in printed
    assert "iceoryx2src:" in printed


@runs("width=640,height=640 ! iceoryx2sink service=video/cam0/frame/v2\ngst-launch")
def crosses(programs: Programs, snippet: Snippet) -> None:
    source, sink = launch(programs, snippet.text, is_endless=True)
    ends_after(sink, lambda: seen(source.output()) > 10)
    printed = source.finish()
    caps = re.search(r"src: caps = (video/x-raw.*)", printed)
    assert caps is not None, printed
    assert all(part in caps[1] for part in ("format=(string)BGR", "width=(int)640", "height=(int)640")), caps[1]


@runs("leaky-type=downstream !")
def shows_the_newest(programs: Programs, snippet: Snippet) -> None:
    (source,) = launch(programs, snippet.text)
    ends_after(camera_pipeline(programs), lambda: seen(source.output()) > 10)
    source.finish()


@runs("lossless=true wait-for-connection=true")
def loses_nothing(programs: Programs, snippet: Snippet) -> None:
    source, sink = launch(programs, snippet.text)
    sink.finish()
    assert seen(source.finish()) == 100


@runs("gst-device-monitor-1.0 ")
def lists_services(programs: Programs, snippet: Snippet) -> None:
    if shutil.which("gst-device-monitor-1.0") is None:
        pytest.skip("there is no gst-device-monitor-1.0 (Debian: gstreamer1.0-plugins-base-apps)")
    camera = programs.example("publish_loan", CAMERA)
    with VideoFrameSubscriber(CAMERA) as subscriber:
        assert subscriber.receive_blocking(60_000)
    programs.use_plugin()
    monitor = programs.shell(f"exec {snippet.text}")
    wait_for_text(monitor, f"name  : {CAMERA}")
    monitor.process.send_signal(signal.SIGINT)
    camera.process.send_signal(signal.SIGINT)
    camera.finish()


@runs('sink = pipeline.get_by_name("sink")')
def pipeline_in_python(programs: Programs, snippet: Snippet) -> None:
    with VideoFrameSubscriber(CAMERA) as subscriber:
        program = programs.python(snippet.text)
        received = sum(1 for _ in subscriber)
        # Some may be lost if this process does not run for a while.
        assert 0 < received <= 30
        printed = program.finish()
    assert "1 subscribers" in printed
    assert "30 sent, 30 of them without a copy" in printed


@runs("frame = subscriber.receive()  ")
def three_ways_to_receive(programs: Programs, snippet: Snippet) -> None:
    """It gives up after half a second without a frame. Where the machine takes that long, it runs again."""
    camera = programs.example("publish_loan", CAMERA)
    promised = r"<VideoFrame #\d+ 640x480 BGR pts=\d+, held \d/10> SubscriberStats\(received=\d+, "
    wait_until(lambda: re.search(promised, programs.python(snippet.text).finish()))
    camera.process.send_signal(signal.SIGINT)
    camera.finish()


@runs("await asyncio.gather(watch(", 'spawn = multiprocessing.get_context("spawn")')
def two_cameras(programs: Programs, snippet: Snippet) -> None:
    # With a buffer, two writers do not interleave their lines.
    del programs.environment["PYTHONUNBUFFERED"]
    program = programs.python(snippet.text)
    cameras = [programs.example("publish_loan", f"video/cam{n}/frame/v2", "10") for n in range(2)]
    for camera in cameras:
        camera.finish()
    assert set(program.finish().splitlines()) >= {f"video/cam{n}/frame/v2 640 480" for n in range(2)}


@runs("luma, chroma = frame.planes  # for NV12")
def pixels(programs: Programs, snippet: Snippet) -> None:
    camera = programs.example("publish_nv12", CAMERA, "5")
    check = "assert rgb.shape == (720, 1280, 3) and chroma.shape == (360, 640, 2) and (kept == crop).all()\n"
    programs.python(f"{snippet.text}    {check}").finish()
    camera.finish()


@runs("    # Written directly into the shared memory that subscribers read.")
def publishing(programs: Programs, snippet: Snippet) -> None:
    with VideoFrameSubscriber(CAMERA) as subscriber:
        program = programs.python(snippet.text)
        got = [(f.format, f.width, f.height, f.pts, int(f.planes[0].max()), f.caps or "") for f in subscriber]
        program.finish()
    assert [frame[:5] for frame in got] == [
        ("NV12", 1280, 720, 0, 100),
        ("RGB", 640, 480, 33_333_333, 0),
        ("NV12", 1280, 720, 66_666_667, 100),
    ]
    assert all("framerate=(fraction)30/1" in frame[5] for frame in got)


@runs('CustomMeta("Detection"')
def times_and_metas(programs: Programs, snippet: Snippet) -> None:
    first, second, error, last = programs.python(snippet.text).finish().splitlines()
    assert first == "0 None 0"
    assert re.fullmatch(r"\d+ 0\.\d+ 0", second)
    assert error == "0.0"
    assert "CustomMeta(name='Detection', fields={'label': 'cat', 'score': 0.9})" in last
    assert "ReferenceTimestamp(reference='timestamp/x-unix'" in last


@runs("    except TooManyPortsError as error:")
def an_error(programs: Programs, snippet: Snippet) -> None:
    printed = programs.python(snippet.text).finish()
    (promised,) = re.findall(r"# … (.*), …$", snippet.text, re.MULTILINE)
    assert promised in printed
