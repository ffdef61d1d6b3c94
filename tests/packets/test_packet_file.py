"""Files of packets: every picture once, at its time, in what a decoder reads from the file."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

av: Any = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2.packets import Packet, PacketPublisher, PacketSubscriber
from gst_iceoryx2.packets.packet import _copied
from gst_iceoryx2.record import PacketFile, RecordFileError, TargetError
from tests.packets.coders import WAIT_MS, encode, number_near, through
from tests.packets.test_docstring_examples import publish_until
from tests.processes.children import ROOT
from tests.transport.test_docstring_examples import example_of
from tests.waiting import arrived

# Not a whole number of milliseconds or microseconds.
STEP = 33_366_700
TICK = {".mkv": 1_000_000, ".mp4": 1_000, ".mov": 1_000}


def received(codec: str, packets: list[Any], size: tuple[int, int] = (320, 240)) -> list[Packet]:
    """Return packets as a subscriber receives them."""
    with PacketPublisher("cam0", codec, *size) as publisher, PacketSubscriber("cam0", codec) as subscriber:
        return through(publisher, subscriber, packets, STEP)


def copied(header: bytes, data: bytes) -> Packet:
    """Return a packet as a hostile publisher could send it."""
    return _copied(header, data, False)


def moment(packet: Packet) -> int:
    assert packet.captured_at is not None
    return packet.captured_at - 10**9


def write(file: PacketFile, packets: list[Packet], offset: int = 0) -> None:
    for packet in packets:
        file.write(packet, moment(packet) + offset)


def check(path: Path, count: int, first: int = 0) -> None:
    """Check that a file shows `count` pictures, each once, in order, and at its time."""
    tick = TICK[path.suffix]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert len(frames) == count
        for index, frame in enumerate(frames):
            assert number_near(frame, first + index)
            assert abs(frame.pts * stream.time_base * 10**9 - index * STEP) <= tick / 2 + 1


@pytest.mark.parametrize(
    ("codec", "ending", "b_frames"),
    [
        ("h264", ".mkv", 0),
        ("h264", ".mp4", 0),
        ("h264", ".mov", 0),
        ("h264", ".mkv", 2),
        ("h264", ".mp4", 2),
        ("h265", ".mkv", 0),
        ("h265", ".mp4", 2),
        ("h265", ".mov", 0),
        ("av1", ".mkv", 0),
        ("av1", ".mp4", 0),
    ],
)
def test_a_decoder_finds_every_picture_once_at_its_time(tmp_path: Path, codec: str, ending: str, b_frames: int) -> None:
    path = tmp_path / f"day{ending}"
    encoded = encode(codec, 35, b_frames=b_frames)
    packets = received(codec, encoded)
    assert any(one.pts > other.pts for one, other in pairwise(encoded)) == bool(b_frames)
    with PacketFile(path) as file:
        write(file, packets)
        assert file.written == 35
    assert file.files == [path]
    check(path, 35)
    # The bytes are those of the packets.
    with av.open(str(path)) as container:
        assert sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size) == 4
        assert container.streams.video[0].codec_context.name == {"h265": "hevc", "av1": "libdav1d"}.get(codec, codec)


def test_size_shape_of_pixels_and_colours_come_from_the_parameter_sets(tmp_path: Path) -> None:
    packets = received("h264", encode("h264", 3, aspect=Fraction(4, 3)))
    for ending in (".mkv", ".mp4"):
        with PacketFile(tmp_path / f"a{ending}") as file:
            write(file, packets)
        with av.open(str(tmp_path / f"a{ending}")) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            assert (context.width, context.height, context.pix_fmt) == (320, 240, "yuv420p")
            assert stream.sample_aspect_ratio == Fraction(4, 3)
            assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
    # The index of an .mp4 file says it, too, for players that do not look into the stream.
    data = (tmp_path / "a.mp4").read_bytes()
    assert b"pasp\0\0\0\4\0\0\0\3" in data
    assert b"colrnclx\0\1\0\1\0\1\0" in data


def test_b_frames_without_decoding_times_are_in_order(tmp_path: Path) -> None:
    encoded = encode("h264", 35, b_frames=2)
    with (
        PacketPublisher("cam0", "h264", 320, 240) as publisher,
        PacketSubscriber("cam0") as sub,
        PacketFile(tmp_path / "a.mp4") as file,
    ):
        for packet in encoded:
            publisher.publish(packet, is_keyframe=packet.is_keyframe, captured_at=10**9 + packet.pts * STEP)
            one = arrived(sub.receive_blocking(WAIT_MS))
            file.write(one, moment(one))
            one.release()
    check(tmp_path / "a.mp4", 35)


def test_it_starts_at_a_keyframe(tmp_path: Path) -> None:
    packets = received("h264", encode("h264", 25, gop=10))
    with PacketFile(tmp_path / "a.mp4") as file:
        for packet in packets[4:]:
            assert file.write(packet, moment(packet) - moment(packets[10])) == (packet.number >= 10)
        assert (file.written, file.skipped) == (15, 6)
    check(tmp_path / "a.mp4", 15, first=10)


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_another_size_continues_in_a_second_file(tmp_path: Path, ending: str) -> None:
    small, large = received("h264", encode("h264", 15)), received("h264", encode("h264", 15, (640, 360)), (640, 360))
    with PacketFile(tmp_path / f"day{ending}") as file:
        write(file, small)
        write(file, large, 15 * STEP)
        write(file, small, 30 * STEP)
        # The same parameter sets continue in the same file.
        write(file, small, 45 * STEP)
    assert file.files == [tmp_path / f"day{number}{ending}" for number in ("", "-2", "-3")]
    check(file.files[0], 15)
    check(file.files[1], 15)
    with av.open(str(file.files[1])) as container:
        assert container.streams.video[0].codec_context.width == 640
    with av.open(str(file.files[2])) as container:
        assert len(list(container.decode(video=0))) == 30


def test_a_second_file_does_not_replace_one_unless_asked(tmp_path: Path) -> None:
    small, large = received("h264", encode("h264", 5)), received("h264", encode("h264", 5, (640, 360)), (640, 360))
    other = tmp_path / "day-2.mkv"
    other.write_text("precious")
    with PacketFile(tmp_path / "day.mkv") as file:
        write(file, small)
        write(file, large)
    assert file.files[1] == tmp_path / "day-3.mkv"
    assert other.read_text() == "precious"
    with pytest.raises(RecordFileError, match=r"day\.mkv already exists"):
        PacketFile(tmp_path / "day.mkv")
    with PacketFile(tmp_path / "day.mkv", overwrite=True) as file:
        write(file, small)
        write(file, large)
    assert file.files[1] == other
    check(other, 5)


def test_two_tracks_change_files_at_keyframes_of_their_own(tmp_path: Path) -> None:
    left, right = received("h264", encode("h264", 30)), received("h264", encode("h264", 30))
    large = received("h264", encode("h264", 15, (640, 360)), (640, 360))
    with PacketFile(tmp_path / "both.mkv", titles=("left", "right")) as file:
        for number in range(15):
            # The right stream begins three pictures later, at a keyframe.
            file.write(left[number], number * STEP, 0)
            if number >= 3:
                file.write(right[number - 3], number * STEP, 1)
        for number in range(15):
            file.write(large[number], (15 + number) * STEP, 0)
            file.write(right[12 + number], (15 + number) * STEP, 1)
    assert len(file.files) == 2
    lengths = []
    for path in file.files:
        with av.open(str(path)) as container:
            assert [stream.metadata["title"] for stream in container.streams.video] == ["left", "right"]
            lengths.append([])
        for track in (0, 1):
            with av.open(str(path)) as container:
                frames = list(container.decode(video=track))
                lengths[-1].append((len(frames), round(float(frames[0].time) * 10**9 / STEP)))
    # Number of pictures, and when the first one is shown. The right track changed at its picture 20.
    assert lengths == [[(15, 0), (20, 3)], [(15, 0), (7, 8)]]


def test_what_nobody_can_decode_is_counted_and_not_written(tmp_path: Path) -> None:
    good = received("h264", encode("h264", 20))
    header = bytes(good[0].header)
    hostile = [
        b"x",
        b"\0\0\1",
        b"\0\0\1\x65" + b"x" * 1000,
        b"\0\0\1\x67garbage\0\0\1\x68ppp\0\0\1\x65" + b"x" * 1000,
        bytes(good[0].data)[:24],
        bytes(range(256)) * 64,
    ]
    with PacketFile(tmp_path / "a.mp4") as file:
        for data in hostile:
            assert not file.write(copied(header, data), 0)
        assert (file.written, file.invalid, file.files) == (0, 6, [])
        write(file, good[:10])
        for number, data in enumerate(hostile, 1):
            assert not file.write(copied(header, data), 10 * STEP)
            # What follows a keyframe that is missing cannot be decoded.
            assert not file.write(good[number], 11 * STEP)
        write(file, good[10:])
        assert (file.written, file.invalid, file.skipped) == (20, 12, 6)
    check(tmp_path / "a.mp4", 20)
    # Nothing but rubbish leaves no file.
    with PacketFile(tmp_path / "b.mp4") as file:
        file.write(copied(header, hostile[3]), 0)
    assert not (tmp_path / "b.mp4").exists()


def test_damaged_packets_after_a_keyframe_leave_a_file_that_opens(tmp_path: Path) -> None:
    good = received("h264", encode("h264", 30))
    with PacketFile(tmp_path / "a.mkv") as file:
        for packet in good:
            data = bytes(packet.data)
            damaged = bytes(reversed(data)) if packet.number % 10 == 5 else data
            file.write(copied(bytes(packet.header), damaged), moment(packet))
    # The damaged packets contain no picture, and the decoder conceals that they are missing.
    with av.open(str(tmp_path / "a.mkv")) as container:
        frames = list(container.decode(video=0))
        assert len(frames) == 27
        # The keyframe after the second one.
        assert number_near(frames[18], 20)


def test_containers_refuse_codecs_that_they_cannot_hold(tmp_path: Path) -> None:
    packets = received("av1", encode("av1", 3))
    refuses = pytest.raises(TargetError, match=r"\.mov files cannot contain av1; use \.mkv or \.mp4")
    with refuses, PacketFile(tmp_path / "a.mov") as file:
        write(file, packets)
    assert not (tmp_path / "a.mov").exists()
    with pytest.raises(TargetError, match=r"the container '\.avi' is unknown"):
        PacketFile(tmp_path / "a.avi")


_KILLED = """
import os, pickle, sys
from gst_iceoryx2.record import PacketFile
packets = pickle.load(open(sys.argv[1], "rb"))
file = PacketFile(sys.argv[2])
for number, packet in enumerate(packets):
    file.write(packet, number * 33_366_700)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".mov"])
