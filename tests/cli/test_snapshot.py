"""`iox2-video view --snapshot`, and the PNG encoder."""

from __future__ import annotations

import itertools
import re
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2 import jpeg
from gst_iceoryx2.preview import encode_png
from gst_iceoryx2.video import VideoFramePublisher, build_aux
from tests.cli.conftest import CommandLine, Paint, Views
from tests.cli.page_client import PageClient
from tests.cli.painter import is_painted, picture
from tests.damage import sound_frame
from tests.transport.raw import RawPublisher

SERVICE = "video/cam0/frame/v2"


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "JPG"])
def test_a_snapshot_as_jpeg_is_the_picture(paint: Paint, iox2_video: CommandLine, tmp_path: Path, ending: str) -> None:
    paint()
    file = tmp_path / f"picture.{ending}"
    done = iox2_video("view", "cam0", "--snapshot", str(file))
    assert done.returncode == 0, done.stderr
    assert is_painted(jpeg.decode(file.read_bytes()))
    assert done.stderr.startswith(f"{file}: 320x240, {file.stat().st_size} bytes")
    assert done.stdout == ""


def test_a_snapshot_as_png_is_the_picture_bit_by_bit(paint: Paint, iox2_video: CommandLine, tmp_path: Path) -> None:
    paint(count=6)
    file = tmp_path / "picture.png"
    file.write_text("something old")
    done = iox2_video("view", "cam0", "--snapshot", str(file))
    assert done.returncode == 0, done.stderr
    saved = decoded_png(file.read_bytes())
    assert any(np.array_equal(saved, picture(number, 320, 240)) for number in range(6))
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.proves("C7")
@pytest.mark.parametrize(("ratio", "size"), [("2/1", (640, 240)), ("3/4", (320, 320)), ("999999/1", (320, 240))])
def test_a_snapshot_has_square_pixels(
    paint: Paint, iox2_video: CommandLine, tmp_path: Path, ratio: str, size: tuple[int, int]
) -> None:
    """Regression: anamorphic video was saved too narrow. An implausible ratio is ignored."""
    paint(ratio=ratio, count=6)
    for name in ("picture.png", "picture.jpg"):
        done = iox2_video("view", "cam0", "--snapshot", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        assert f": {size[0]}x{size[1]}, " in done.stderr
    data = (tmp_path / "picture.png").read_bytes()
    for saved in (decoded_png(data), jpeg.decode((tmp_path / "picture.jpg").read_bytes())):
        assert saved.shape == (size[1], size[0], 3)
        assert is_painted(saved)


def test_the_page_is_told_the_shape_of_pictures(paint: Paint, view: Views) -> None:
    paint(ratio="2/1")
    with PageClient(view("cam0"), watch=[0]) as client:
        about = client.picture().about
        assert (about["width"], about["height"], about["shown"]) == (320, 240, [640, 240])


def test_a_snapshot_of_a_publisher_without_frames_ends_with_3(
    domain: object, iox2_video: CommandLine, tmp_path: Path
) -> None:
    with VideoFramePublisher(SERVICE):
        done = iox2_video("view", "cam0", "--snapshot", str(tmp_path / "a.png"), "--timeout", "0.5")
    assert done.returncode == 3
    assert "0.5 s" in done.stderr
    assert not (tmp_path / "a.png").exists()


def test_a_snapshot_ends_in_time_although_frames_come_that_are_refused(
    domain: object, iox2_video: CommandLine, tmp_path: Path
) -> None:
    """Regression: the timeout did not count while another frame was waiting."""
    lying, size = sound_frame("BGR", 16, 8)
    lists = f"a={'<' * 6}{'{1},' * 3800}{'>' * 6}"
    blobs = [build_aux(f"video/x-raw, format=(string)BGR, width=(int)17, x=(int){x}, {lists}", []) for x in (1, 2)]
    lying.aux_size = len(blobs[0])
    raw, ends = RawPublisher(SERVICE, buffer_size=8), threading.Event()

    def send() -> None:
        for blob in itertools.cycle(blobs):
            raw.send(lying, bytes(size) + blob)
            if ends.wait(0.002):
                break

    sender = threading.Thread(target=send)
    sender.start()
    try:
        done = iox2_video("view", "cam0", "--snapshot", str(tmp_path / "a.png"), "--timeout", "0.5")
    finally:
        ends.set()
        sender.join()
        raw.close()
    assert done.returncode == 3
    assert re.search(r"within 0\.5 s: \d+ frames were refused", done.stderr)


def test_a_snapshot_that_cannot_be_written_names_the_path(
    paint: Paint, iox2_video: CommandLine, tmp_path: Path
) -> None:
    paint()
    file = tmp_path / "nowhere" / "a.png"
    done = iox2_video("view", "cam0", "--snapshot", str(file))
    assert done.returncode == 1
    assert done.stderr == f"Error: cannot write {file}: No such file or directory\n"


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 1, 3), (8, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, ">u2"])
def test_png_pictures_decode_to_what_they_were(shape: tuple[int, ...], dtype: Any) -> None:
    if len(shape) == 3 and dtype != np.uint8:
        shape = shape[:2]
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    assert np.array_equal(decoded_png(encode_png(array)), array)


def decoded_png(data: bytes) -> np.ndarray:
    """Decode a PNG picture of one or three channels. All filters but Paeth's are supported."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    channels = {0: 1, 2: 3}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert set(rows[:, 0]) == {2}
    pixels = np.cumsum(rows[:, 1:].astype(np.uint64), 0).astype(np.uint8)
    whole = np.ascontiguousarray(pixels).view(np.uint8 if depth == 8 else ">u2")
    return whole.reshape((height, width, 3) if channels == 3 else (height, width))
