"""`iox2-video record --sync`: every track gets one frame of each set, with the same time."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2 import cli
from gst_iceoryx2.cli.record import _summary
from gst_iceoryx2.errors import FormatError, FrameTimeoutError
from gst_iceoryx2.record import Recorder, Recording, TargetError
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.cli.recordings import MS, Record, decoded, level, publisher, times
from tests.conftest import Place
from tests.waiting import arrived, wait_until

WAIT = 60


class Stereo:
    """Two cameras whose capture times the test chooses, in milliseconds."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.cameras = {name: publisher(name, **settings) for name in ("left", "right")}

    def await_reader(self) -> None:
        for camera in self.cameras.values():
            camera.wait_for_subscribers(1, timeout=WAIT)

    def shoot(self, name: str, number: int, captured: float, side: int = 64) -> None:
        picture = np.full((side, side, 3), level(number), np.uint8)
        self.cameras[name].publish(picture, format="BGR", captured_at=round(captured * MS))

    def shoot_both(self, numbers: range, skew: float = 2) -> None:
        for number in numbers:
            self.shoot("left", number, 1000 + 40 * number)
            self.shoot("right", number, 1000 + 40 * number + skew)

    def restart(self, name: str) -> None:
        self.cameras[name].close()
        self.cameras[name] = publisher(name, **self.settings)
        self.cameras[name].wait_for_subscribers(1, timeout=WAIT)

    def end(self) -> None:
        for camera in self.cameras.values():
            camera.end_of_stream()

    def close(self) -> None:
        for camera in self.cameras.values():
            camera.close()


class Running:
    """A recorder that runs in a thread, once it is started or asked for its result.

    Its limits of time begin then. What was sent before is waiting for it, so a test may be slow.
    """

    def __init__(self, stereo: Stereo, file: Path, **settings: Any) -> None:
        self.recorder = Recorder(["left", "right"], file, **({"sync": 0.005, "timeout": WAIT} | settings))
        self._done: Recording | BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        stereo.await_reader()

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            self._done = self.recorder.run()
        except BaseException as exc:
            self._done = exc

    @property
    def is_recording(self) -> bool:
        return self._thread.is_alive()

    def wait_for(self, sets: int) -> None:
        wait_until(lambda: arrived(self.recorder.report().sets).recorded >= sets)

    def done(self) -> Recording:
        if self._thread.ident is None:
            self.start()
        self._thread.join(WAIT)
        if isinstance(self._done, BaseException):
            raise self._done
        return arrived(self._done)


@pytest.fixture
def stereo(domain: Place) -> Iterator[Stereo]:
    there = Stereo()
    yield there
    there.close()


def shown(file: Path, track: int) -> list[tuple[float, int]]:
    """Return the time in milliseconds and the gray of each frame of a track."""
    frames = decoded(file, track)
    grays = [round(float(frame.to_ndarray(format="gray").mean())) for frame in frames]
    return list(zip(times(frames), grays, strict=True))


def counts(recording: Recording) -> list[tuple[int, int, int, int]]:
    return [(track.frames, track.unmatched, track.absent, track.unordered) for track in recording.tracks]


@pytest.mark.parametrize("file", ["pairs.mkv", "pairs.mp4"])
def test_each_track_has_one_frame_of_each_set_with_the_same_time(record: Record, tmp_path: Path, file: str) -> None:
    stereo = Stereo()
    try:
        command = record("left", "right", file, "--sync", "5ms")
        stereo.await_reader()
        for number in range(30):
            moment = 1000 + 40 * number
            if number % 10 != 3:
                stereo.shoot("left", number, moment)
            if number % 10 != 7:
                stereo.shoot("right", number, moment + 2)
        stereo.end()
        said = command.ends(0)
    finally:
        stereo.close()
    tracks = [shown(tmp_path / file, track) for track in (0, 1)]
    numbers = [number for number in range(30) if number % 10 not in (3, 7)]
    assert [time for time, _ in tracks[0]] == [40.0 * number for number in numbers]
    assert [time for time, _ in tracks[1]] == [time for time, _ in tracks[0]]
    for track in tracks:
        assert [abs(gray - level(number)) < 6 for (_, gray), number in zip(track, numbers, strict=True)] == [True] * 24
    assert "24 sets, at most 2.0 ms apart (limit 5.0 ms)" in said
    assert "left: 64x64 BGR, 24 frames, 1.2 s, 0 dropped" in said
    for name in ("left", "right"):
        assert f"{name}: 3 frames left out: 3 without a partner within 5.0 ms" in said


