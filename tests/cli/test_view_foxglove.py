"""`iox2-video view --foxglove`: a client of Foxglove's protocol sees streams and results at their capture times."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("foxglove", reason="foxglove-sdk is not installed: pip install 'iox2-video[foxglove]'")

from gst_iceoryx2.discovery import encoded
from gst_iceoryx2.foxglove import FoxgloveView
from gst_iceoryx2.foxglove.channels import VideoTopic
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
from gst_iceoryx2.video import VideoFrameSubscriber
from gst_iceoryx2.video.wall_clock import WallClock
from tests.cli.commands import Command
from tests.cli.foxglove_client import FoxgloveClient
from tests.cli.mcaps import CompressedVideo, FileDescriptorSet, ImageAnnotations, pictures, wall_minus_monotonic
from tests.cli.recordings import MS, check_picture, publisher, send
from tests.cli.test_record_copy import camera
from tests.conftest import Place
from tests.packets.coders import encode
from tests.waiting import arrived, wait_until

# Both clocks are read at different times by this process and the other one.
TOLERANCE = 100 * MS


@pytest.fixture
def view(tmp_path: Path, domain: Place) -> Iterator[Callable[..., tuple[Command, int]]]:
    """Return a function that runs the command, and returns it and its port."""
    running: list[Command] = []

    def start(*arguments: str) -> tuple[Command, int]:
        command = Command(tmp_path, "view", *arguments, "--foxglove", "--port", "0")
        running.append(command)
        command.says("Press Ctrl-C to stop.")
        return command, int(command.out.rpartition(":")[2])

    yield start
    for command in running:
        command.interrupt()
        command.ends(130)
        command.close()


@contextmanager
def viewed(*names: str, **settings: Any) -> Iterator[tuple[FoxgloveView, int]]:
    """Run a server in this process."""
    with FoxgloveView(names, port=0, **settings) as shown:
        yield shown, int(shown.url.rpartition(":")[2])


def test_a_stream_is_encoded_while_a_client_has_subscribed(tmp_path: Path, view: Any) -> None:
    with camera(tmp_path):
        command, port = view("cam0")
        assert command.out == f"ws://127.0.0.1:{port}\n"
        assert "Warning: the address has no token. Every user of this machine, and every web page" in command.err
        with FoxgloveClient(port) as client:
            client.await_topics("cam0")
            channel = client.channels["cam0"]
            assert (channel["encoding"], channel["schemaName"]) == ("protobuf", "foxglove.CompressedVideo")
            definition = FileDescriptorSet.FromString(base64.b64decode(channel["schema"]))
            assert {file.name.rpartition("/")[2] for file in definition.file} == {
                "CompressedVideo.proto",
                "timestamp.proto",
            }
            assert encoded("cam0") != "running"
            client.subscribe("cam0")
            found = [client.message() for _ in range(10)]
            assert encoded("cam0") == "running"
        videos = [CompressedVideo.FromString(data) for _, _, data in found]
        assert {topic for topic, *_ in found} == {video.frame_id for video in videos} == {"cam0"}
        times = [at for _, at, _ in found]
        assert times == [video.timestamp.seconds * 10**9 + video.timestamp.nanos for video in videos]
        assert times == sorted(set(times))
        assert 0 <= time.time_ns() - times[-1] < 60 * 10**9
        assert len(pictures(videos)) == 10
        wait_until(lambda: encoded("cam0") != "running")


def test_packets_that_run_already_are_sent_as_they_are(domain: Place) -> None:
    packets = encode("h264", 12, gop=100)
    begin = time.monotonic_ns()
    with (
        PacketPublisher("cam0", "h264", 320, 240) as sender,
        viewed("cam0") as (_, port),
        FoxgloveClient(port) as client,
    ):
        client.subscribe("cam0")
        sender.wait_for_subscribers(1, timeout=60)
        for number, packet in enumerate(packets):
            at = number * 40 * MS
            sender.publish(packet, is_keyframe=packet.is_keyframe, pts=at, dts=at, captured_at=begin + at)
        found = [client.message() for _ in packets]
    assert [CompressedVideo.FromString(data).data for *_, data in found] == [bytes(packet) for packet in packets]
    shift = found[0][1] - begin
    assert abs(shift - wall_minus_monotonic()) < TOLERANCE
    assert [at - shift - begin for _, at, _ in found] == [number * 40 * MS for number in range(12)]


def test_the_encoder_is_asked_for_a_keyframe_when_a_second_client_joins(domain: Place) -> None:
    with (
        PacketPublisher("cam0", "h264", 320, 240) as sender,
        viewed("cam0") as (_, port),
        FoxgloveClient(port) as first,
        FoxgloveClient(port) as second,
    ):
        first.subscribe("cam0")
        sender.wait_for_subscribers(1, timeout=60)
        keyframe, delta, *_ = encode("h264", 2, gop=100)
        sender.publish(keyframe, is_keyframe=True)
        first.message()
        sender.publish(delta, is_keyframe=False)
        first.message()
        assert not sender.is_keyframe_wanted
        second.subscribe("cam0")

        def wanted() -> bool:
            sender.publish(delta, is_keyframe=False)
            return sender.is_keyframe_wanted

        wait_until(wanted)


def test_results_are_annotations_of_their_frame(domain: Place) -> None:
    with (
        publisher() as sender,
        VideoFrameSubscriber("video/cam0/frame/v2") as eye,
        ResultsPublisher("cam0", "yolo") as out,
        viewed("cam0", results=["yolo"]) as (_, port),
        FoxgloveClient(port) as client,
    ):
        client.subscribe("cam0/results/yolo", "cam0")
        out.wait_for_subscribers(1, timeout=60)
        sender.wait_for_subscribers(2, timeout=60)
        send(sender, 3, 0)
        with arrived(eye.receive_blocking(60_000)) as frame:
            out.publish(FrameKey.of(frame), [Box("dog", 0.5, 1, 2, 30, 40)])
        found = {topic: (at, data) for topic, at, data in (client.message(), client.message())}
    at, data = found["cam0/results/yolo"]
    video = found["cam0"]
    assert at == video[0]
    (picture,) = pictures([CompressedVideo.FromString(video[1])])
    check_picture(picture, 3)
    marks = ImageAnnotations.FromString(data)
    assert [text.text for text in marks.texts] == ["dog 0.50"]
    assert [(point.x, point.y) for point in marks.points[0].points] == [(1, 2), (31, 2), (31, 42), (1, 42)]


def test_a_stream_with_b_frames_is_told(domain: Place) -> None:
    told: list[str] = []
    with (
        PacketPublisher("cam0", "h264", 320, 240) as sender,
        viewed("cam0") as (shown, port),
        FoxgloveClient(port) as client,
    ):
        client.subscribe("cam0")
        sender.wait_for_subscribers(1, timeout=60)
        for packet in encode("h264", 12, gop=100, b_frames=2):
            pts, dts = (1000 * MS + at * 40 * MS for at in (packet.pts, packet.dts))
            sender.publish(packet, is_keyframe=packet.is_keyframe, pts=pts, dts=dts, captured_at=pts)

        def tell(problem: str) -> None:
            told.append(problem)
            shown.close()

        shown.wait(tell)
    (problem,) = told
    # `record` has another remedy, which this command does not have.
    remedy = "set its encoder to make none (bframes=0)"
    assert problem == f"cam0: cam0@h264 has B-frames, which Foxglove's messages cannot have; {remedy}"


def test_a_stream_that_is_named_twice_is_one_topic(domain: Place) -> None:
    """The thread of the first one was never stopped."""
    with viewed("cam0", "video/cam0/frame/v2") as (shown, _):
        assert shown.topics == ("cam0",)
        assert [thread.name for thread in threading.enumerate()].count("watch video/cam0@h264/packet/v1") == 1


def test_it_listens_only_on_this_machine(domain: Place) -> None:
    with viewed("cam0") as (_, port):
        tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
        listening = {line.split()[1] for line in tables.splitlines() if f":{port:04X} " in line and " 0A " in line}
        assert listening == {f"0100007F:{port:04X}"}


def test_a_port_that_is_in_use_is_told(tmp_path: Path, domain: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = Command(tmp_path, "view", "cam0", "--foxglove", "--port", str(port))
        said = command.ends(1)
    assert (
        said
        == f"Error: cannot listen on 127.0.0.1:{port}: another process uses this port; choose another one with --port\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["cam0", "--host", "0.0.0.0"], "--host cannot be combined with --foxglove"),
        (["cam0", "--token-file", "x"], "--token-file cannot be combined with --foxglove"),
        (["cam0", "--rerun"], "--rerun cannot be combined with --foxglove"),
        (
            ["cam0@64x64-RGB", "--results", "yolo"],
            "boxes of yolo cannot be drawn on cam0@64x64-RGB for Foxglove, because they are in pixels of cam0; "
            "use cam0, or leave out --results",
        ),
        (
            ["sh4lt:/tmp/x"],
            "--foxglove shows services, not sh4lt:/tmp/x; first run `iox2-video bridge sh4lt:/tmp/x NAME`",
        ),
    ],
)
def test_what_a_foxglove_server_cannot_do_is_refused(
    tmp_path: Path, domain: Place, arguments: list[str], text: str
) -> None:
    assert Command(tmp_path, "view", *arguments, "--foxglove").ends(2) == f"Error: {text}\n"


def test_a_missing_package_is_told_with_what_to_install(domain: Place) -> None:
    arguments = ["view", "x", "--foxglove"]
    program = f"import sys; sys.modules['foxglove'] = None; from gst_iceoryx2.cli import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "run `pip install 'iox2-video[foxglove]'`" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_client_that_leaves_does_not_cancel_the_keyframe_of_one_that_joined(domain: Place) -> None:
    """When a page was loaded again, its new connection waited for the next keyframe of the encoder."""
    sent: list[int] = []
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        topic = VideoTopic("cam0", WallClock(), lambda name, at, data: sent.append(at))
        topic.note(has_joined=True)
        sender.wait_for_subscribers(1, timeout=60)
        keyframe, delta, *_ = encode("h264", 2, gop=100)
        sender.publish(keyframe, is_keyframe=True)
        wait_until(lambda: len(sent) == 1)
        topic.note(has_joined=True)
        topic.note(has_joined=False)
        sender.publish(delta, is_keyframe=False)
        wait_until(lambda: len(sent) == 2)
        wait_until(lambda: sender.is_keyframe_wanted)
        topic.close()


def test_a_client_that_leaves_while_a_topic_is_closed_does_not_block_it(domain: Place) -> None:
    """The topic rested again, and its thread waited indefinitely for another client."""
    is_leaving, may_leave = threading.Event(), threading.Event()

    class Slow(VideoTopic):
        def _leave(self) -> None:
            is_leaving.set()
            may_leave.wait(60)
            super()._leave()

    topic = Slow("cam0", WallClock(), lambda name, at, data: None)
    closing = threading.Thread(target=topic.close, daemon=True)
    assert is_leaving.wait(60)
    closing.start()
    wait_until(lambda: not topic.is_resting)
    topic.note(has_joined=False)
    may_leave.set()
    closing.join(60)
    assert not closing.is_alive()
