"""`iox2-video publish --file drive.mcap`: plays topics of MCAP files that any program wrote, also damaged ones."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap", reason="mcap is not installed: pip install 'iox2-video[mcap]'")

import zstandard
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from mcap.opcode import Opcode
from mcap.writer import CompressionType, Writer

from gst_iceoryx2._extras.mcap import McapReader
from gst_iceoryx2.feed import FeedError, SettingError, SourceError, VideoFile
from tests.cli.commands import Command
from tests.cli.mcaps import CompressedVideo, RawImage, av
from tests.cli.test_publish import seen_of
from tests.conftest import Place
from tests.packets.coders import encode
from tests.processes.children import ROOT

STEP = 40_000_000
BEGIN = 1_796_000_000 * 10**9

Add = Callable[[int, bytes], None]


class Drive:
    """Writes a file with the package mcap, as another program would."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path = path
        self._file = path.open("wb")
        self._writer = Writer(self._file, **settings)
        self._writer.start()

    def topic(self, name: str, kind: Any, encoding: str = "protobuf") -> Add:
        files = FileDescriptorSet()
        schema = kind if isinstance(kind, str) else kind.DESCRIPTOR.full_name
        schema_id = self._writer.register_schema(schema, encoding, files.SerializeToString())
        channel = self._writer.register_channel(name, encoding, schema_id)
        return lambda number, data: self._writer.add_message(channel, BEGIN + number * STEP, data, 0)

    def close(self) -> Path:
        self._writer.finish()
        self._file.close()
        return self.path


def videos(count: int = 20, codec: str = "h264", **settings: Any) -> list[bytes]:
    return [
        CompressedVideo(format=codec, data=bytes(packet)).SerializeToString()
        for packet in encode(codec, count, **settings)
    ]


def add_all(add: Add, messages: Iterable[bytes]) -> None:
    for number, message in enumerate(messages):
        add(number, message)


def gray(number: int, encoding: str = "mono8", width: int = 32, height: int = 16, padding: int = 5) -> bytes:
    """Return a RawImage with padded rows, whose level is its number."""
    pixel = {"mono8": 1, "rgb8": 3, "bgra8": 4, "yuyv": 2, "mono16": 2}[encoding]
    rows = np.full((height, width * pixel + padding), number, np.uint8)
    rows[:, width * pixel :] = 255
    step = rows.shape[1]
    image = RawImage(width=width, height=height, encoding=encoding, step=step, data=rows.tobytes())
    return bytes(image.SerializeToString())


def shown(path: Path, **settings: Any) -> list[tuple[int, np.ndarray]]:
    """Return pts and first plane of each picture."""
    file = VideoFile(path, **settings)
    try:
        shape, found = file.shape, []
        for picture in file.pictures(None):  # type: ignore[arg-type]
            target = _Target(shape.width, shape.height, shape.format)
            assert picture.fill is not None
            picture.fill(target)  # type: ignore[arg-type]
            found.append((picture.pts, target.planes[0]))
        return found
    finally:
        file.close()


class _Target:
    """Stands for a loan."""

    def __init__(self, width: int, height: int, format: str) -> None:
        from gst_iceoryx2._wire.formats import get_format

        known = get_format(format)
        self.planes = [
            np.zeros((known.rows(at, height), known.row_bytes(at, width)), np.uint8) for at in range(known.n_planes)
        ]


@pytest.mark.parametrize("compression", [CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD, None])
def test_each_picture_is_played_at_its_time(tmp_path: Path, compression: CompressionType | None) -> None:
    chunks = {"use_chunking": False} if compression is None else {"compression": compression, "chunk_size": 2000}
    drive = Drive(tmp_path / "a.mcap", **chunks)
    other, add = drive.topic("imu", "foxglove.Log"), drive.topic("cam0", CompressedVideo)
    for number, message in enumerate(videos()):
        other(number, b"noise")
        # Playback keeps irregular distances.
        add(number + (number > 9), message)
    found = shown(drive.close())
    assert [pts for pts, _ in found] == [(number + (number > 9)) * STEP for number in range(20)]
    for number, (_, plane) in enumerate(found):
        assert abs(plane.mean() - (40 + number * 37 % 160)) < 6


