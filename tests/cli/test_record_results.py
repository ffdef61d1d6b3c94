"""`iox2-video record --results`: each line beside the file belongs to its frame, whatever the detector does."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2._iox2.cleanup import clean_up_if_stale
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._wire.results import VideoResultsHeader, results_service
from gst_iceoryx2.feed import read_number
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.record import Recorder
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import Bridge
from tests.cli.recordings import (
    HEIGHT,
    MS,
    WIDTH,
    Record,
    check_picture,
    decoded,
    keep_sending,
    publisher,
    running,
    send,
    stopped,
    times,
    wait_for_frames,
)
from tests.cli.test_record_copy import camera
from tests.conftest import Place
from tests.packets.coders import encode
from tests.processes.children import Child
from tests.transport.raw import RawPublisher
from tests.waiting import arrived, wait_until

SOURCE = "video/cam0/frame/v2"


def lines_of(path: Path) -> list[Any]:
    """Return the lines of a log, all of which are complete."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def x_of(line: Any) -> int | None:
    """Return the number that the first box of a line encodes."""
    return None if line["results"] is None else int(line["results"]["boxes"][0]["x"])


class Scene:
    """A camera and a detector in this process, and a recorder of both."""

    def __init__(self, record: Record, *arguments: str) -> None:
        with contextlib.ExitStack() as stack:
            self.camera = stack.enter_context(publisher(framerate=25))
            self.eye = stack.enter_context(VideoFrameSubscriber(SOURCE))
            self.out = stack.enter_context(ResultsPublisher("cam0", "yolo"))
            self.command = record("cam0", *arguments)
            self.camera.wait_for_subscribers(2, timeout=60)
            self.out.wait_for_subscribers(1, timeout=60)
            self._stack = stack.pop_all()

    def show(self, number: int) -> FrameKey:
        """Publish a picture with its number; return its key."""
        send(self.camera, number, number * 40 * MS)
        with arrived(self.eye.receive_blocking(60_000)) as frame:
            return FrameKey.of(frame)

    def find(self, key: FrameKey, number: int, **others: Any) -> None:
        """Publish a box whose position is a number."""
        self.out.publish(key, [Box("number", 0.5, number, 2, 3, 4)], **others)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def scene(record: Record) -> Iterator[Callable[..., Scene]]:
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str) -> Scene:
            there = Scene(record, *arguments)
            stack.callback(there.close)
            return there

        yield begin


@pytest.mark.parametrize("file", ["day.mkv", "day.mp4"])
@pytest.mark.proves("R1")
def test_each_line_belongs_to_its_frame(scene: Callable[..., Scene], tmp_path: Path, file: str) -> None:
    there = scene(file, "--results", "yolo")
    with stopped(there.command):
        keys = [there.show(number) for number in range(20)]
        # The results come in another order, and some never.
        for number in (*range(19, 9, -1), *range(0, 10, 2)):
            there.find(keys[number], number)
        there.camera.end_of_stream()
    said = there.command.ends(0)
    assert "cam0 yolo: 15 of 20 frames have results, 0 came too late, 0 dropped\n" in said
    assert "day.yolo.jsonl: " in said
    lines, frames = lines_of(tmp_path / "day.yolo.jsonl"), decoded(tmp_path / file)
    assert [line["time"] * 1000 for line in lines] == pytest.approx(times(frames))
    assert [line["sequence"] for line in lines] == list(range(20))
    assert {line["publisher"] for line in lines} == {f"{keys[0].stamp.publisher:016x}"}
    assert all(line["captured_at"] == key.stamp.capture for line, key in zip(lines, keys, strict=True))
    assert {line["file"] for line in lines} == {file}
    for number, (line, frame) in enumerate(zip(lines, frames, strict=True)):
        check_picture(frame, number)
        assert x_of(line) == (None if number in (1, 3, 5, 7, 9) else number)


