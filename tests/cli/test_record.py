"""`iox2-video record`: a decoder opens the file, and the frames are compared with the published ones."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2._iox2.cleanup import clean_up_if_stale
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.record import Recorder
from gst_iceoryx2.video import Qos, VideoFramePublisher
from tests.cli.commands import COMMAND, Command
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
from tests.conftest import Place
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("file", "codec", "format"),
    [
        ("a.mkv", "x264", "NV12"),
        ("a.mp4", "x264", "BGR"),
        ("a.mov", "x264", "I420"),
        ("a.mov", "prores", "BGR"),
        ("a.mkv", "prores", "I420"),
        ("a.mkv", "ffv1", "NV12"),
        ("a.mkv", "ffv1", "BGR"),
    ],
)
def test_every_frame_is_in_the_file_with_its_picture_and_its_time(
    record: Record, tmp_path: Path, file: str, codec: str, format: str
) -> None:
    with publisher(framerate=25) as sender:
        command = record("cam0", file, "--codec", codec)
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(40):
            send(sender, number, 7_000 * MS + number * 40 * MS, format)
        sender.end_of_stream()
        said = command.ends(0)
    assert f"cam0: 320x240 {format}, 40 frames, 1.6 s, 0 dropped" in said
    frames = decoded(tmp_path / file)
    assert times(frames) == [number * 40.0 for number in range(40)]
    for number, frame in enumerate(frames):
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        check_picture(frame, number)


@pytest.mark.parametrize(("file", "tick"), [("a.mp4", 1_000), ("a.mov", 1_000), ("a.mkv", MS)])
def test_a_variable_rate_survives_as_finely_as_the_container_counts(
    record: Record, tmp_path: Path, file: str, tick: int
) -> None:
    moments = [0, 16_683_350, 20_000_000, 145_111_000, 145_900_000, 2_000_000_000, 2_001_001_001]
    with publisher(framerate=0) as sender:
        command = record("cam0", file)
        sender.wait_for_subscribers(1, timeout=60)
        for number, moment in enumerate(moments):
            send(sender, number, 5_000 * MS + moment)
        sender.end_of_stream()
        command.ends(0)
    with av.open(str(tmp_path / file)) as container:
        stream = container.streams.video[0]
        found = [int(frame.pts * stream.time_base * 1_000_000_000) for frame in container.decode(stream)]
    assert [abs(one - other) <= tick for one, other in zip(found, moments, strict=True)] == [True] * len(moments)


def test_frames_without_pts_keep_the_moments_of_capture(record: Record, tmp_path: Path) -> None:
    moments = [0, 30 * MS, 75 * MS, 400 * MS]
    with publisher() as sender:
        command = record("cam0", "a.mp4")
        sender.wait_for_subscribers(1, timeout=60)
        for moment in moments:
            sender.publish(np.zeros((HEIGHT, WIDTH, 3), np.uint8), captured_at=900_000 * MS + moment)
        sender.end_of_stream()
        command.ends(0)
    assert times(decoded(tmp_path / "a.mp4")) == [0, 30, 75, 400]


def test_a_publisher_that_starts_again_with_pts_from_zero_goes_on_in_the_file(domain: Place, tmp_path: Path) -> None:
    recorder = Recorder(["cam0"], tmp_path / "a.mkv", frames=8, timeout=60)
    with running(recorder):
        for count in (4, 8):
            with publisher() as sender:
                sender.wait_for_subscribers(1, timeout=60)
                for number in range(4):
                    send(sender, number, number * 40 * MS)
                wait_for_frames(recorder, count)
    found = times(decoded(tmp_path / "a.mkv"))
    assert len(found) == 8
    assert found == sorted(set(found))
    assert found[3] == 120
    assert found[7] - found[4] == 120


def test_several_streams_become_tracks_of_one_file(record: Record, tmp_path: Path) -> None:
    with publisher("left") as left, publisher("right") as right:
        command = record("left", "right", "both.mkv", "--frames", "10")
        for sender in (left, right):
            sender.wait_for_subscribers(1, timeout=60)
        keep_sending(command, left, right, sizes=((320, 240), (160, 120)))
        said = command.ends(0)
    assert "left: 320x240 BGR, 10 frames" in said
    assert "right: 160x120 BGR, 10 frames" in said
    tracks = [decoded(tmp_path / "both.mkv", track) for track in (0, 1)]
    assert [(len(track), track[0].width, track[0].height) for track in tracks] == [(10, 320, 240), (10, 160, 120)]
    # Both were sent at nearly the same time.
    assert abs(times(tracks[0])[0] - times(tracks[1])[0]) < 500
    with av.open(str(tmp_path / "both.mkv")) as container:
        assert [stream.metadata["title"] for stream in container.streams.video] == ["left", "right"]


def test_ctrl_c_leaves_a_file_that_plays(record: Record, tmp_path: Path) -> None:
    with publisher(framerate=10) as sender:
        command = record("cam0", "a.mp4", "--preset", "ultrafast")
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(100):
            send(sender, number, number * 100 * MS)
        wait_until(lambda: (tmp_path / "a.mp4").stat().st_size > 10_000)
        command.interrupt()
        said = command.ends(130)
    frames = decoded(tmp_path / "a.mp4")
    assert 10 < len(frames) <= 100
    assert f"{len(frames)} frames" in said
    check_picture(frames[-1], len(frames) - 1)


def test_a_service_manager_ends_it_with_success(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv")
        sender.wait_for_subscribers(1, timeout=60)
        send(sender, 0, 0)
        wait_until(lambda: (tmp_path / "a.mkv").stat().st_size > 0)
        command.interrupt(signal.SIGTERM)
        command.ends(0)
    assert len(decoded(tmp_path / "a.mkv")) == 1


@pytest.mark.parametrize("file", ["a.mkv", "a.mp4"])
def test_what_was_written_before_a_kill_plays(record: Record, tmp_path: Path, file: str) -> None:
    with publisher(framerate=10) as sender:
        command = record("cam0", file, "--preset", "ultrafast")
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(100):
            send(sender, number, number * 100 * MS)
        wait_until(lambda: (tmp_path / file).stat().st_size > 10_000)
        command.process.kill()
        command.process.wait(60)
    clean_up_if_stale(current_domain())
    frames = decoded(tmp_path / file)
    assert len(frames) > 10
    check_picture(frames[5], 5)


def test_a_publisher_that_stops_in_the_middle_is_told_and_the_file_plays(domain: Place, tmp_path: Path) -> None:
    with publisher() as sender:
        recorder = Recorder(["cam0"], tmp_path / "a.mp4", timeout=1.5)
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(12):
            send(sender, number, number * 40 * MS)
        done = recorder.run()
    assert done.complaints == ("cam0 did not end its stream, but sent no frame for 1.5 s",)
    assert len(decoded(tmp_path / "a.mp4")) == 12


def test_frames_that_wait_are_recorded_although_the_time_is_up(domain: Place, tmp_path: Path) -> None:
    """Regression: a recorder that did not run for five seconds said that no frame had come, although frames waited."""
    with publisher() as sender:
        recorder = Recorder(["cam0"], tmp_path / "a.mkv", timeout=0)
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(3):
            send(sender, number, number * 40 * MS)
        sender.end_of_stream()
        done = recorder.run()
    assert [(track.frames, track.end) for track in done.tracks] == [(3, "end of stream")]


def test_the_number_of_frames_and_the_duration_end_it(record: Record, tmp_path: Path) -> None:
    for arguments, expected in ((["--frames", "7"], 7), (["--duration", "0.4"], 10)):
        with publisher() as sender:
            command = record("cam0", "a.mkv", "--overwrite", *arguments)
            sender.wait_for_subscribers(1, timeout=60)
            with stopped(command):
                for number in range(30):
                    send(sender, number, number * 40 * MS)
            command.ends(0)
        assert len(decoded(tmp_path / "a.mkv")) == expected


def test_a_terminal_shows_how_far_it_is_in_one_line(record: Record, tmp_path: Path) -> None:
    """`script` gives the command a terminal, and copies its output to stdout."""
    if shutil.which("script") is None:
        pytest.skip("there is no script (Debian: bsdutils)")
    with publisher() as sender:
        command = Command(
            tmp_path, prefix=("script", "-qfec", f"{COMMAND} record cam0 a.mkv --frames 40 --timeout 60", "/dev/null")
        )
        try:
            sender.wait_for_subscribers(1, timeout=60)
            keep_sending(command, sender)
            command.ends(0)
        finally:
            command.close()
    drawn = command.out
    assert re.search(r"\r00:00:0\d\.\d  \d+ frames  [\d.]+ k?B  0 dropped\x1b\[K", drawn)
    assert "\r\x1b[Kcam0: 320x240 BGR, 40 frames" in drawn
    assert len(decoded(tmp_path / "a.mkv")) == 40


def test_max_fps_leaves_frames_out_evenly(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv", "--max-fps", "10")
        sender.wait_for_subscribers(1, timeout=60)
        for number in range(41):
            send(sender, number, number * 25 * MS)
        sender.end_of_stream()
        said = command.ends(0)
    assert times(decoded(tmp_path / "a.mkv")) == [number * 100.0 for number in range(11)]
    assert "30 skipped by --max-fps" in said


def test_frames_that_do_not_fit_the_buffer_are_counted(record: Record, tmp_path: Path) -> None:
    with VideoFramePublisher("video/cam0/frame/v2", qos=Qos(buffer_size=2)) as sender:
        command = record("cam0", "a.mkv", "--preset", "veryslow")
        sender.wait_for_subscribers(1, timeout=60)
        send(sender, 0, 0, size=(1280, 720))
        # Frames before the start of the recording are not counted.
        wait_until(lambda: (tmp_path / "a.mkv").stat().st_size > 0)
        for number in range(1, 60):
            send(sender, number, number * 40 * MS, size=(1280, 720))
        sender.end_of_stream()
        said = command.ends(0)
    match = re.search(r"(\d+) frames, .* (\d+) dropped", said)
    assert match is not None, said
    assert int(match[1]) == len(decoded(tmp_path / "a.mkv"))
    assert int(match[1]) + int(match[2]) == 60


def test_another_thread_stops_a_recorder(domain: Place, tmp_path: Path) -> None:
    with publisher() as sender:
        recorder = Recorder(["cam0"], tmp_path / "a.mkv", timeout=60)
        with running(recorder) as results:
            sender.wait_for_subscribers(1, timeout=60)
            send(sender, 0, 0)
            wait_for_frames(recorder, 1)
            recorder.stop()
    (recording,) = results
    assert [(track.frames, track.end) for track in recording.tracks] == [(1, "stopped")]
    assert recording.complaints == ()
    assert recording.size == (tmp_path / "a.mkv").stat().st_size
