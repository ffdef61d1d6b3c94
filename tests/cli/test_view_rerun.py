"""`iox2-video view --rerun`: what is logged, at which time, and what happens without a viewer."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gst_iceoryx2 import cli, jpeg
from gst_iceoryx2._wire.rendition import RenditionShape
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.rerun.streams import RerunBoxes, RerunPackets, RerunPictures
from gst_iceoryx2.rerun.viewer import RerunError, RerunViewer
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from gst_iceoryx2.video.rendition import rendition_meta
from tests.conftest import Place
from tests.packets.units import Encoder, unit
from tests.waiting import arrived, wait_until

SOURCE = "video/cam0/frame/v2"
MS = 1_000_000
START = 1_000_000 * MS


class Log:
    """Stands for a `RerunLog`: keeps what is logged, and admits pictures or not."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.is_behind = False

    def admits(self, size: int) -> bool:
        return not self.is_behind

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))

    def wait_for(self, count: int) -> list[tuple[Any, ...]]:
        wait_until(lambda: len(self.calls) >= count)
        return self.calls


@pytest.fixture
def log() -> Any:
    return Log()


@pytest.fixture
def camera(domain: Place) -> Iterator[VideoFramePublisher]:
    with VideoFramePublisher(SOURCE) as publisher:
        yield publisher


def shoot(camera: VideoFramePublisher, number: int, **settings: Any) -> None:
    picture = np.full((48, 64, 3), 40 + 10 * number, np.uint8)
    camera.publish(picture, format="RGB", captured_at=START + number * 40 * MS, **settings)


def boxes_of(log: Log) -> list[tuple[Any, ...]]:
    return [call for call in log.calls if call[0] == "boxes"]


def test_pictures_have_the_capture_time_and_the_number_of_their_frame(camera: VideoFramePublisher, log: Any) -> None:
    stream = RerunPictures(SOURCE, log, max_fps=60, quality=90)
    camera.wait_for_subscribers(timeout=60)
    for number in range(3):
        shoot(camera, number)
    found = log.wait_for(3)
    stream.close()
    assert [(call[0], call[1], call[3], call[4]) for call in found] == [
        ("jpeg", ["cam0"], START + number * 40 * MS, number) for number in range(3)
    ]
    for number, call in enumerate(found):
        assert abs(jpeg.decode(call[2]).astype(int) - (40 + 10 * number)).max() < 4
    assert stream.logged == 3


def test_pictures_that_a_slow_viewer_cannot_take_are_counted(camera: VideoFramePublisher, log: Any) -> None:
    log.is_behind = True
    stream = RerunPictures(SOURCE, log, max_fps=60, quality=90)
    camera.wait_for_subscribers(timeout=60)
    shoot(camera, 0)
    wait_until(lambda: stream.behind == 1)
    log.is_behind = False
    shoot(camera, 1)
    assert [call[4] for call in log.wait_for(1)] == [1]
    stream.close()


def test_pictures_beyond_the_maximum_rate_are_left_out(camera: VideoFramePublisher, log: Any) -> None:
    stream = RerunPictures(SOURCE, log, max_fps=12.5, quality=90)
    camera.wait_for_subscribers(timeout=60)
    for number in range(5):
        shoot(camera, number)
    assert [call[4] for call in log.wait_for(3)] == [0, 2, 4]
    assert stream.skipped == 2
    stream.close()


def test_boxes_have_the_time_and_the_number_of_the_frame_in_which_they_were_found(
    camera: VideoFramePublisher, log: Any
) -> None:
    stream = RerunPictures(SOURCE, log, max_fps=60, quality=90)
    boxes = RerunBoxes(stream, SOURCE, "yolo", log)
    with ResultsPublisher("cam0", "yolo") as out, VideoFrameSubscriber(SOURCE) as subscriber:
        out.wait_for_subscribers(timeout=60)
        shoot(camera, 0)
        shoot(camera, 1)
        arrived(subscriber.receive_blocking(60_000)).release()
        with arrived(subscriber.receive_blocking(60_000)) as frame:
            key = FrameKey.of(frame)
        out.publish(
            key, [Box("cat", 0.5, 1, 2, 30, 20, track=7), Box(None, 0.25, 0, 0, 4, 4), Box("cat", 1, 5, 5, 5, 5)]
        )
        out.publish(key)
        wait_until(lambda: len(boxes_of(log)) == 2)
    boxes.close()
    stream.close()
    (_, path, xywh, labels, classes, captured, number), empty = boxes_of(log)
    assert path == ["cam0", "yolo"]
    assert xywh.tolist() == [[1, 2, 30, 20], [0, 0, 4, 4], [5, 5, 5, 5]]
    assert labels == ["cat 0.50 #7", "object 0.25", "cat 1.00"]
    assert classes == [0, 1, 0]
    assert (captured, number) == (START + 40 * MS, 1)
    # The viewer shows boxes until the next ones, so a frame in which nothing was found must remove them.
    assert empty[2].shape == (0, 4)
    assert empty[3] == []


