"""`iox2-video record`: the file is opened by a decoder and compared with what was published."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2._iox2.cleanup import clean_up_if_stale
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2._wire.samples import components
from gst_iceoryx2.cli import record as record_command
from gst_iceoryx2.record import CODECS, PRESETS, Recorder
from gst_iceoryx2.record.picture import picture_of
from gst_iceoryx2.video import FrameParams, Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.commands import COMMAND, Command
from tests.conftest import Place
from tests.pictures import noise, padded
from tests.pictures import planes as noise_planes
from tests.waiting import wait_until

Record = Callable[..., Command]

WIDTH, HEIGHT = 320, 240
MS = 1_000_000
# A buffer that holds all that a test sends: nothing depends on how fast this machine is.
ROOMY = Qos(buffer_size=120)


@pytest.fixture
def record(tmp_path: Path, domain: Place) -> Iterator[Record]:
    running: list[Command] = []

    def start(*arguments: str, prefix: tuple[str, ...] = ()) -> Command:
        running.append(Command(tmp_path, "record", *arguments, prefix=prefix))
        return running[-1]

    yield start
    for command in running:
        command.close()


def publisher(name: str = "cam0", **settings: Any) -> VideoFramePublisher:
    return VideoFramePublisher(f"video/{name}/frame/v2", qos=ROOMY, **settings)


def level(number: int) -> int:
    """Gray by which a frame can be told from its neighbours, also after a lossy codec."""
    return 40 + number * 37 % 160


def send(
    sender: VideoFramePublisher, number: int, pts: int, format: str = "BGR", size: tuple[int, int] | None = None
) -> None:
    """A picture whose left half is gray and tells its number; the right half is red above blue."""
    width, height = size or (WIDTH, HEIGHT)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, : width // 2] = level(number)
    picture[: height // 2, width // 2 :] = (200, 30, 30)
    picture[height // 2 :, width // 2 :] = (30, 30, 200)
    if format == "BGR":
        sender.publish(picture[..., ::-1], format="BGR", pts=pts)
        return
    converted = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format={"NV12": "nv12", "I420": "yuv420p"}[format]
    )
    with sender.loan(width, height, format) as frame:
        frame.pts = pts
        for target, plane in zip(frame.planes, converted.planes, strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            target[...] = rows[:, : target[0].size].reshape(target.shape)


def decoded(file: Path, track: int = 0) -> list[Any]:
    with av.open(str(file)) as container:
        return list(container.decode(video=track))


def times(frames: list[Any]) -> list[float]:
    return [round(float(frame.pts * frame.time_base) * 1000, 3) for frame in frames]


def check_picture(frame: Any, number: int) -> None:
    picture = frame.to_ndarray(format="rgb24").astype(int)
    height, width = picture.shape[:2]
    assert abs(picture[:, : width // 2 - 4] - level(number)).mean() < 6
    assert abs(picture[: height // 2 - 4, width // 2 + 4 :] - (200, 30, 30)).mean() < 8
    assert abs(picture[height // 2 + 4 :, width // 2 + 4 :] - (30, 30, 200)).mean() < 8


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
        sender.wait_for_subscribers(1, timeout=20)
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
        sender.wait_for_subscribers(1, timeout=20)
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
        sender.wait_for_subscribers(1, timeout=20)
        for moment in moments:
            sender.publish(np.zeros((HEIGHT, WIDTH, 3), np.uint8), captured_at=900_000 * MS + moment)
        sender.end_of_stream()
        command.ends(0)
    assert times(decoded(tmp_path / "a.mp4")) == [0, 30, 75, 400]


def test_a_publisher_that_starts_again_with_pts_from_zero_goes_on_in_the_file(record: Record, tmp_path: Path) -> None:
    command = record("cam0", "a.mkv", "--frames", "8", "--timeout", "20")
    for _ in range(2):
        with publisher() as sender:
            sender.wait_for_subscribers(1, timeout=20)
            for number in range(4):
                send(sender, number, number * 40 * MS)
    command.ends(0)
    found = times(decoded(tmp_path / "a.mkv"))
    assert len(found) == 8
    assert found == sorted(set(found))
    assert found[3] == 120
    assert found[7] - found[4] == 120


def keep_sending(
    command: Command, *senders: VideoFramePublisher, sizes: tuple[tuple[int, int], ...] = ((WIDTH, HEIGHT),)
) -> int:
    """Send to each, fifty times a second, until the command has ended; return how many."""
    number = 0
    while command.process.poll() is None:
        for sender, size in zip(senders, sizes, strict=True):
            send(sender, number, number * 20 * MS, size=size)
        number += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(0.02)
    return number


def test_several_streams_become_tracks_of_one_file(record: Record, tmp_path: Path) -> None:
    with publisher("left") as left, publisher("right") as right:
        command = record("left", "right", "both.mkv", "--frames", "10")
        for sender in (left, right):
            sender.wait_for_subscribers(1, timeout=20)
        keep_sending(command, left, right, sizes=((320, 240), (160, 120)))
        said = command.ends(0)
    assert "left: 320x240 BGR, 10 frames" in said
    assert "right: 160x120 BGR, 10 frames" in said
    tracks = [decoded(tmp_path / "both.mkv", track) for track in (0, 1)]
    assert [(len(track), track[0].width, track[0].height) for track in tracks] == [(10, 320, 240), (10, 160, 120)]
    # The two were sent at the same moments, but for what this process needs in between.
    assert abs(times(tracks[0])[0] - times(tracks[1])[0]) < 500
    with av.open(str(tmp_path / "both.mkv")) as container:
        assert [stream.metadata["title"] for stream in container.streams.video] == ["left", "right"]


def test_ctrl_c_leaves_a_file_that_plays(record: Record, tmp_path: Path) -> None:
    with publisher(framerate=10) as sender:
        command = record("cam0", "a.mp4", "--preset", "ultrafast")
        sender.wait_for_subscribers(1, timeout=20)
        for number in range(100):
            send(sender, number, number * 100 * MS)
        wait_until(lambda: (tmp_path / "a.mp4").stat().st_size > 10_000, 20)
        command.interrupt()
        said = command.ends(130)
    frames = decoded(tmp_path / "a.mp4")
    assert 10 < len(frames) <= 100
    assert f"{len(frames)} frames" in said
    check_picture(frames[-1], len(frames) - 1)


def test_a_service_manager_ends_it_with_success(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv")
        sender.wait_for_subscribers(1, timeout=20)
        send(sender, 0, 0)
        wait_until(lambda: (tmp_path / "a.mkv").stat().st_size > 0)
        command.interrupt(signal.SIGTERM)
        command.ends(0)
    assert len(decoded(tmp_path / "a.mkv")) == 1


@pytest.mark.parametrize("file", ["a.mkv", "a.mp4"])
def test_what_was_written_before_a_kill_plays(record: Record, tmp_path: Path, file: str) -> None:
    with publisher(framerate=10) as sender:
        command = record("cam0", file, "--preset", "ultrafast")
        sender.wait_for_subscribers(1, timeout=20)
        for number in range(100):
            send(sender, number, number * 100 * MS)
        wait_until(lambda: (tmp_path / file).stat().st_size > 10_000, 20)
        command.process.kill()
        command.process.wait(10)
    clean_up_if_stale(current_domain())
    frames = decoded(tmp_path / file)
    assert len(frames) > 10
    check_picture(frames[5], 5)


def test_a_publisher_that_stops_in_the_middle_is_told_and_the_file_plays(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mp4", "--timeout", "1.5")
        sender.wait_for_subscribers(1, timeout=20)
        for number in range(12):
            send(sender, number, number * 40 * MS)
        said = command.ends(1)
    assert "Error: cam0 stopped without an end of stream: nothing for 1.5 s. a.mp4 has everything up to then" in said
    assert len(decoded(tmp_path / "a.mp4")) == 12


def test_the_number_of_frames_and_the_duration_end_it(record: Record, tmp_path: Path) -> None:
    for arguments, expected in ((["--frames", "7"], 7), (["--duration", "0.4"], 10)):
        with publisher() as sender:
            command = record("cam0", "a.mkv", "--overwrite", *arguments)
            sender.wait_for_subscribers(1, timeout=20)
            for number in range(30):
                send(sender, number, number * 40 * MS)
            command.ends(0)
        assert len(decoded(tmp_path / "a.mkv")) == expected


def test_a_terminal_shows_how_far_it_is_in_one_line(record: Record, tmp_path: Path) -> None:
    """`script` gives the command a terminal; what it draws goes to its own stdout."""
    if shutil.which("script") is None:
        pytest.skip("there is no script (Debian: bsdutils)")
    with publisher() as sender:
        command = Command(tmp_path, prefix=("script", "-qfec", f"{COMMAND} record cam0 a.mkv --frames 40", "/dev/null"))
        try:
            sender.wait_for_subscribers(1, timeout=20)
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
        sender.wait_for_subscribers(1, timeout=20)
        for number in range(41):
            send(sender, number, number * 25 * MS)
        sender.end_of_stream()
        said = command.ends(0)
    assert times(decoded(tmp_path / "a.mkv")) == [number * 100.0 for number in range(11)]
    assert "30 left out" in said


def test_frames_that_do_not_fit_the_buffer_are_counted(record: Record, tmp_path: Path) -> None:
    with VideoFramePublisher("video/cam0/frame/v2", qos=Qos(buffer_size=2)) as sender:
        command = record("cam0", "a.mkv", "--preset", "veryslow")
        sender.wait_for_subscribers(1, timeout=20)
        for number in range(60):
            send(sender, number, number * 40 * MS, size=(1280, 720))
        sender.end_of_stream()
        said = command.ends(0)
    match = re.search(r"(\d+) frames, .* (\d+) dropped", said)
    assert match is not None, said
    assert int(match[1]) == len(decoded(tmp_path / "a.mkv"))
    # The first is not among them where it fell before the recording began.
    assert 60 - int(match[1]) - 2 <= int(match[2]) <= 60 - int(match[1])


def test_another_size_is_scaled_into_the_first_with_black_beside_it(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv")
        sender.wait_for_subscribers(1, timeout=20)
        send(sender, 0, 0)
        send(sender, 1, 40 * MS, size=(240, 480))
        send(sender, 2, 80 * MS, format="NV12")
        sender.end_of_stream()
        said = command.ends(0)
    assert "cam0: frames of another size were scaled to 320x240" in said
    first, narrow, other_format = decoded(tmp_path / "a.mkv")
    assert {(frame.width, frame.height) for frame in (first, narrow, other_format)} == {(WIDTH, HEIGHT)}
    check_picture(other_format, 2)
    picture = narrow.to_ndarray(format="rgb24").astype(int)
    assert picture[:, :90].max() < 30
    assert picture[:, 230:].max() < 30
    assert abs(picture[20:220, 110:150] - level(1)).mean() < 6


def test_a_lossless_file_ends_where_the_size_changes(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv", "--codec", "ffv1")
        sender.wait_for_subscribers(1, timeout=20)
        send(sender, 0, 0)
        send(sender, 1, 40 * MS, size=(160, 120))
        said = command.ends(1)
    assert "changed from 320x240 BGR to 160x120 BGR" in said
    assert len(decoded(tmp_path / "a.mkv")) == 1


LOSSLESS = (
    "I420",
    "NV12",
    "YUY2",
    "BGR",
    "RGBA",
    "GRAY8",
    "GRAY16_LE",
    "P010_10LE",
    "I422_10LE",
    "Y444",
    "GBR",
    "v210",
)


@pytest.mark.parametrize("format", LOSSLESS)
def test_ffv1_gives_back_every_sample(record: Record, tmp_path: Path, format: str) -> None:
    width, height = 326, 178
    pictures = [noise_planes(format, width, height, seed) for seed in range(3)]
    with publisher() as sender:
        command = record("cam0", "a.mkv", "--codec", "ffv1")
        sender.wait_for_subscribers(1, timeout=20)
        for number, picture in enumerate(pictures):
            sender.publish(
                picture[0] if len(picture) == 1 else picture, format=format, width=width, pts=number * 40 * MS
            )
        sender.end_of_stream()
        command.ends(0)
    frames = decoded(tmp_path / "a.mkv")
    assert len(frames) == len(pictures)
    for frame, picture in zip(frames, pictures, strict=True):
        known = get_format(format)
        parts = components(picture, known, width)
        for letter, samples in samples_of(frame).items():
            expected = (parts[letter].samples >> parts[letter].shift) & ((1 << parts[letter].bits) - 1)
            assert np.array_equal(samples, expected), f"{letter} of {format} in {frame.format.name}"


def samples_of(frame: Any) -> dict[str, npt.NDArray[Any]]:
    """Every component of a decoded picture."""
    name = frame.format.name
    if name in ("bgr0", "bgra"):
        pixels = frame.to_ndarray(format="bgra")
        letters = "BGRA" if name == "bgra" else "BGR"
        return {letter: pixels[..., index] for index, letter in enumerate(letters)}
    found = {}
    for plane, letter in zip(frame.planes, "YUV", strict=False):
        dtype = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        found[letter] = rows[:, : plane.width]
    return found


@pytest.mark.parametrize("format", ["BGR", "RGBx", "GRAY8", "GRAY16_LE", "NV12", "I420"])
@pytest.mark.parametrize("stride", [None, 704])
def test_the_encoder_gets_shared_memory_itself(domain: Place, format: str, stride: int | None) -> None:
    known = get_format(format)
    stride0 = None if stride is None else stride * known.row_bytes(0, 320) // 640
    with publisher() as sender, VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
        sender.wait_for_subscribers(1, timeout=20)
        layout = known.tight_layout(320, 240, stride0)
        sender.publish_frame(noise(layout.size, 3), FrameParams(320, 240, format, stride0=stride0))
        frame = subscriber.receive_blocking(20_000)
        assert frame is not None
        picture = picture_of(frame)
        addresses = [plane.ctypes.data for plane in frame.planes]
        assert [plane.buffer_ptr for plane in picture.planes] == addresses
        assert [plane.line_size for plane in picture.planes] == [plane.strides[0] for plane in frame.planes]
        del frame
        assert subscriber.stats.held == 1
        del picture
        assert subscriber.stats.held == 0


def test_padded_rows_are_recorded_without_their_padding(record: Record, tmp_path: Path) -> None:
    """With sizes that FFmpeg's frame takes as they lie, and others."""
    for size in ((320, 240), (166, 90)):
        for format in ("BGR", "NV12", "I420", "YUY2"):
            pixels, params = padded(format, *size, seed=1)
            with publisher() as sender:
                command = record("cam0", "a.mkv", "--codec", "ffv1", "--overwrite", "--frames", "1")
                sender.wait_for_subscribers(1, timeout=20)
                sender.publish_frame(pixels, params)
                command.ends(0)
            known = get_format(format)
            layout = known.tight_layout(*size, params.stride0)
            views = known.views(pixels, *size, layout.strides, layout.offsets)
            parts = components(views, known, size[0])
            (frame,) = decoded(tmp_path / "a.mkv")
            for letter, samples in samples_of(frame).items():
                assert np.array_equal(samples, parts[letter].samples), f"{letter} of {format} at {size}"