def test_a_clock_that_was_set_during_the_recording_does_not_stop_playback(tmp_path: Path) -> None:
    """A robot without a battery begins in 1970. Playback waited for 56 years, or showed all pictures at once."""
    drive = Drive(tmp_path / "a.mcap")
    add, in_1970 = drive.topic("cam0", RawImage), -BEGIN // STEP
    for number, at in enumerate((in_1970, in_1970 + 1, 0, 1, 1500, 1501, 1400, 1401)):
        add(at, gray(number))
    found = [pts for pts, _ in shown(drive.close())]
    usual = 33_333_333
    steps = [later - earlier for earlier, later in pairwise(found)]
    assert steps == [STEP, usual, STEP, 1499 * STEP, STEP, usual, STEP]


@pytest.mark.parametrize("codec", ["h265", "av1"])
def test_other_codecs_of_foxglove_are_played(tmp_path: Path, codec: str) -> None:
    drive = Drive(tmp_path / "a.mcap")
    add_all(drive.topic("cam0", CompressedVideo), videos(6, codec))
    assert len(shown(drive.close())) == 6


@pytest.mark.parametrize(
    ("encoding", "format"), [("mono8", "GRAY8"), ("rgb8", "RGB"), ("bgra8", "BGRA"), ("yuyv", "YUY2")]
)
def test_raw_images_with_padded_rows_are_played(tmp_path: Path, encoding: str, format: str) -> None:
    drive = Drive(tmp_path / "a.mcap")
    add_all(drive.topic("cam0", RawImage), (gray(number, encoding) for number in range(5)))
    file = drive.close()
    with contextlib.closing(VideoFile(file)) as opened:
        assert opened.shape.format == format
    found = shown(file)
    assert [sorted(set(plane.ravel().tolist())) for _, plane in found] == [[number] for number in range(5)]


def test_compressed_images_are_played(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "a.mcap")
    add = drive.topic("cam0", CompressedImage)
    for number, (format, name, pixels) in enumerate((("jpeg", "mjpeg", "yuvj420p"), ("png", "png", "rgb24"))):
        encoder = av.CodecContext.create(name, "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 32, 16, pixels, Fraction(1, 25)
        picture = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 90, np.uint8), format="rgb24").reformat(format=pixels)
        data = b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
        add(number, CompressedImage(format=format, data=data).SerializeToString())
    found = shown(drive.close(), format="RGB")
    assert [abs(plane.mean() - 90) < 4 for _, plane in found] == [True, True]


def test_the_command_plays_a_topic_to_readers(tmp_path: Path, domain: Place) -> None:
    drive = Drive(tmp_path / "a.mcap")
    for name in ("cam0", "cam1"):
        add_all(drive.topic(name, CompressedVideo), videos())
    drive.close()
    commands: list[Command] = []

    def publish(*arguments: str) -> Command:
        commands.append(Command(tmp_path, "publish", *arguments))
        return commands[-1]

    try:
        seen = seen_of(publish, "--file", "a.mcap", "--topic", "cam1")
        assert "cam0: 20 frames in " in commands[-1].err
    finally:
        for command in commands:
            command.close()
    assert seen.pts == [number * STEP for number in range(20)]
    for number, (luma, *_) in enumerate(seen.planes):
        assert abs(luma.mean() - (40 + number * 37 % 160)) < 6