def test_boxes_on_a_rendition_are_in_its_pixels(camera: VideoFramePublisher, log: Any) -> None:
    """The rendition is half as large, and has black bars of 8 rows above and below."""
    name = "video/cam0@32x40/frame/v2"
    with VideoFrameSubscriber(SOURCE) as subscriber, VideoFramePublisher(name) as rendition:
        shoot(camera, 0)
        with arrived(subscriber.receive_blocking(60_000)) as frame:
            key = FrameKey.of(frame)
            meta = rendition_meta(frame, SOURCE, RenditionShape(32, 40, "RGB", None, (0, 0, 64, 48), (0, 8, 32, 24)))
        stream = RerunPictures(name, log, max_fps=60, quality=90)
        rendition.wait_for_subscribers(timeout=60)
        rendition.publish(np.zeros((40, 32, 3), np.uint8), format="RGB", metas=[meta])
        assert log.wait_for(1)[0][3:] == (START, 0)
        boxes = RerunBoxes(stream, name, "yolo", log)
        with ResultsPublisher("cam0", "yolo") as out:
            out.wait_for_subscribers(timeout=60)
            out.publish(key, [Box("cat", 0.5, 10, 20, 30, 20)])
            wait_until(lambda: boxes_of(log))
        boxes.close()
        stream.close()
    assert boxes_of(log)[0][1:3] == (["cam0@32x40", "yolo"], pytest.approx(np.array([[5, 18, 15, 10]])))


def packets(log: Log) -> list[tuple[Any, ...]]:
    return [call for call in log.calls if call[0] != "codec"]


def test_packets_are_logged_as_they_are_from_a_keyframe_on(domain: Place, log: Any) -> None:
    with PacketPublisher("cam0", "h264", 64, 48) as publisher:
        stream = RerunPackets(SOURCE, "h264", log)
        publisher.wait_for_subscribers(timeout=60)
        encoder = Encoder(publisher, gop=4)
        # A subscriber starts at the newest keyframe that it finds when it connects.
        encoder.publish(1)
        wait_until(lambda: stream.logged == 1)
        encoder.publish(5)
        wait_until(lambda: stream.logged == 6)
        log.is_behind = True
        encoder.publish(1)
        wait_until(lambda: stream.behind == 1)
        log.is_behind = False
        encoder.publish(3)
        wait_until(lambda: stream.logged + stream.behind == 10)
        stream.close()
    assert log.calls[0] == ("codec", ["cam0"], "h264")
    # Number 6 came while the viewer was too slow, and number 7 depends on it.
    assert packets(log) == [
        ("packet", ["cam0"], unit(number, is_keyframe=number % 4 == 0), number * 10 * MS, None)
        for number in [*range(6), 8, 9]
    ]
    assert not stream.has_b_frames


def test_a_video_of_another_size_continues_in_another_entity(domain: Place, log: Any) -> None:
    stream = RerunPackets(SOURCE, "h264", log)
    for width in (64, 32):
        with PacketPublisher("cam0", "h264", width, 48) as publisher:
            publisher.wait_for_subscribers(timeout=60)
            Encoder(publisher, gop=1).publish(1)
            wait_until(lambda width=width: stream.logged == (1 if width == 64 else 2))
    stream.close()
    path = ["cam0", "32x48 (2)"]
    assert [call[:2] for call in log.calls] == [
        ("codec", ["cam0"]),
        ("packet", ["cam0"]),
        ("clear", ["cam0"]),
        ("codec", path),
        ("packet", path),
    ]


