"""Every snippet of the documentation runs as a newcomer would run it: pasted, in a process of its own.

A plan says how a snippet runs. A snippet without a plan fails, and so does a plan without a snippet.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._plugin import gstreamer_version
from gst_iceoryx2.errors import ServiceNotFoundError
from gst_iceoryx2.packets import lookback
from gst_iceoryx2.sh4lt import Follower
from gst_iceoryx2.sh4lt import Writer as Sh4ltWriter
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place
from tests.processes.markdown import Snippet, snippets
from tests.processes.programs import ROOT, Program, Programs, wait_for_text
from tests.waiting import arrived, wait_until

DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    Path(__file__).with_name("promised_snippets.md"),
]
ALL = [snippet for document in DOCUMENTS for snippet in snippets(document)]

CAMERA = "video/cam0/frame/v2"

# A test cannot look at a window, run a camera indefinitely, or use the network.
# A sink that prints each frame replaces the window.
SUBSTITUTES = {
    "gst-launch-1.0 ": "gst-launch-1.0 -v ",
    "autovideosink": "fakesink silent=false",
    "! fakesink\n": "! fakesink silent=false\n",
    "videotestsrc is-live=true !": "videotestsrc is-live=true num-buffers=30 !",
}

Plan = Callable[[Programs, Snippet], None]
PLANS: dict[str, Plan] = {}


def runs(*marks: str) -> Callable[[Plan], Plan]:
    """Register the decorated function for snippets that contain one of these texts; "```" is the end of a snippet."""

    def register(plan: Plan) -> Plan:
        PLANS.update(dict.fromkeys(marks, plan))
        return plan

    return register


@pytest.fixture
def programs(tmp_path: Path, domain: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    # All tests share one registry, because creating it takes longer than most tests.
    running = Programs(tmp_path, tmp_path_factory.getbasetemp() / "registry.bin")
    yield running
    running.end()


def plan_of(snippet: Snippet) -> Plan:
    found = [plan for mark, plan in PLANS.items() if mark in f"{snippet.text}```"]
    assert len(found) == 1, f"{len(found)} plans know how to run {snippet}:\n{snippet.text}"
    return found[0]


@pytest.mark.parametrize("snippet", [s for s in ALL if s.language in ("python", "sh")], ids=str)
def test_a_snippet_runs(programs: Programs, snippet: Snippet) -> None:
    wants_gstreamer = re.search(r"gst-|Gst\b|setup_gstreamer|plugin-path", snippet.text)
    if wants_gstreamer and gstreamer_version() is None:
        pytest.skip("there is no GStreamer on this machine")
    plan_of(snippet)(programs, snippet)


def test_every_plan_has_its_snippet() -> None:
    texts = "".join(f"{snippet.text}```" for snippet in ALL)
    assert [mark for mark in PLANS if mark not in texts] == []


def test_there_are_no_other_fenced_blocks() -> None:
    """A block that must not run is indented instead."""
    assert {snippet.language for snippet in ALL} == {"python", "sh", "rust"}


# -- companions ----------------------------------------------------------------------------------------------------


def launch(programs: Programs, lines: str) -> list[Program]:
    """Start each line as a process, receivers first."""
    programs.use_plugin()
    for written, instead in SUBSTITUTES.items():
        lines = lines.replace(written, instead)
    ordered = sorted(lines.strip().splitlines(), key=lambda line: "iceoryx2src" not in line)
    return [programs.shell(f"exec {line}") for line in ordered]


def seen(printed: str) -> int:
    """The number of frames that reached a printing fakesink."""
    return len(re.findall(r"last-message = chain ", printed))


def camera_pipeline(programs: Programs) -> Program:
    """Start a pipeline that publishes a test picture for a second."""
    line = f"gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=BGR ! iceoryx2sink service={CAMERA}\n"
    return launch(programs, line)[0]


# -- README ----------------------------------------------------------------------------------------------------------


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
        wait_until(lambda: writer.clients == 1, 20)
        frame = None
        while frame is None:
            writer.write(np.full((480, 640, 4), 5, np.uint8))
            frame = follower.read(0.2)
        assert frame.numpy_view()[240, 320].tolist() == [250] * 4
    program.process.send_signal(signal.SIGINT)
    program.process.wait(20)


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
    launch(programs, command)[0].finish()
    lines = subscriber.finish().splitlines()
    assert len(lines) > 10
    assert all(re.fullmatch(r"\(240, 320, 3\) \d+\.\d+ 0\.\d{4} s old", line) for line in lines), lines[:3]


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
    source, sink = launch(programs, snippet.text)
    sink.finish()
    printed = source.finish()
    assert seen(printed) > 10
    caps = re.search(r"src: caps = (video/x-raw.*)", printed)
    assert caps is not None, printed
    assert all(part in caps[1] for part in ("format=(string)BGR", "width=(int)640", "height=(int)640")), caps[1]


@runs("leaky-type=downstream !")
def shows_the_newest(programs: Programs, snippet: Snippet) -> None:
    (source,) = launch(programs, snippet.text)
    camera_pipeline(programs).finish()
    assert seen(source.finish()) > 10


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
        assert subscriber.receive_blocking(10_000)
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
        assert sum(1 for _ in subscriber) > 15
        printed = program.finish()
    assert "1 subscribers" in printed
    assert "30 sent, 30 of them without a copy" in printed


@runs("frame = subscriber.receive()  ")
def three_ways_to_receive(programs: Programs, snippet: Snippet) -> None:
    camera = programs.example("publish_loan", CAMERA, "30")
    printed = programs.python(snippet.text).finish()
    assert re.search(r"<VideoFrame #\d+ 640x480 BGR pts=\d+, held \d/10> SubscriberStats\(received=\d+, ", printed)
    camera.finish()


@runs("await asyncio.gather(watch(", 'spawn = multiprocessing.get_context("spawn")')
def two_cameras(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text)
    cameras = [programs.example("publish_loan", f"video/cam{n}/frame/v2", "10") for n in range(2)]
    for camera in cameras:
        camera.finish()
    # Two writers may interleave their lines.
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


# -- docs/python.md --------------------------------------------------------------------------------------------------


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
    program = programs.python(snippet.text)
    programs.example("publish_loan", CAMERA, "20").finish()
    program.finish()
    with av.open(str(programs.folder / "camera.mp4")) as file:
        pictures = list(file.decode(video=0))
    assert len(pictures) > 10
    assert (pictures[0].width, pictures[0].height) == (640, 480)
    assert 0.3 < float(pictures[-1].time) < 5


@runs("buffer_size=2).gst_properties())")
def settings_for_elements(programs: Programs, snippet: Snippet) -> None:
    printed = programs.python(snippet.text).finish()
    assert "'buffer-size': 2" in printed
    assert "'max-bytes': 1228800" in printed


# -- docs/cameras.md -------------------------------------------------------------------------------------------------


@runs("        picture = frame.to_rgb(size=(640, 640))")
def reads_a_camera(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text)
    programs.example("publish_loan", CAMERA, "10").finish()
    assert re.search(r"\(640, 640, 3\) 0\.\d+ s old", program.finish())


@runs("    offer = camera_offer(camera.path)")
def lists_cameras(programs: Programs, snippet: Snippet) -> None:
    # Machines that run tests seldom have a camera; tests/camera runs the same calls with two.
    assert "Error" not in programs.python(snippet.text).finish()


# -- docs/results.md -------------------------------------------------------------------------------------------------


DETECTS = 'ResultsPublisher("cam0", "yolo") as results'


@runs(DETECTS, "for results in subscriber:", "yolo.joined(wait=0.08) as joined")
def detects_and_receives(programs: Programs, snippet: Snippet) -> None:
    (detector,) = (one for one in snippets(ROOT / "docs" / "results.md") if DETECTS in one.text)
    running = [programs.shell("exec iox2-video publish cam0 --test --size 640x480"), programs.python(detector.text)]
    is_detector = snippet.text == detector.text
    reader = programs.shell("exec iox2-video results cam0 yolo") if is_detector else programs.python(snippet.text)
    wait_for_text(reader, "person 0.91 (10, 20) 64x128" if is_detector else "person", 60)
    for one in (reader, *reversed(running)):
        one.process.send_signal(signal.SIGINT)
        one.process.wait(20)


@runs("results = Results.of(frame)")
def reads_what_a_pipeline_found(programs: Programs, snippet: Snippet) -> None:
    if gstreamer_version() is None:
        pytest.skip("there is no GStreamer on this machine")
    programs.use_plugin()
    (detector,) = (one for one in snippets(ROOT / "docs" / "results.md") if DETECTS in one.text)
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    pipeline = programs.shell(
        "exec gst-launch-1.0 -q iceoryx2src service=video/cam0/frame/v2 results=yolo ! queue ! "
        "iceoryx2sink service=video/cam0-boxes/frame/v2"
    )
    running = [camera, pipeline, programs.python(detector.text)]
    reader = programs.python(snippet.text)
    wait_for_text(reader, "['person']", 60)
    for one in (reader, *reversed(running)):
        one.process.send_signal(signal.SIGINT)
        one.process.wait(20)


# -- docs/packets.md -------------------------------------------------------------------------------------------------


ENCODES = "for packet in encoder.encode(picture):"


def encoded(programs: Programs) -> list[Program]:
    """Publish a test picture, and encode it by the snippet that does so."""
    (snippet,) = (one for one in snippets(ROOT / "docs" / "packets.md") if ENCODES in one.text)
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    # The encoder is stopped first, because the end of the camera ends it as well.
    return [programs.python(snippet.text), camera]


@runs("print(packet.is_keyframe, len(packet.data)", 'PacketSubscriber("cam0@h264") as subscriber', ENCODES)
def encodes_and_receives(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    running = encoded(programs)
    text = snippet.text
    if ENCODES in text:
        text = (
            "from gst_iceoryx2.packets import PacketSubscriber\nfor packet in PacketSubscriber('cam0'): print(packet)"
        )
    reader = programs.python(text)
    wait_for_text(reader, "(480, 640, 3)" if "rgb24" in text else "keyframe" if "print(packet)" in text else "True ")
    for one in (reader, *running):
        one.process.send_signal(signal.SIGINT)
        one.process.wait(20)


@runs('FrameDecoder("copy0", "h264")')
def decodes_packets(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    running = encoded(programs)
    decoder = programs.python(snippet.text)
    with VideoFrameSubscriber("video/copy0/frame/v2") as subscriber:
        frame = subscriber.receive_blocking(60_000)
        assert frame is not None
        with frame:
            assert (frame.format, frame.width, frame.height) == ("I420", 640, 480)
    for one in (decoder, *running):
        one.process.send_signal(signal.SIGINT)
        one.process.wait(20)


@runs('PacketFile("cam0.mp4") as file')
def writes_packets(programs: Programs, snippet: Snippet) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    running = encoded(programs)
    writer = programs.python(snippet.text)
    file = programs.folder / "cam0.mp4"
    wait_until(lambda: file.exists() and file.stat().st_size > 10_000, 60)
    for one in (writer, *running):
        one.process.send_signal(signal.SIGINT)
        one.process.wait(20)
    with av.open(str(file)) as container:
        assert len(list(container.decode(video=0))) > 2


@runs("make_reader(file).iter_messages")
def reads_an_mcap_file(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("mcap", reason="mcap is not installed: pip install 'iox2-video[mcap]'")
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    assert "30 frames" in programs.shell("exec iox2-video record cam0 drive.mcap --frames 30 --timeout 30").finish()
    assert programs.python(snippet.text).finish().count(" h264 ") == 30
    camera.process.send_signal(signal.SIGINT)
    camera.process.wait(20)


@runs('packets_for("cam0") as source')
def encodes_by_itself(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    assert "h264 keyframe 640x480" in programs.python(snippet.text).finish()
    camera.process.send_signal(signal.SIGINT)
    camera.process.wait(20)


@runs("picture = past.at(seconds=-2.0)")
def looks_back(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    supervisor = serving(programs, 'keep = "30s"')
    wait_until(lambda: has_kept(4.0), 60)
    printed = programs.python(snippet.text).finish()
    assert "(180, 320, 3)" in printed
    assert "True " in printed
    supervisor.process.send_signal(signal.SIGINT)
    supervisor.process.wait(20)


def has_kept(seconds: float) -> bool:
    """Whether a ring has so many seconds of cam0."""
    try:
        return lookback("cam0").seconds >= seconds
    except ServiceNotFoundError:
        return False


# -- docs/serve.md ---------------------------------------------------------------------------------------------------


def serving(programs: Programs, line: str = "") -> Program:
    """Serve a test picture as cam0, on demand."""
    (programs.folder / "streams.toml").write_text(f'[streams.cam0]\ntest = true\nsize = "320x180"\n{line}\n')
    return programs.shell("exec iox2-video serve streams.toml")


@runs("(640, 640, 3)\n```", "print(rendition.to_source(320, 320))  # in pixels of cam0")
def reads_a_rendition(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    supervisor, program = serving(programs), programs.python(snippet.text)
    wait_for_text(program, "(159.75, 89.75)" if "to_source" in snippet.text else "(640, 640, 3)")
    for one in (program, supervisor):
        one.process.send_signal(signal.SIGINT)
        one.process.wait(20)


@runs("supervisor = Supervisor(streams)")
def supervises(programs: Programs, snippet: Snippet) -> None:
    (programs.folder / "streams.toml").write_text('[streams.cam0]\ntest = true\nsise = "320x180"\n')
    program = programs.python(snippet.text)
    wait_for_text(program, 'did you mean "size"?')
    program.process.send_signal(signal.SIGINT)
    program.process.wait(20)


# -- docs/gstreamer.md, docs/operations.md ---------------------------------------------------------------------------


@runs("! vp8enc deadline=1 ! vp8dec ! videoconvert")
def converts_what_was_decoded(programs: Programs, snippet: Snippet) -> None:
    (pipeline,) = launch(programs, snippet.text)
    assert "format=(string)BGR" in pipeline.finish()


@runs("! tee name=camera  camera. !")
def records_beside(programs: Programs, snippet: Snippet) -> None:
    with VideoFrameSubscriber(CAMERA) as subscriber:
        (pipeline,) = launch(programs, snippet.text)
        assert {frame.format for frame in subscriber} == {"RGB"}
        pipeline.finish()
    assert (programs.folder / "camera.mkv").stat().st_size > 1000


@runs("videoflip method=horizontal-flip")
def relays(programs: Programs, snippet: Snippet) -> None:
    relay, viewer, camera = launch(programs, snippet.text)
    camera.finish()
    relay.finish()
    assert seen(viewer.finish()) > 10


@runs("iox2-video doctor --fix\n")
def cleans_up(programs: Programs, snippet: Snippet) -> None:
    assert "no dead participants" in programs.shell(snippet.text).finish()


@runs("iox2-video --version")
def tells_versions(programs: Programs, snippet: Snippet) -> None:
    lines = programs.shell(snippet.text).finish().splitlines()
    assert lines[1] == "iceoryx2 0.10.0"


# -- promised --------------------------------------------------------------------------------------------------------

# The first lines of the promised session; the next snippets continue it.
SESSION = """\
import gi; gi.require_version("Gst", "1.0")
from gi.repository import Gst
from gst_iceoryx2 import setup_gstreamer
setup_gstreamer(); Gst.init(None)
"""
# Keeps a session open until its input ends.
UNTIL_INPUT_ENDS = "\nimport sys; sys.stdin.read(); pipeline.set_state(Gst.State.NULL)\n"


@runs('setup_gstreamer(); Gst.init(None)\npipeline = Gst.parse_launch(\n    "videotestsrc ')
def promised_sink(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text + UNTIL_INPUT_ENDS)
    with VideoFrameSubscriber(CAMERA) as subscriber:
        frame = arrived(subscriber.receive_blocking(10_000))
        assert frame.numpy_view().shape == (640, 640, 3)
    del frame
    program.finish()


@runs('pipeline = Gst.parse_launch(\n    "iceoryx2src service')
def promised_source(programs: Programs, snippet: Snippet) -> None:
    # autovideosink chooses the sink of the highest rank, so the environment replaces the window.
    programs.environment["GST_PLUGIN_FEATURE_RANK"] = "fakevideosink:MAX"
    count = """