def test_a_file_that_is_cut_off_is_played_up_to_there(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "a.mcap", chunk_size=2000, compression=CompressionType.NONE)
    add_all(drive.topic("cam0", RawImage), (gray(number) for number in range(40)))
    whole = drive.close().read_bytes()
    with contextlib.closing(VideoFile(drive.path)) as file:
        assert file.note is None
    counts = []
    for part in (0.3, 0.6, 0.9):
        drive.path.write_bytes(whole[: int(len(whole) * part)])
        with contextlib.closing(VideoFile(drive.path)) as file:
            assert file.note == f"{drive.path} is cut off; only its complete part is played"
        counts.append(len(shown(drive.path)))
    assert 0 < counts[0] < counts[1] <= counts[2] <= 40


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_pictures_after_an_empty_or_damaged_message_are_played(tmp_path: Path, codec: str) -> None:
    """An empty packet told the decoder that the stream had ended, so the file could not be played any further."""
    drive = Drive(tmp_path / "a.mcap")
    whole = videos(6, codec, gop=1)
    wrong = [
        CompressedVideo(format=codec, data=data).SerializeToString() for data in (b"", b"\x00\x00\x01", b"\xff" * 9)
    ]
    add_all(drive.topic("cam0", CompressedVideo), [*whole[:3], *wrong, *whole[3:]])
    found = shown(drive.close())
    assert [pts // STEP for pts, _ in found] == [0, 1, 2, 6, 7, 8]


def test_a_topic_must_be_chosen_and_exist(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "a.mcap")
    add_all(drive.topic("cam0", CompressedVideo), videos(2))
    add_all(drive.topic("cam1\x1b", RawImage), [gray(1)])
    drive.topic("/points", "sensor_msgs/msg/PointCloud2", "cdr")(0, b"x")
    path = drive.close()
    with pytest.raises(SettingError, match=r"2 topics with pictures; choose one with --topic: cam0, cam1\\x1b$"):
        VideoFile(path)
    with pytest.raises(SourceError, match=r"a\.mcap has no topic 'cam2'; it has cam0, cam1\\x1b$"):
        VideoFile(path, topic="cam2")
    unknown = r"the topic '/points' of .* the type sensor_msgs/msg/PointCloud2 as cdr, which cannot be played; only "
    with pytest.raises(SourceError, match=unknown):
        VideoFile(path, topic="/points")


def test_files_without_pictures_and_other_files_are_refused(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "a.mcap")
    drive.topic("imu", "foxglove.Log")(0, b"x")
    with pytest.raises(SourceError, match=r"has no topic with pictures, only imu \(foxglove\.Log as protobuf\)"):
        VideoFile(drive.close())
    empty = Drive(tmp_path / "b.mcap").close()
    with pytest.raises(SourceError, match="has no topic with pictures, and no other topic"):
        VideoFile(empty)
    wrong = tmp_path / "c.mcap"
    wrong.write_bytes(b"no such thing")
    with pytest.raises(SourceError, match=r"cannot open .*c\.mcap: it is not an MCAP file"):
        VideoFile(wrong)
    with pytest.raises(SourceError, match=r"d\.mcap: No such file or directory"):
        VideoFile(tmp_path / "d.mcap")
    wrong.rename(tmp_path / "e.mp4")
    with pytest.raises(SettingError, match=r"e\.mp4 is not an MCAP file, so it has no topics; omit --topic"):
        VideoFile(tmp_path / "e.mp4", topic="cam0")


@pytest.mark.parametrize(
    ("kind", "message", "text"),
    [
        (
            CompressedVideo,
            CompressedVideo(format="vp\x1b9", data=b"x"),
            r"cannot decode pictures of the format 'vp.x1b9'; supported formats are h264",
        ),
        (
            RawImage,
            RawImage(encoding="32FC1", width=1, height=1, step=4, data=b"1234"),
            "cannot play pictures of the encoding '32FC1'; supported",
        ),
        (RawImage, RawImage(encoding="rgb8", width=1 << 31, height=1 << 31, step=9), "cannot decode any picture"),
        (RawImage, RawImage(encoding="rgb8", width=4, height=4, step=12, data=b"1"), "cannot decode any picture"),
        (RawImage, RawImage(encoding="rgb8", width=4, height=4, step=11, data=b"1" * 99), "cannot decode any picture"),
        (RawImage, b"\xff\xff\xff", "cannot decode any picture"),
    ],
)
def test_messages_that_cannot_be_shown_are_told(tmp_path: Path, kind: Any, message: Any, text: str) -> None:
    drive = Drive(tmp_path / "a.mcap")
    drive.topic("cam0", kind)(0, message if isinstance(message, bytes) else message.SerializeToString())
    with pytest.raises(SourceError, match=text):
        VideoFile(drive.close())


def record(opcode: int, content: bytes) -> bytes:
    return bytes((opcode,)) + len(content).to_bytes(8, "little") + content


def chunk(data: bytes, size: int, compression: bytes) -> bytes:
    head = bytes(16) + size.to_bytes(8, "little") + bytes(4) + len(compression).to_bytes(4, "little") + compression
    return record(Opcode.CHUNK, head + len(data).to_bytes(8, "little") + data)


@pytest.mark.parametrize(
    ("data", "size", "compression", "text"),
    [
        (b"", 1 << 40, b"zstd", "a chunk has 1,099,511,627,776 bytes, but at most 1,073,741,824 are read"),
        (zstandard.compress(bytes(1 << 28)), 1 << 10, b"zstd", "a record in a chunk is incomplete"),
        (zstandard.compress(bytes(99)), 100, b"zstd", "a chunk has 99 bytes, but should have 100"),
        (b"no frame", 100, b"lz4", "frame"),
        (b"no frame", 100, b"brotli", "the compression 'brotli' is unknown"),
    ],
)
def test_chunks_that_would_fill_the_memory_or_are_wrong_are_refused(
    tmp_path: Path, data: bytes, size: int, compression: bytes, text: str
) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + record(Opcode.HEADER, bytes(8)) + chunk(data, size, compression))
    with pytest.raises(SourceError, match=text):
        VideoFile(path)