def test_packets_that_are_not_in_the_order_of_their_frames_are_noticed(domain: Place, log: Any) -> None:
    with PacketPublisher("cam0", "h264", 64, 48) as publisher:
        stream = RerunPackets(SOURCE, "h264", log)
        publisher.wait_for_subscribers(timeout=60)
        for number in (0, 3, 1, 2):
            data = unit(number, is_keyframe=number == 0)
            publisher.publish(data, is_keyframe=number == 0, captured_at=START + number)
        wait_until(lambda: stream.has_b_frames)
        stream.close()


# -- the viewer --------------------------------------------------------------------------------------------------------


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":77")


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def program(folder: Path, text: str) -> str:
    file = folder / "viewer"
    file.write_text(f"#!{sys.executable}\nimport os, socket, sys, time\n{text}\n")
    file.chmod(0o755)
    return str(file)


LISTEN = "server = socket.create_server(('127.0.0.1', int(sys.argv[sys.argv.index('--port') + 1])))\n"


def test_a_viewer_that_runs_is_used_until_it_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        viewer = RerunViewer(server.getsockname()[1])
        assert not viewer.is_ours
        assert viewer.is_open()
    with pytest.raises(RerunError, match=f"port {viewer.port} cannot be reached any more"):
        viewer.is_open()
    viewer.close()


def test_a_viewer_is_started_on_the_loopback_interface_and_stays(tmp_path: Path, port: int, display: None) -> None:
    text = LISTEN + f"open({str(tmp_path / 'said')!r}, 'w').write(f'{{os.getpid()}} ' + ' '.join(sys.argv[1:]))"
    command = program(tmp_path, text + f"\nwhile not os.path.exists({str(tmp_path / 'close')!r}): time.sleep(0.01)")
    viewer = RerunViewer(port, command)
    assert viewer.is_ours
    assert viewer.is_open()
    wait_until((tmp_path / "said").exists)
    wait_until(lambda: (tmp_path / "said").read_text())
    pid, *arguments = (tmp_path / "said").read_text().split()
    assert arguments == ["--port", str(port), "--bind", "127.0.0.1", "--hide-welcome-screen"]
    assert os.getsid(int(pid)) == int(pid)
    # Its user closes it.
    (tmp_path / "close").touch()
    wait_until(lambda: not viewer.is_open())
    viewer.close()


def test_a_viewer_that_fails_is_told_with_its_last_words(tmp_path: Path, port: int, display: None) -> None:
    command = program(tmp_path, "sys.exit('starting\\nno \\x1bgraphics')")
    with pytest.raises(RerunError, match=r"the Rerun viewer failed with exit code 1: no \\x1bgraphics"):
        RerunViewer(port, command)
    with pytest.raises(RerunError, match=r"viewer exited before it listened on port"):
        RerunViewer(port, program(tmp_path, "sys.exit(0)"))
    with pytest.raises(RerunError, match=r"cannot start the Rerun viewer /nowhere/rerun: No such file"):
        RerunViewer(port, "/nowhere/rerun")


def test_without_a_display_no_viewer_is_started(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RerunError, match=r"there is no display; run `rerun` .* `ssh -R 9876:127\.0\.0\.1:9876`"):
        RerunViewer(port, "/nowhere/rerun")


# -- the command -------------------------------------------------------------------------------------------------------


def test_streams_that_are_not_services_are_refused(domain: Place) -> None:
    """They were waited for indefinitely."""
    done = CliRunner().invoke(cli.main, ["view", "sh4lt:/tmp/x", "--rerun-file", "a.rrd"])
    assert done.exit_code == 2
    said = "--rerun-file shows services, not sh4lt:/tmp/x; first run `iox2-video bridge sh4lt:/tmp/x NAME`"
    assert said in done.stderr


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--rerun", "--rerun-file", "a.rrd"], "--rerun and --rerun-file cannot be combined"),
        (["--rerun", "--port", "8080"], "--port cannot be combined with --rerun"),
        (["--rerun-file", "a.rrd", "--snapshot", "a.png"], "--snapshot cannot be combined with --rerun-file"),
        (["--rerun-file", "a.mkv"], "--rerun-file must end in .rrd, but is 'a.mkv'"),
    ],
)
def test_options_that_do_not_fit_are_refused(domain: Place, options: list[str], error: str) -> None:
    done = CliRunner().invoke(cli.main, ["view", "cam0", *options])
    assert done.exit_code == 2
    assert error in done.stderr