def test_a_line_has_the_form_that_the_command_results_prints(scene: Callable[..., Scene], tmp_path: Path) -> None:
    there = scene("day.mp4", "--results", "yolo", "--frames", "1")
    with ResultsSubscriber("cam0", "yolo") as subscriber:
        there.out.wait_for_subscribers(2, timeout=60)
        with stopped(there.command):
            there.find(there.show(0), 7, json={"a": [1]})
        printed = arrived(subscriber.receive_blocking(60_000)).as_dict()
    there.command.ends(0)
    (line,) = lines_of(tmp_path / "day.yolo.jsonl")
    assert line["results"] == printed
    assert printed["json"] == {"a": [1]}


def test_an_mkv_file_has_the_labels_as_subtitles_of_their_frames(scene: Callable[..., Scene], tmp_path: Path) -> None:
    there = scene("day.mkv", "--results", "yolo")
    with stopped(there.command):
        keys = [there.show(number) for number in range(10)]
        for number in (0, 3, 4, 9):
            there.out.publish(keys[number], [Box(f"é {number}", 0.5, 0, 0, 1, 1), Box(None, 1, 0, 0, 1, 1)])
        there.camera.end_of_stream()
    there.command.ends(0)
    with av.open(str(tmp_path / "day.mkv")) as container:
        (stream,) = container.streams.subtitles
        assert stream.metadata["title"] == "yolo"
        found = [(packet.pts, packet.duration, bytes(packet).decode()) for packet in container.demux(stream)]
    expected = [(number * 40, 40, f"é {number} 0.50\nobject 1.00") for number in (0, 3, 4, 9)]
    assert [packet for packet in found if packet[0] is not None] == expected
    assert len(decoded(tmp_path / "day.mkv")) == 10


@pytest.mark.proves("R2")
def test_a_detector_that_never_comes_does_not_hold_up_the_recording(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "day.mkv", "--results", "yolo", "--results", "pose", "--results", "yolo")
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(60):
            send(sender, number, number * 40 * MS)
        # The pictures reach the file although their lines still wait.
        wait_until(lambda: (tmp_path / "day.mkv").stat().st_size > 2000)
        sender.end_of_stream()
        began = time.monotonic()
        said = command.ends(0)
        took = time.monotonic() - began
    # It waits at most a second for each end; the rest is the machine's.
    assert took < 20
    assert said.count("0 of 60 frames have results") == 2
    for name in ("yolo", "pose"):
        assert [x_of(line) for line in lines_of(tmp_path / f"day.{name}.jsonl")] == [None] * 60


@pytest.mark.proves("R3", "R6")
def test_late_and_damaged_results_are_counted_and_on_no_line(scene: Callable[..., Scene], tmp_path: Path) -> None:
    there = scene("day.mp4", "--results", "yolo", "--results", "raw", "--timeout", "60")
    log, other = tmp_path / "day.yolo.jsonl", tmp_path / "day.raw.jsonl"
    raw = RawPublisher(results_service("cam0", "raw"), 1 << 16, 10, VideoResultsHeader)
    wait_until(lambda: raw.service.dynamic_config.number_of_subscribers == 1)
    with stopped(there.command):
        late, damaged = there.show(0), there.show(1)
        # Neither a text that is not JSON, nor one that Python reads but JSON does not have, nor an unknown version.
        for number, (text, version) in enumerate(((b"{", 1), (b"NaN", 1), (b"1", 9))):
            raw.send(*json_result(damaged, text, number=number, version=version))
    # Lines are written when the time of the first one is up.
    wait_until(lambda: log.read_text().count("\n") == other.read_text().count("\n") == 2)
    with stopped(there.command):
        there.find(late, 0)
        there.find(there.show(2), 2)
    wait_until(lambda: log.read_text().count("\n") == 3)
    there.camera.end_of_stream()
    said = there.command.ends(0)
    assert "cam0 yolo: 1 of 3 frames have results, 1 came too late, 0 dropped\n" in said
    # Only the first result for a frame counts.
    assert "cam0 raw: 0 of 3 frames have results, 0 came too late, 0 dropped, 2 refused\n" in said
    assert [x_of(line) for line in lines_of(log)] == [None, None, 2]
    assert [line["results"] for line in lines_of(other)] == [None] * 3
    raw.close()