def test_a_small_chunk_with_very_many_messages_does_not_fill_the_memory(tmp_path: Path) -> None:
    """All records of a chunk were kept at once, which takes 200 bytes for each of them, even if it has no data."""
    data = record(Opcode.MESSAGE, bytes((1,)) + bytes(21)) * 100_000
    compressed = zstandard.compress(data)
    assert len(compressed) < 1 << 14
    path = tmp_path / "a.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + record(Opcode.HEADER, bytes(8)) + chunk(compressed, len(data), b"zstd"))
    tracemalloc.start()
    try:
        McapReader(path).close()
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


def test_a_record_cannot_read_the_whole_file_by_a_negative_size(tmp_path: Path) -> None:
    """A message of 21 bytes has -1 bytes of data, and `read(-1)` reads everything."""
    path = tmp_path / "a.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + record(Opcode.HEADER, bytes(8)) + record(Opcode.MESSAGE, bytes(21)) + bytes(99))
    with pytest.raises(SourceError, match="a part of a record has -1 bytes, but must have 0 to 1,073,741,824"):
        VideoFile(path)


@pytest.mark.parametrize("is_whole", [True, False])
def test_damaged_files_give_pictures_or_an_error_and_nothing_else(tmp_path: Path, is_whole: bool) -> None:
    drive = Drive(tmp_path / "a.mcap", chunk_size=2000)
    add_all(drive.topic("cam0", CompressedVideo), videos(12))
    whole = drive.close().read_bytes()
    chance = random.Random(7)
    for _ in range(60):
        data = bytearray(whole if is_whole else whole[: len(whole) // 2])
        for _ in range(chance.choice((1, 4, 20))):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        drive.path.write_bytes(data)
        try:
            assert len(shown(drive.path)) <= 12
        except FeedError:
            continue


@pytest.mark.parametrize(
    ("library", "arguments"),
    [("mcap", ["publish", "x", "--file", "a.mcap"]), ("foxglove_schemas_protobuf", ["record", "x", "b.mcap"])],
)
def test_a_missing_package_is_told_with_what_to_install(
    tmp_path: Path, domain: Place, library: str, arguments: list[str]
) -> None:
    (tmp_path / "a.mcap").write_bytes(b"\x89MCAP0\r\n")
    program = f"import sys; sys.modules[{library!r}] = None; from gst_iceoryx2.cli import main; main({arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "run `pip install 'iox2-video[mcap]'`" in done.stderr
    assert done.stderr.count("\n") == 1