def test_an_odd_size_keeps_all_its_pixels(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mp4")
        sender.wait_for_subscribers(1, timeout=20)
        send(sender, 0, 0, size=(333, 177))
        sender.end_of_stream()
        command.ends(0)
    (frame,) = decoded(tmp_path / "a.mp4")
    assert (frame.width, frame.height) == (333, 177)
    check_picture(frame, 0)


# -- what cannot be done ---------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_what_fitted_plays(record: Record, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=2m tmpfs {folder} || exit 9"
    script = f'{mount}; "$@"; code=$?; cp {folder}/a.mkv {tmp_path}; exit $code'
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    with publisher() as sender:
        command = record("cam0", f"{folder}/a.mkv", "--codec", "ffv1", prefix=prefix)
        sender.wait_for_subscribers(1, timeout=20)
        for number in range(40):
            sender.publish(noise, pts=number * 40 * MS)
        said = command.ends(1)
    assert f"Error: cannot write {folder}/a.mkv: No space left on device" in said
    assert said.count("No space left") == 1
    assert len(decoded(tmp_path / "a.mkv")) > 3


def test_a_file_that_exists_is_not_touched_unless_asked(record: Record, tmp_path: Path) -> None:
    file = tmp_path / "a.mkv"
    file.write_text("precious")
    said = record("cam0", "a.mkv").ends(1)
    assert "a.mkv exists already: choose another name, or allow --overwrite" in said
    # Nothing comes, so there is nothing to replace it with.
    record("cam0", "a.mkv", "--overwrite", "--timeout", "0.3").ends(3)
    assert file.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_told_at_once(record: Record) -> None:
    assert "cannot write /nowhere/a.mkv: No such file or directory" in record("cam0", "/nowhere/a.mkv").ends(1)
    assert "cannot write /proc/a.mkv: " in record("cam0", "/proc/a.mkv").ends(1)


def test_names_that_mean_nothing_are_usage_errors(record: Record, tmp_path: Path) -> None:
    said = record("cam0", "a.avi").ends(2)
    assert "cannot record to 'a.avi': the container '.avi' is unknown; name it .mkv, .mp4 or .mov" in said
    assert "prores does not go into .mp4 files: name it .mkv or .mov, or use x264" in record(
        "cam0", "a.mp4", "--codec", "prores"
    ).ends(2)
    assert "'h265' is not one of" in record("cam0", "a.mkv", "--codec", "h265").ends(2)
    record("a.mkv").ends(2)
    said = record("sh4lt:/tmp/x", "a.mkv").ends(2)
    assert "sh4lt:/tmp/x is not a service; connect it to one: iox2-video bridge sh4lt:/tmp/x NAME" in said
    assert not list(tmp_path.glob("a.*"))


def test_a_stream_that_does_not_come_leaves_no_file(record: Record, tmp_path: Path) -> None:
    with publisher():
        said = record("cam1", "a.mkv", "--timeout", "0.5").ends(3)
        assert 'no such stream "cam1"' in said
        assert "did you mean cam0?" in said
        said = record("cam0", "a.mkv", "--timeout", "0.5").ends(3)
        assert "no frame of cam0 within 0.5 s" in said
    assert not (tmp_path / "a.mkv").exists()


def test_tiles_are_refused_with_what_to_do(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv", "--codec", "ffv1")
        sender.wait_for_subscribers(1, timeout=20)
        sender.publish(np.zeros((64, 64), np.uint16), format="RGB16")
        said = command.ends(1)
    assert "ffv1 has no lossless form for RGB16: use x264 or prores" in said
    assert not (tmp_path / "a.mkv").exists()


# -- from Python -----------------------------------------------------------------------------------------------------


def test_the_command_and_the_package_know_the_same_codecs() -> None:
    assert (tuple(CODECS), PRESETS) == (record_command.CODECS, record_command.PRESETS)


def test_another_thread_stops_a_recorder(domain: Place, tmp_path: Path) -> None:
    with publisher() as sender:
        recorder = Recorder(["cam0"], tmp_path / "a.mkv")
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(recorder.run()))
        thread.start()
        sender.wait_for_subscribers(1, timeout=20)
        send(sender, 0, 0)
        wait_until(lambda: recorder.report().tracks[0].frames == 1)
        recorder.stop()
        thread.join(20)
    (recording,) = results
    assert [(track.frames, track.end) for track in recording.tracks] == [(1, "stopped")]
    assert recording.complaints == ()
    assert recording.size == (tmp_path / "a.mkv").stat().st_size


@pytest.mark.parametrize("file", ["a.mkv", "a.mp4"])
def test_a_disk_without_room_for_anything_is_told_and_no_empty_file_stays(
    record: Record, tmp_path: Path, file: str
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    fill = f"dd if=/dev/zero of={folder}/rest bs=4k 2>/dev/null"
    mount = f"mount -t tmpfs -o size=64k tmpfs {folder} || exit 9; {fill}"
    script = f'{mount}; "$@"; code=$?; ls {folder} > {tmp_path}/left; exit $code'
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    with publisher() as sender:
        command = record("cam0", f"{folder}/{file}", prefix=("unshare", "--mount", "sh", "-c", script, "sh"))
        sender.wait_for_subscribers(1, timeout=20)
        for number in range(60):
            sender.publish(np.full((HEIGHT, WIDTH, 3), number, np.uint8), pts=number * 40 * MS)
        sender.end_of_stream()
        said = command.ends(1)
    assert "No space left on device" in said
    assert "can be played" not in said
    assert (tmp_path / "left").read_text() == "rest\n"