def json_result(key: FrameKey, text: bytes, *, number: int, version: int) -> tuple[VideoResultsHeader, bytes]:
    """Return header and payload of a result that consists of a JSON text."""
    header = VideoResultsHeader(
        stream=5, sequence=number, width=WIDTH, height=HEIGHT, entries=1, version=version, stamp=key.stamp
    )
    head = (7).to_bytes(4, "little") + (1).to_bytes(4, "little") + len(text).to_bytes(8, "little")
    return header, head + text + bytes(-len(text) % 8)


def test_a_killed_recorder_leaves_whole_lines(scene: Callable[..., Scene], tmp_path: Path) -> None:
    there = scene("day.mkv", "--results", "yolo")
    log = tmp_path / "day.yolo.jsonl"
    with stopped(there.command):
        for number in range(30):
            there.find(there.show(number), number)
    wait_until(lambda: log.read_text().count("\n") >= 20)
    there.command.process.kill()
    there.command.process.wait(60)
    clean_up_if_stale(current_domain())
    lines = lines_of(log)
    assert [x_of(line) for line in lines] == list(range(len(lines)))


@pytest.mark.parametrize("victim", ["detector", "camera"])
@pytest.mark.proves("R4")
def test_restarts_cross_nothing(record: Record, tmp_path: Path, victim: str) -> None:
    """Real processes, one of which is killed; the number of each frame is in its pixels and in its box."""
    file = tmp_path / "day.mkv"
    command = record("cam0", file.name, "--results", "yolo", "--codec", "ffv1", "--timeout", "60")
    children = []

    def start(act: str, *arguments: Any) -> Child:
        children.append(Child(act, *arguments, acts="tests.results.acts"))
        assert children[-1].told() == "there"
        return children[-1]

    def lines() -> int:
        log = tmp_path / "day.yolo.jsonl"
        text = log.read_text() if log.exists() else ""
        return text.count('"boxes"')

    try:
        both = {"camera": start("shoot", 0), "detector": start("detect", "yolo", 0.03)}
        for first in (100_000, 200_000):
            before = lines()
            wait_until(lambda before=before: lines() > before + 20, 60)
            both[victim].kill()
            arguments = ("shoot", first) if victim == "camera" else ("detect", "yolo", 0.03)
            both[victim] = start(*arguments)
        before = lines()
        wait_until(lambda: lines() > before + 20, 60)
        command.interrupt()
        command.ends(130)
        for child in both.values():
            child.tell()
            assert child.ends() == 0, child.complaint()
        clean_up_if_stale(current_domain())
    finally:
        for child in children:
            child.close()
    found = lines_of(tmp_path / "day.yolo.jsonl")
    frames = decoded(file)
    assert [line["time"] * 1000 for line in found] == pytest.approx(times(frames))
    joined = 0
    for line, frame in zip(found, frames, strict=True):
        number = int.from_bytes(frame.to_ndarray()[0, :8].tobytes(), "little")
        assert x_of(line) in (None, number)
        joined += x_of(line) is not None
    assert joined > 60


