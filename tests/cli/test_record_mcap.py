"""`iox2-video record … drive.mcap`: messages for Foxglove, one for each frame, at its capture time."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._iox2.cleanup import clean_up_if_stale
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.record import Target, TargetError
from gst_iceoryx2.results import Box, Classification, FrameKey, Keypoint, ResultsPublisher
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.mcaps import messages, offset, pictures, summary, topics, wall_minus_monotonic, whole_messages
from tests.cli.recordings import HEIGHT, MS, WIDTH, Record, check_picture, publisher, send, stopped
from tests.cli.test_record_sync import Running, Stereo
from tests.conftest import Place
from tests.packets.coders import encode
from tests.waiting import arrived, wait_until


class Camera:
    """A publisher, and the frames that it has sent."""

    def __init__(self, stack: contextlib.ExitStack, name: str) -> None:
        self.sender: VideoFramePublisher = stack.enter_context(publisher(name, framerate=25))
        self._eye = stack.enter_context(VideoFrameSubscriber(f"video/{name}/frame/v2"))
        self.sent: list[VideoFrame] = []

    def show(self, number: int, format: str = "BGR") -> VideoFrame:
        send(self.sender, number, number * 40 * MS, format)
        frame = arrived(self._eye.receive_blocking(60_000))
        self.sent.append(frame)
        return frame


def test_each_stream_is_a_channel_with_each_frame_once_at_its_capture_time(record: Record, tmp_path: Path) -> None:
    names, file = ("cam0", "cam1", "cam2"), tmp_path / "drive.mcap"
    with contextlib.ExitStack() as stack:
        cameras = [Camera(stack, name) for name in names]
        command = record(*names, "drive.mcap")
        for camera in cameras:
            camera.sender.wait_for_subscribers(2, timeout=60)
        times: list[list[int | None]] = [[] for _ in cameras]

        def show(number: int) -> None:
            for camera, its_times in zip(cameras, times, strict=True):
                with camera.show(number) as frame:
                    its_times.append(frame.captured_at)

        # A recording begins with the newest frame of each stream, when all of them have sent frames.
        deadline = time.monotonic() + 60
        while not file.exists() or not file.stat().st_size:
            assert time.monotonic() < deadline, command.err
            show(0)
            # A recorder that is slow to begin must not lose frames: it keeps 120.
            time.sleep(0.1)
        for number in range(1, 61):
            show(number)
        for camera in cameras:
            camera.sent.clear()
            camera.sender.end_of_stream()
        said = command.ends(0)
    assert re.search(r"cam1: 320x240 BGR, \d+ frames, .* s, 0 dropped", said)
    assert topics(file) == dict.fromkeys(names, "foxglove.CompressedVideo")
    shift = offset(file)
    # Clocks that NTP sets differ a little from second to second.
    assert abs(shift - wall_minus_monotonic()) < 100 * MS
    for name, its_times in zip(names, times, strict=True):
        found = messages(file, name)
        assert len(found) >= 60
        assert [at - shift for at, _ in found] == its_times[-len(found) :]
        assert {video.frame_id for _, video in found} == {name}
        shown = pictures([video for _, video in found])
        for number, picture in enumerate(shown[-60:], 1):
            check_picture(picture, number)
    index = summary(file)
    assert index.statistics.message_count >= 3 * 60
    assert index.statistics.chunk_count == len(index.chunk_indexes) >= 1


@pytest.mark.parametrize(("format", "encoding"), [("BGR", "bgr8"), ("NV12", "nv12"), ("I420", "nv12")])
def test_raw_pixels_are_stored_exactly(record: Record, tmp_path: Path, format: str, encoding: str) -> None:
    with contextlib.ExitStack() as stack:
        camera = Camera(stack, "cam0")
        command = record("cam0", "a.mcap", "--codec", "raw", "--frames", "3")
        camera.sender.wait_for_subscribers(2, timeout=60)
        for number in range(3):
            camera.show(number, format)
        said = command.ends(0)
        planes = [[plane.copy() for plane in frame.planes] for frame in camera.sent]
        times = [frame.captured_at for frame in camera.sent]
        camera.sent.clear()
    assert f"cam0: 320x240 {format}, 3 frames, " in said
    found = messages(tmp_path / "a.mcap", "cam0")
    assert topics(tmp_path / "a.mcap") == {"cam0": "foxglove.RawImage"}
    assert [at - offset(tmp_path / "a.mcap") for at, _ in found] == times
    for (_, image), (first, *others) in zip(found, planes, strict=True):
        assert (image.width, image.height, image.encoding) == (WIDTH, HEIGHT, encoding)
        assert image.step == (3 * WIDTH if format == "BGR" else WIDTH)
        chroma = others[0] if format == "NV12" else np.stack(others, axis=-1) if others else np.empty(0, np.uint8)
        assert image.data == first.tobytes() + chroma.tobytes()


def test_packets_that_run_already_become_messages_as_they_are(record: Record, tmp_path: Path) -> None:
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        command = record("cam0", "a.mcap")
        sender.wait_for_subscribers(1, timeout=60)
        packets = encode("h264", 40, gop=100)
        begin = time.monotonic_ns()
        for number, packet in enumerate(packets):
            at = number * 40 * MS
            captured_at = begin + at
            sender.publish(packet, is_keyframe=packet.is_keyframe, pts=at, dts=at, captured_at=captured_at)
        sender.end_of_stream()
        said = command.ends(0)
    assert "cam0@h264: 320x240 h264, 40 frames, 1.6 s, 0 dropped\n" in said
    found = messages(tmp_path / "a.mcap", "cam0")
    assert [video.data for _, video in found] == [bytes(packet) for packet in packets]
    assert [at - offset(tmp_path / "a.mcap") - begin for at, _ in found] == [number * 40 * MS for number in range(40)]
    assert len(pictures([video for _, video in found])) == 40


def test_packets_with_b_frames_are_refused(record: Record, tmp_path: Path) -> None:
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        command = record("cam0", "a.mcap")
        sender.wait_for_subscribers(1, timeout=60)
        for packet in encode("h264", 20, gop=20, b_frames=2):
            pts, dts = (1000 * MS + at * 40 * MS for at in (packet.pts, packet.dts))
            settings = {"is_keyframe": packet.is_keyframe, "pts": pts, "dts": dts}
            sender.publish(packet, captured_at=10**12 + pts, **settings)
        said = command.ends(1)
    assert "Error: cam0@h264 has B-frames, which Foxglove's messages cannot have; set its encoder to make none" in said


def test_results_are_annotations_at_the_time_of_their_frame(record: Record, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        camera, out = Camera(stack, "cam0"), stack.enter_context(ResultsPublisher("cam0", "yolo"))
        command = record("cam0", "a.mcap", "--results", "yolo")
        camera.sender.wait_for_subscribers(2, timeout=60)
        out.wait_for_subscribers(1, timeout=60)
        with stopped(command):
            for number in range(8):
                key = FrameKey.of(camera.show(number))
                if number % 2 == 0:
                    boxes = [Box("dog\x1b", 0.5, number, 2, 30, 40), Box(None, 1, 0, 0, 1, 1)]
                    points, classes = [Keypoint("nose", number, 9)], [Classification("day", 0.75)]
                    out.publish(key, boxes, keypoints=points, classifications=classes)
            camera.sent.clear()
            camera.sender.end_of_stream()
        said = command.ends(0)
    assert "cam0 yolo: 4 of 8 frames have results, 0 came too late, 0 dropped\n" in said
    file = tmp_path / "a.mcap"
    assert topics(file)["cam0/results/yolo"] == "foxglove.ImageAnnotations"
    found, frames = messages(file, "cam0/results/yolo"), messages(file, "cam0")
    assert [at for at, _ in found] == [frames[number][0] for number in (0, 2, 4, 6)]
    for number, (_, marks) in zip((0, 2, 4, 6), found, strict=True):
        box, _, points = marks.points
        corners = [(number, 2), (number + 30, 2), (number + 30, 42), (number, 42)]
        assert [(point.x, point.y) for point in box.points] == corners
        assert [(point.x, point.y) for point in points.points] == [(number, 9)]
        assert [text.text for text in marks.texts] == ["dog\\x1b 0.50", "object 1.00", "day 0.75"]
    # What annotations cannot hold is beside the file, as for other containers.
    lines = [json.loads(line) for line in (tmp_path / "a.yolo.jsonl").read_text().splitlines()]
    assert [line["results"] is None for line in lines] == [False, True] * 4


def test_a_killed_recorder_leaves_all_messages_but_the_last_chunk(record: Record, tmp_path: Path) -> None:
    file, stop, shown = tmp_path / "a.mcap", threading.Event(), []
    with publisher(framerate=25) as sender:
        command = record("cam0", "a.mcap", "--codec", "raw")
        sender.wait_for_subscribers(1, timeout=60)

        def run() -> None:
            while not stop.wait(0.02):
                send(sender, len(shown), len(shown) * 40 * MS)
                shown.append(time.monotonic_ns())

        thread = threading.Thread(target=run)
        thread.start()
        try:
            # Each chunk has at least 1 MiB, which are five frames.
            wait_until(lambda: file.exists() and file.stat().st_size > 3 << 20)
        finally:
            command.interrupt(signal.SIGKILL)
            command.process.wait()
            stop.set()
            thread.join()
    clean_up_if_stale(current_domain())
    found = list(whole_messages(file))
    assert [message.sequence for message in found] == list(range(len(found)))
    rest = file.stat().st_size - sum(len(message.data) for message in found)
    assert len(found) >= 10
    assert rest < 3 << 20


def test_a_full_disk_is_told_and_whole_chunks_remain(record: Record, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=5m tmpfs {folder} || exit 9"
    script = f'{mount}; "$@"; code=$?; cp {folder}/a.mcap {tmp_path}; exit $code'
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    with publisher(framerate=25) as sender:
        prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
        command = record("cam0", f"{folder}/a.mcap", "--codec", "raw", prefix=prefix)
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(60):
            send(sender, number, number * 40 * MS)
        said = command.ends(1)
    assert f"Error: cannot write {folder}/a.mcap: No space left on device. The frames written until then can be" in said
    assert said.count("No space left") == 1
    assert 10 <= len(list(whole_messages(tmp_path / "a.mcap"))) < 60


def test_only_mcap_files_hold_raw_pixels_and_only_recordings_are_mcap_files(record: Record, tmp_path: Path) -> None:
    from gst_iceoryx2.packets.container import Container

    said = record("cam0", "a.mkv", "--codec", "raw").ends(2)
    assert "Error: .mkv files cannot contain raw; use .mcap, or the codec x264" in said
    with pytest.raises(TargetError, match=r"\.mcap files cannot contain ffv1; use \.mkv"):
        Target.of("a.mcap", "ffv1")
    with pytest.raises(TargetError, match=r"only record writes \.mcap files; use \.mkv, \.mp4 or \.mov"):
        Container.of_packets("a.mcap", "h264")


def test_a_new_file_without_a_frame_is_removed(record: Record, tmp_path: Path) -> None:
    with publisher():
        said: Any = record("cam0", "a.mcap", "--timeout", "0.5").ends(3)
    assert "no frame from cam0 arrived within 0.5 s" in said
    assert not (tmp_path / "a.mcap").exists()


@pytest.mark.parametrize(("codec", "pixels"), [("x264", "yuv420p"), ("raw", "bgr8")])
def test_frames_that_belong_together_keep_their_capture_times(
    domain: Place, tmp_path: Path, codec: str, pixels: str
) -> None:
    """Annotations must have the time of their own picture. `TrackReport.pixel_format` was empty for raw pixels."""
    file, stereo = tmp_path / "pairs.mcap", Stereo()
    with ResultsPublisher("right", "yolo") as out, VideoFrameSubscriber("video/right/frame/v2") as eye:
        running = Running(stereo, file, codec=codec, results=["yolo"])
        for number in range(3):
            stereo.shoot("left", number, 1000 + 40 * number)
            stereo.shoot("right", number, 1001 + 40 * number)
            with arrived(eye.receive_blocking(60_000)) as frame:
                out.publish(FrameKey.of(frame), [Box("cup", 0.5, 1, 2, 3, 4)])
        stereo.shoot("left", 3, 1120)
        stereo.end()
        done = running.done()
        stereo.close()
    assert [(track.frames, track.pixel_format) for track in done.tracks] == [(3, pixels)] * 2
    times = {topic: [at - offset(file) for at, _ in messages(file, topic)] for topic in topics(file)}
    right = [(1001 + 40 * number) * MS for number in range(3)]
    assert times["left"] == [(1000 + 40 * number) * MS for number in range(3)]
    assert times["right"] == times["right/results/yolo"] == right
    assert times["left/results/yolo"] == []


def test_boxes_of_a_rendition_are_not_written_in_pixels_of_its_source(record: Record, tmp_path: Path) -> None:
    """They were drawn at wrong places of the smaller picture."""
    said = record("cam0@64x64-RGB", "a.mcap", "--results", "yolo").ends(2)
    assert "Error: boxes of yolo cannot be drawn on cam0@64x64-RGB for Foxglove, because they are in pixels of" in said
    assert not (tmp_path / "a.mcap").exists()


def test_capture_times_that_no_file_can_hold_do_not_end_the_recording(record: Record, tmp_path: Path) -> None:
    """The time of day of a hostile frame had more than 64 bits, and the command ended with a traceback."""
    with contextlib.ExitStack() as stack:
        camera = Camera(stack, "cam0")
        command = record("cam0", "a.mcap")
        camera.sender.wait_for_subscribers(2, timeout=60)
        for number in range(3):
            camera.sender.publish(np.zeros((48, 64, 3), np.uint8), format="BGR", captured_at=2**64 - 9 + number)
        camera.sender.end_of_stream()
        command.ends(0)
    assert [at for at, _ in messages(tmp_path / "a.mcap", "cam0")] == [2**63 - 1] * 3


def test_b_frames_without_capture_times_of_their_own_are_refused(record: Record, tmp_path: Path) -> None:
    """The publisher gave packets the time of publishing, which goes on. Messages were in the wrong order."""
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        command = record("cam0", "a.mcap")
        sender.wait_for_subscribers(1, timeout=60)
        for packet in encode("h264", 20, gop=20, b_frames=2):
            pts, dts = (1000 * MS + at * 40 * MS for at in (packet.pts, packet.dts))
            sender.publish(packet, is_keyframe=packet.is_keyframe, pts=pts, dts=dts)
        said = command.ends(1)
    assert "Error: cam0@h264 has B-frames, which Foxglove's messages cannot have" in said
    assert "(bframes=0), or record with --codec x264, which encodes again" in said