import sys
from time import sleep
_, source = pipeline.iterate_sources().next()
while source.get_property("frames-received") < 10: sleep(0.01)
print("frames came", flush=True)
"""
    program = programs.python(SESSION + snippet.text + count + UNTIL_INPUT_ENDS)
    camera = camera_pipeline(programs)
    wait_for_text(program, "frames came")
    program.finish()
    camera.finish()


@runs("while (frame := sub.receive_blocking(block_ms=1000)) is not None:")
def promised_subscriber(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text)
    camera = programs.example("publish_loan", CAMERA, "20")
    printed = program.finish()
    camera.finish()
    # The last frame is the end of the stream, an empty picture.
    assert len(re.findall(r"^\(480, 640, 3\) pts \d+$", printed, re.MULTILINE)) > 10
    assert printed.splitlines()[-1].startswith("(0, 0, 0) pts ")


@runs("pub.publish_frame(frame.tobytes(), FrameParams(")
def promised_publisher(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(f"{snippet.text}\nimport sys; sys.stdin.read()\n")
    with VideoFrameSubscriber(CAMERA) as subscriber:
        frame = arrived(subscriber.receive_blocking(10_000))
        assert (frame.numpy_view().shape, frame.numpy_view().any(), frame.offset) == ((640, 640, 3), False, 0)
    del frame
    program.finish()


@runs("cfg = SinkConfig(service=")
def promised_settings(programs: Programs, snippet: Snippet) -> None:
    check = f"assert (sink.props.service, sink.props.max_bytes) == ({CAMERA!r}, 1228800)\n"
    programs.python(f"{SESSION}{snippet.text}\n{check}").finish()


# -- Rust ------------------------------------------------------------------------------------------------------------

RUST_PROGRAMS = sorted(
    path for crate in ("core", "gst") for path in (ROOT / "crates" / crate / "examples").glob("*.rs")
)


def squeezed(code: str) -> str:
    """The code without the characters that rustfmt may change."""
    return re.sub(r",(?=[)}\]])", "", re.sub(r"\s+", "", code))


@pytest.mark.parametrize("snippet", [s for s in ALL if s.language == "rust"], ids=str)
def test_a_rust_snippet_is_part_of_a_program_that_is_compiled_and_run(snippet: Snippet) -> None:
    # A snippet shows imports next to code; in the program they are further apart.
    parts = re.split(r"\n\n", snippet.text.strip())
    programs = [path.stem for path in RUST_PROGRAMS if all(squeezed(p) in squeezed(path.read_text()) for p in parts)]
    assert programs, f"none of {[path.stem for path in RUST_PROGRAMS]} contains\n{snippet.text}"
    assert {"publish", "subscribe", "pipeline_sink", "pipeline_source", "sink_config"} & set(programs)


@pytest.mark.timeout(600)
def test_the_rust_programs_of_the_elements_run(programs: Programs) -> None:
    """The tests of the core crate run its own programs."""
    native = shutil.which("cargo") is not None and gstreamer_version() is not None
    if not native and os.environ.get("IOX2_VIDEO_NATIVE") != "require":
        pytest.skip("there is no cargo or no GStreamer on this machine")
    # The features of `cargo test --workspace --all-features` avoid a second compilation.
    build = ["cargo", "build", "--quiet", "--workspace", "--all-features", "--examples"]
    subprocess.run(build, cwd=ROOT, check=True)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "examples"
    programs.environment["GST_PLUGIN_FEATURE_RANK"] = "fakevideosink:MAX"
    assert "publishes on video/cam0/frame/v2" in programs.start(str(folder / "sink_config")).finish()
    source = programs.start(str(folder / "pipeline_source"))
    sink = programs.start(str(folder / "pipeline_sink"))
    with VideoFrameSubscriber(CAMERA) as subscriber:
        assert next(iter(subscriber)).numpy_view().shape == (640, 640, 3)
    sink.finish()
    source.finish()
    wait_until(lambda: source.process.poll() == 0)


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
    cameras.process.send_signal(signal.SIGINT)
    cameras.process.wait(20)


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
    with VideoFramePublisher(CAMERA) as publisher:
        publisher.publish(np.zeros((48, 64, 3), np.uint8))
        first, *_, last = programs.python(snippet.text).finish().splitlines()
    assert first == "cam0 BGR 64 48 None None"
    assert last == CAMERA


@runs("from gst_iceoryx2.doctor import examine")
def examines(programs: Programs, snippet: Snippet) -> None:
    printed = programs.python(snippet.text).finish()
    assert "leftovers" not in printed
    assert "users" not in printed