class PatternDetector:
    """Publishes the number that it reads from the pixels of the test pattern."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.published = 0

    def _run(self) -> None:
        with VideoFrameSubscriber(SOURCE) as frames, ResultsPublisher("cam0", "yolo") as out:
            while not self._stop.is_set():
                frame = frames.receive_blocking(50)
                if frame is None or frame.is_eos():
                    continue
                with frame:
                    key, number = FrameKey.of(frame), number_of(frame)
                out.publish(key, [Box("number", 1, number, 0, 1, 1)])
                self.published += 1

    def __enter__(self) -> PatternDetector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def number_of(frame: VideoFrame) -> int:
    number = read_number(np.asarray(frame.planes[0]))
    assert number is not None
    return number


@pytest.mark.proves("R1")
def test_packets_are_logged_with_the_results_of_their_frames(record: Record, tmp_path: Path) -> None:
    with camera(tmp_path), PatternDetector() as detector:
        command = record("cam0", "day.mkv", "--copy", "--results", "yolo")
        log = tmp_path / "day.yolo.jsonl"
        wait_until(lambda: log.exists() and log.read_text().count('"boxes"') > 40, 60)
        command.interrupt()
        said = command.ends(130)
        assert detector.published > 40
    lines, frames = lines_of(log), decoded(tmp_path / "day.mkv")
    assert [line["time"] * 1000 for line in lines] == pytest.approx(times(frames))
    numbers = [read_number(frame.to_ndarray()[: frame.height]) for frame in frames]
    assert all(x_of(line) in (None, number) for line, number in zip(lines, numbers, strict=True))
    joined = sum(line["results"] is not None for line in lines)
    assert joined > 40
    assert f"cam0 yolo: {joined} of {len(lines)} frames have results" in said
    with av.open(str(tmp_path / "day.mkv")) as container:
        assert sum(packet.size > 0 for packet in container.demux(subtitles=0)) == joined


@pytest.mark.proves("R5")
def test_packets_of_bridged_frames_are_logged_with_the_results_of_the_first_frames(
    record: Record, bridge: Bridge, tmp_path: Path
) -> None:
    """Regression: the packets had the identity of the bridge's frames, so no result matched them."""
    with camera(tmp_path), PatternDetector():
        bridge("cam0", "far")
        bridge("cam0", "far", "--results", "yolo")
        command = record("far", "day.mkv", "--copy", "--results", "yolo")
        log = tmp_path / "day.yolo.jsonl"
        wait_until(lambda: log.exists() and log.read_text().count('"boxes"') > 10, 60)
        command.interrupt()
        command.ends(130)
    frames = decoded(tmp_path / "day.mkv")
    numbers = [read_number(frame.to_ndarray()[: frame.height]) for frame in frames]
    assert all(x_of(line) in (None, number) for line, number in zip(lines_of(log), numbers, strict=True))


def test_lines_of_b_frames_are_in_the_order_of_the_frames(record: Record, tmp_path: Path) -> None:
    with PacketPublisher("cam0", "h264", WIDTH, HEIGHT) as sender, publisher() as frames:
        command = record("cam0@h264", "day.mp4", "--results", "yolo")
        sender.wait_for_subscribers(1, timeout=60)
        with VideoFrameSubscriber(SOURCE) as eye, ResultsPublisher("cam0", "yolo") as out:
            out.wait_for_subscribers(1, timeout=60)
            keys = []
            for number in range(30):
                send(frames, number, number * 40 * MS)
                with arrived(eye.receive_blocking(60_000)) as frame:
                    keys.append(FrameKey.of(frame))
                out.publish(keys[-1], [Box(None, 1, number, 0, 1, 1)])
            for packet in encode("h264", 30, gop=100, b_frames=2):
                stamp = keys[packet.pts].stamp
                pts, dts = (time * 40 * MS + 10_000 * MS for time in (packet.pts, packet.dts))
                sender.publish(packet, is_keyframe=packet.is_keyframe, pts=pts, dts=dts, stamp=stamp)
            sender.end_of_stream()
            command.ends(0)
    lines = lines_of(tmp_path / "day.yolo.jsonl")
    assert [x_of(line) for line in lines] == list(range(30))
    assert [round(line["time"] * 1000) for line in lines] == [number * 40 for number in range(30)]


