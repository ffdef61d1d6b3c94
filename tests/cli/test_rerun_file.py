"""Rerun reads what `iox2-video view --rerun` and `--rerun-file` wrote. Needs Rerun's SDK."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rerun", reason="Rerun's SDK is not installed, because it is large: pip install --group rerun")

from rerun.chunk import RrdReader

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.stamp import monotonic_ns
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.rerun import RerunError, RerunView, RerunViewer
from gst_iceoryx2.rerun.log import RerunLog
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.conftest import CommandLine
from tests.conftest import Place
from tests.packets.units import Encoder, unit
from tests.waiting import arrived, wait_until

SOURCE = "video/cam0/frame/v2"
MS = 1_000_000
COUNT = 12
STEP = 33_333_333


class Viewer:
    """`rerun --save`, which listens as a viewer does, and writes what it receives to a file."""

    def __init__(self, file: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = int(server.getsockname()[1])
        self.file = file
        command = [str(Path(sys.executable).with_name("rerun")), "--save", str(file), "--port", str(self.port)]
        nowhere = subprocess.DEVNULL
        # The command is a script that runs the viewer, so signals go to the group.
        self._process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, start_new_session=True)
        wait_until(self._listens)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self._process.pid, number)

    def close(self) -> None:
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGINT)
            self._process.wait(60)


@pytest.fixture
def camera(domain: Place) -> Iterator[VideoFramePublisher]:
    with VideoFramePublisher(SOURCE, qos=Qos(buffer_size=60)) as publisher:
        yield publisher


def rows(file: Path, entity: str) -> list[dict[str, Any]]:
    """Return what Rerun reads of an entity: a row for each call, with times in nanoseconds."""
    found = []
    for chunk in RrdReader(str(file)).stream().to_chunks():
        if chunk.entity_path == entity and not chunk.is_static:
            batch = chunk.to_record_batch().drop_columns(["log_time"])
            at = batch.schema.get_field_index("capture_time")
            found += batch.set_column(at, "capture_time", batch.column(at).cast("int64")).to_pylist()
    return sorted(found, key=lambda row: row["capture_time"])


def shoot(camera: VideoFramePublisher, number: int, begin: int) -> None:
    picture = np.full((48, 64, 3), 20 * number, np.uint8)
    camera.publish(picture, format="RGB", captured_at=begin + number * STEP)


def film(camera: VideoFramePublisher) -> int:
    """Publish frames, with boxes for each third one; return the capture time of the first frame."""
    begin = monotonic_ns()
    with ResultsPublisher("cam0", "yolo") as out, VideoFrameSubscriber(SOURCE) as subscriber:
        out.wait_for_subscribers(timeout=60)
        camera.wait_for_subscribers(2, timeout=60)
        for number in range(COUNT):
            shoot(camera, number, begin)
            with arrived(subscriber.receive_blocking(60_000)) as frame:
                if number % 3 == 0:
                    out.publish(FrameKey.of(frame), [Box("cat", 0.5, number, 2, 30, 20)])
        camera.end_of_stream()
        wait_until(lambda: out.num_subscribers == 0)
    return begin


def check(file: Path, begin: int) -> None:
    pictures, boxes = rows(file, "/cam0"), rows(file, "/cam0/yolo")
    assert [row["frame"] for row in pictures] == list(range(COUNT))
    times = [row["capture_time"] for row in pictures]
    assert times == [times[0] + number * STEP for number in range(COUNT)]
    # The wall clock may be adjusted in the meantime.
    wall = time.time_ns() - monotonic_ns()
    assert abs(times[0] - begin - wall) < 5_000 * MS
    for number, row in enumerate(pictures):
        (data,) = row["EncodedImage:blob"]
        assert abs(jpeg.decode(bytes(data)).astype(int) - 20 * number).max() < 4
        assert row["EncodedImage:media_type"] == ["image/jpeg"]
    assert [row["frame"] for row in boxes] == list(range(0, COUNT, 3))
    for row in boxes:
        assert row["capture_time"] == times[row["frame"]]
        assert row["Boxes2D:centers"] == [[row["frame"] + 15, 12]]
        assert row["Boxes2D:half_sizes"] == [[15, 10]]
        assert row["Boxes2D:labels"] == ["cat 0.50"]


def test_a_file_has_each_picture_and_each_box_at_its_time(
    camera: VideoFramePublisher, iox2_video: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "a.rrd"
    command = iox2_video.start("view", "cam0", "--results", "yolo", "--rerun-file", str(file))
    begin = film(camera)
    _, said = command.communicate(timeout=40)
    assert command.returncode == 0, said
    check(file, begin)
    assert f"cam0: {COUNT} JPEG pictures, 0 dropped" in said
    assert "cam0 yolo: 4 results" in said
    assert f"{file}: " in said
    # The file is not replaced.
    assert "already exists" in iox2_video("view", "cam0", "--rerun-file", str(file)).stderr


def test_ctrl_c_completes_the_file(camera: VideoFramePublisher, iox2_video: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "a.rrd"
    command = iox2_video.start("view", "cam0", "--rerun-file", str(file))
    camera.wait_for_subscribers(timeout=60)
    shoot(camera, 0, monotonic_ns())
    wait_until(lambda: file.stat().st_size > 1000)
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=40)
    assert command.returncode == 130, said
    assert len(rows(file, "/cam0")) == 1


def test_a_file_without_a_picture_is_removed(domain: Place, tmp_path: Path) -> None:
    file = tmp_path / "a.rrd"
    view = RerunView(["cam0"], file)
    assert file.exists()
    view.stop()
    view.run()
    assert not file.exists()


def test_packets_that_exist_are_in_the_file_as_they_are(domain: Place, tmp_path: Path) -> None:
    file = tmp_path / "a.rrd"
    with PacketPublisher("cam0", "h264", 64, 48) as publisher:
        view = RerunView(["cam0"], file)
        thread = threading.Thread(target=view.run)
        thread.start()
        publisher.wait_for_subscribers(timeout=60)
        encoder = Encoder(publisher, gop=4)
        encoder.publish(1)
        wait_until(lambda: view.report().streams[0].logged == 1)
        encoder.publish(7)
        publisher.end_of_stream()
        thread.join(60)
    (stream,) = view.report().streams
    assert (stream.what, stream.logged, stream.behind) == ("packets of cam0@h264", 8, 0)
    found = [bytes(row["VideoStream:sample"][0]) for row in rows(file, "/cam0")]
    assert found == [unit(number, is_keyframe=number % 4 == 0) for number in range(8)]
    codecs = [
        chunk.to_record_batch().to_pylist()[0]["VideoStream:codec"]
        for chunk in RrdReader(str(file)).stream().to_chunks()
        if chunk.entity_path == "/cam0" and chunk.is_static
    ]
    assert codecs == [[int.from_bytes(b"avc1", "big")]]


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[Viewer]:
    there = Viewer(tmp_path / "received.rrd")
    yield there
    there.close()


@pytest.mark.filterwarnings("ignore:RRD file has no footer")
def test_a_viewer_that_runs_receives_the_streams(camera: VideoFramePublisher, viewer: Viewer) -> None:
    view = RerunView(["cam0"], RerunViewer(viewer.port), results=["yolo"])
    thread = threading.Thread(target=view.run)
    thread.start()
    begin = film_until_logged(camera, view)
    thread.join(60)
    viewer.close()
    check(viewer.file, begin)


def test_what_a_stopped_viewer_does_not_take_is_not_kept(domain: Place, viewer: Viewer) -> None:
    log = RerunLog(RerunViewer(viewer.port))
    log.jpeg(["a"], b"", None, 0)
    viewer.signal(signal.SIGSTOP)
    data, admitted = bytes(1 << 20), 0
    while admitted < 200 and log.admits(len(data)):
        log.jpeg(["a"], data, None, admitted)
        admitted += 1
    viewer.signal(signal.SIGCONT)
    # Zeros are not compressed, and 32 MiB are kept beside what fits into the buffers of the connection.
    assert 20 < admitted < 100
    wait_until(lambda: log.admits(len(data)))
    log.close()


def test_a_viewer_that_is_killed_is_told(camera: VideoFramePublisher, viewer: Viewer) -> None:
    view = RerunView(["cam0"], RerunViewer(viewer.port))
    errors: list[RerunError] = []

    def run() -> None:
        try:
            view.run()
        except RerunError as exc:
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    camera.wait_for_subscribers(timeout=60)
    viewer.signal(signal.SIGKILL)
    thread.join(60)
    assert "cannot be reached any more" in str(errors[0])


def film_until_logged(camera: VideoFramePublisher, view: RerunView) -> int:
    begins: list[int] = []
    filming = threading.Thread(target=lambda: begins.append(film(camera)))
    filming.start()
    wait_until(lambda: view.report().streams and view.report().streams[0].logged == COUNT)
    wait_until(lambda: view.report().streams[0].results["yolo"] == 4)
    view.stop()
    filming.join(60)
    return begins[0]


def test_a_full_disk_is_told(camera: VideoFramePublisher, iox2_video: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    assert shutil.which("mount")
    arguments = [*iox2_video.command, "view", "cam0", "--rerun-file", f"{folder}/a.rrd", "--quality", "100"]
    script = f'mount -t tmpfs -o size=500k tmpfs {folder} || exit 9; "$@"'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", *arguments],
        env=iox2_video.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    noise = np.random.default_rng(0)
    camera.wait_for_subscribers(timeout=60)
    while process.poll() is None:
        camera.publish(noise.integers(0, 256, (240, 320, 3), np.uint8), format="RGB")
        time.sleep(0.02)
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.returncode == 1, said
    assert f"Error: cannot write {folder}/a.rrd, whose disk has " in said


def test_a_viewer_that_disappears_is_told(domain: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        view = RerunView(["cam0"], RerunViewer(server.getsockname()[1]))
    with pytest.raises(RerunError, match="cannot be reached any more"):
        view.run()


def test_times_and_numbers_that_rerun_cannot_store_are_limited(domain: Place, tmp_path: Path) -> None:
    """Hostile frames ended the thread that logs their stream, without a message."""
    file = tmp_path / "a.rrd"
    log = RerunLog(file)
    log.jpeg(["cam0"], b"", 2**64 - 9, 2**64 - 9)
    log.close()
    (row,) = rows(file, "/cam0")
    assert row["capture_time"] == 2**63 - 1
    assert row.get("frame") is None