def test_without_a_tolerance_only_equal_capture_times_are_a_set(stereo: Stereo, tmp_path: Path) -> None:
    running = Running(stereo, tmp_path / "a.mkv", sync=0)
    for number in range(6):
        stereo.shoot("left", number, 1000 + 40 * number)
        stereo.shoot("right", number, 1000 + 40 * number + number % 2)
    stereo.end()
    recording = running.done()
    assert [track.frames for track in recording.tracks] == [3, 3]
    assert arrived(recording.sets).skew == 0
    assert [time for time, _ in shown(tmp_path / "a.mkv", 1)] == [0, 80, 160]


def test_a_tolerance_beyond_the_frame_interval_gives_the_nearest_frames_and_a_warning(
    domain: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stereo = Stereo(framerate=25)
    running = Running(stereo, tmp_path / "a.mkv", sync=0.09)
    stereo.shoot_both(range(20), skew=3)
    stereo.end()
    recording = running.done()
    stereo.close()
    assert [track.frames for track in recording.tracks] == [20, 20]
    assert arrived(recording.sets).skew == 0.003
    assert "--sync 90 ms is more than half of a frame interval (20 ms)" in caplog.text


@pytest.mark.parametrize(
    ("settings", "sets"), [({"frames": 7}, 7), ({"duration": 0.4}, 10), ({"max_fps": 12.5, "frames": 10}, 10)]
)
def test_limits_count_sets(stereo: Stereo, tmp_path: Path, settings: dict[str, Any], sets: int) -> None:
    running = Running(stereo, tmp_path / "a.mkv", **settings)
    stereo.shoot_both(range(40))
    recording = running.done()
    assert [(track.frames, track.end) for track in recording.tracks] == [(sets, "limit")] * 2
    step = 80.0 if "max_fps" in settings else 40.0
    for track in (0, 1):
        assert [time for time, _ in shown(tmp_path / "a.mkv", track)] == [step * number for number in range(sets)]


def test_a_camera_that_dies_ends_it_and_is_told(stereo: Stereo, tmp_path: Path) -> None:
    running = Running(stereo, tmp_path / "a.mkv", timeout=2)
    stereo.shoot_both(range(12))
    running.start()
    running.wait_for(12)
    stereo.cameras["right"].close()
    pauses, number = [time.monotonic()], 12
    while running.is_recording:
        stereo.shoot("left", number, 1000 + 40 * number)
        number += 1
        time.sleep(0.04)
        pauses.append(time.monotonic())
    recording = running.done()
    # On a busy machine, this process may be silent for a second as well.
    is_left_quiet = max(later - earlier for earlier, later in pairwise(pauses)) > 0.5
    silent = "(left and )?right" if is_left_quiet else "right"
    (complaint,) = recording.complaints
    assert re.fullmatch(
        f"left and right gave no set for 2 s, because {silent} sent no frame, but did not end", complaint
    )
    assert [track.frames for track in recording.tracks] == [12, 12]
    assert any("while another stream was silent or late, or had ended" in line for line in _summary(recording))
    assert len(decoded(tmp_path / "a.mkv", 0)) == len(decoded(tmp_path / "a.mkv", 1)) == 12


def test_a_camera_that_comes_back_with_another_size_and_earlier_times_goes_on(stereo: Stereo, tmp_path: Path) -> None:
    running = Running(stereo, tmp_path / "a.mkv", frames=10)
    running.start()
    stereo.shoot_both(range(5), skew=0)
    running.wait_for(5)
    for name in ("left", "right"):
        stereo.restart(name)
    # Frames of the first camera to come back may find no partner.
    for number in range(20):
        stereo.shoot("left", number, 40 * number)
        stereo.shoot("right", number, 40 * number, side=32)
    recording = running.done()
    assert [(track.frames, track.resized) for track in recording.tracks] == [(10, False), (10, True)]
    found = [[time for time, _ in shown(tmp_path / "a.mkv", track)] for track in (0, 1)]
    assert found[0] == found[1]
    assert found[0] == sorted(set(found[0]))
    assert found[0][9] - found[0][6] == pytest.approx(120)


def test_a_lossless_track_that_changes_ends_all_tracks_with_the_same_set(stereo: Stereo, tmp_path: Path) -> None:
    running = Running(stereo, tmp_path / "a.mkv", codec="ffv1")
    stereo.shoot_both(range(5), skew=0)
    stereo.shoot("left", 5, 1200)
    stereo.shoot("right", 5, 1200, side=32)
    recording = running.done()
    assert [(track.frames, track.end) for track in recording.tracks] == [(5, "changed")] * 2
    assert "changed from 64x64 BGR to 32x32 BGR" in recording.complaints[0]
    assert len(decoded(tmp_path / "a.mkv", 0)) == len(decoded(tmp_path / "a.mkv", 1)) == 5


def test_times_that_go_backwards_are_counted_and_not_recorded(stereo: Stereo, tmp_path: Path) -> None:
    running = Running(stereo, tmp_path / "a.mkv")
    stereo.shoot_both(range(4))
    stereo.shoot("right", 9, 1050)
    stereo.shoot_both(range(4, 8))
    stereo.end()
    assert counts(running.done()) == [(8, 0, 0, 0), (8, 0, 0, 1)]


def test_frames_that_are_too_far_apart_are_told_with_the_distance(stereo: Stereo, tmp_path: Path) -> None:
    running = Running(stereo, tmp_path / "a.mkv", timeout=1)
    stereo.shoot_both(range(10), skew=12)
    with pytest.raises(FrameTimeoutError, match=r"no set of left and right .* within 5 ms .* the nearest were 12 ms"):
        running.done()
    assert not (tmp_path / "a.mkv").exists()


def test_a_camera_that_sends_nothing_is_named(stereo: Stereo, tmp_path: Path) -> None:
    running = Running(stereo, tmp_path / "a.mkv", timeout=1)
    stereo.shoot("left", 0, 1000)
    with pytest.raises(FrameTimeoutError, match=r"^no frame from right arrived within 1 s"):
        running.done()


def test_frames_without_capture_times_are_refused(domain: Place, tmp_path: Path) -> None:
    stereo = Stereo(aux_bytes=0)
    running = Running(stereo, tmp_path / "a.mkv")
    stereo.shoot_both(range(2))
    with pytest.raises(FormatError, match="'video/left/frame/v2': they have no capture times"):
        running.done()
    stereo.close()
    assert not (tmp_path / "a.mkv").exists()


def test_the_log_of_results_has_the_capture_time_of_each_frame(stereo: Stereo, tmp_path: Path) -> None:
    with ResultsPublisher("right", "yolo") as out, VideoFrameSubscriber("video/right/frame/v2") as subscriber:
        running = Running(stereo, tmp_path / "a.mkv", results=["yolo"])
        for number in range(3):
            stereo.shoot("left", number, 1000 + 40 * number)
            stereo.shoot("right", number, 1001 + 40 * number)
            with arrived(subscriber.receive_blocking(WAIT * 1000)) as frame:
                out.publish(FrameKey.of(frame), [Box("cup", 0.5, 1, 2, 3, 4)])
        stereo.end()
        running.done()
    lines = [json.loads(line) for line in (tmp_path / "a.right.yolo.jsonl").read_text().splitlines()]
    assert [line["captured_at"] for line in lines] == [(1001 + 40 * number) * MS for number in range(3)]
    assert [line["time"] for line in lines] == [0, 0.04, 0.08]
    assert [line["results"]["boxes"][0]["label"] for line in lines] == ["cup"] * 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("left", "a.mkv", "--sync", "5ms"), "--sync needs at least 2 streams, but there is 1"),
        (("left", "right", "left", "a.mkv", "--sync", "5ms"), "needs different streams, but left is named twice"),
        (("left", "right@h264", "a.mkv", "--sync", "5ms"), "right@h264 is a stream of packets; record right"),
        (("left", "right", "a.mkv", "--sync", "5ms", "--copy"), "--copy records packets; leave out --copy or --sync"),
        (("left", "right", "a.mkv", "--sync", "0.02min"), "--sync is 1.2 s, but must be from 0 s to 1 s"),
        (("left", "right", "a.mkv", "--sync", "5 frames"), "must be a time such as"),
        (("left", "right", "a.mkv", "--sync", "nan"), "must be a time such as"),
        (("left", "right", "a.mkv", "--sync", "-5ms"), "must be a time such as"),
    ],
)
def test_what_cannot_be_matched_is_refused(domain: Place, arguments: Any, error: str) -> None:
    done = CliRunner().invoke(cli.main, ["record", *arguments])
    assert done.exit_code == 2
    assert error in done.stderr
    assert not Path("a.mkv").exists()


def test_the_sdk_refuses_copies_of_packets_as_well(domain: Place, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="--copy"):
        Recorder(["left", "right"], tmp_path / "a.mkv", sync=0.005, copy=True)
    with pytest.raises(TypeError, match="sync"):
        Recorder(["left", "right"], tmp_path / "a.mkv", sync="5ms")  # type: ignore[arg-type]


def test_a_stream_that_has_ended_may_begin_again_before_the_first_set(stereo: Stereo, tmp_path: Path) -> None:
    stereo.end()
    running = Running(stereo, tmp_path / "a.mkv", frames=3)
    running.start()
    numbers = iter(range(10_000))

    def began() -> bool:
        number = next(numbers)
        stereo.shoot_both(range(number, number + 1))
        return arrived(running.recorder.report().sets).recorded > 0

    wait_until(began, WAIT)
    stereo.shoot_both(range(20_000, 20_005))
    assert [track.frames for track in running.done().tracks] == [3, 3]