def test_lines_name_the_file_in_which_their_frame_is(domain: Place, tmp_path: Path) -> None:
    recorder = Recorder(["cam0@h264"], tmp_path / "day.mkv", frames=20, timeout=60, results=["yolo"])
    with running(recorder):
        for size, count in (((320, 240), 10), ((640, 360), 20)):
            with PacketPublisher("cam0", "h264", *size) as sender:
                sender.wait_for_subscribers(1, timeout=60)
                for packet in encode("h264", 10, size, gop=100):
                    at = 10**9 + (packet.pts + size[0]) * 40 * MS
                    sender.publish(packet, is_keyframe=packet.is_keyframe, pts=at, dts=at, captured_at=at)
                wait_for_frames(recorder, count)
    lines = lines_of(tmp_path / "day.yolo.jsonl")
    assert [(line["file"], round(line["time"] * 1000)) for line in lines] == [
        (file, number * 40) for file in ("day.mkv", "day-2.mkv") for number in range(10)
    ]


def test_several_streams_have_a_log_each(record: Record, tmp_path: Path) -> None:
    with publisher("left") as left, publisher("right") as right:
        command = record("left", "right", "both.mkv", "--frames", "5", "--results", "yolo", "--timeout", "30")
        for sender in (left, right):
            sender.wait_for_subscribers(1, timeout=60)
        keep_sending(command, left, right, sizes=((WIDTH, HEIGHT),) * 2)
        command.ends(0)
    assert len(lines_of(tmp_path / "both.left.yolo.jsonl")) == 5
    assert len(lines_of(tmp_path / "both.right.yolo.jsonl")) == 5
    with av.open(str(tmp_path / "both.mkv")) as container:
        assert [stream.metadata["title"] for stream in container.streams.subtitles] == ["left.yolo", "right.yolo"]


def test_a_full_disk_is_told_and_leaves_whole_lines(record: Record, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=400k tmpfs {folder} || exit 9"
    script = f'{mount}; "$@"; code=$?; cp {folder}/a.yolo.jsonl {tmp_path}; exit $code'
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    with publisher() as sender, VideoFrameSubscriber(SOURCE) as eye, ResultsPublisher("cam0", "yolo") as out:
        prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
        command = record("cam0", f"{folder}/a.mkv", "--results", "yolo", prefix=prefix)
        sender.wait_for_subscribers(2, timeout=60)
        out.wait_for_subscribers(1, timeout=60)
        late = set()
        for number in range(40):
            boxes = [Box(f"{number}", 1, x, 0, 1, 1) for x in range(number, number + 400)]
            send(sender, number, number * 40 * MS)
            sent = time.monotonic()
            with arrived(eye.receive_blocking(60_000)) as frame:
                out.publish(frame, boxes)
            # The recorder waits 5 s for them, and a busy machine may pause this process.
            late |= {number} if time.monotonic() > sent + 4 else set()
        said = command.ends(1)
    # Either of the two files may be the first one that does not fit.
    assert re.search(r"Error: cannot write .*/a\.(yolo\.jsonl|mkv): No space left on device", said), said
    assert "The frames written until then can be played" in said
    found = [x_of(line) for line in lines_of(tmp_path / "a.yolo.jsonl")]
    assert len(found) >= 3
    assert all(x == number or (x is None and number in late) for number, x in enumerate(found[:3]))


def test_what_cannot_be_logged_is_refused_in_a_sentence(record: Record, tmp_path: Path, domain: Place) -> None:
    assert "cannot be the name of a detector" in record("cam0", "a.mkv", "--results", "a/b").ends(2)
    log = tmp_path / "a.yolo.jsonl"
    log.write_text("precious")
    with VideoFramePublisher(SOURCE):
        said = record("cam0", "a.mkv", "--results", "yolo").ends(1)
        assert "a.yolo.jsonl already exists; choose another name, or use --overwrite" in said
        # Without a frame, nothing is replaced, and nothing new stays.
        record("cam0", "a.mkv", "--results", "yolo", "--results", "b", "--overwrite", "--timeout", "0.3").ends(3)
    assert log.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.glob("a.*")) == ["a.yolo.jsonl"]