def test_what_was_written_before_a_kill_plays(tmp_path: Path, ending: str) -> None:
    packets = received("h264", encode("h264", 60))
    (tmp_path / "packets").write_bytes(pickle.dumps(packets))
    path = tmp_path / f"a{ending}"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path / "packets"), str(path)], env=environment, check=False
    )
    assert done.returncode == -9
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) >= 25


_FULL = """
import pickle, sys
from gst_iceoryx2.record import PacketFile, RecordFileError
packets = pickle.load(open(sys.argv[1], "rb"))
try:
    with PacketFile(sys.argv[2]) as file:
        for number in range(100_000):
            file.write(packets[number % len(packets)], number * 33_366_700)
except RecordFileError as exc:
    print(file.written, exc)
"""


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_a_full_disk_is_told_and_what_fitted_plays(tmp_path: Path, ending: str) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own for this user")
    (tmp_path / "packets").write_bytes(pickle.dumps(received("h264", encode("h264", 20))))
    folder = tmp_path / "small"
    folder.mkdir()
    program = [sys.executable, "-c", _FULL, str(tmp_path / "packets"), str(folder / f"a{ending}")]
    script = f'mount -t tmpfs -o size=200k tmpfs {folder} || exit 9; "$@"; cp {folder}/a{ending} {tmp_path}'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *program],
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    written, _, message = done.stdout.strip().partition(" ")
    assert message == f"cannot write {folder}/a{ending}: No space left on device", done.stderr
    with av.open(str(tmp_path / f"a{ending}")) as container:
        assert int(written) // 2 < len(list(container.decode(video=0))) <= int(written)


def test_the_example_of_the_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = example_of(PacketFile)
    assert code is not None
    stop = threading.Event()
    thread = threading.Thread(target=publish_until, args=(stop,))
    thread.start()
    try:
        exec(compile(code, "example", "exec"), {})
    finally:
        stop.set()
        thread.join()
    with av.open("cam0.mp4") as container:
        assert len(list(container.decode(video=0))) >= 10
