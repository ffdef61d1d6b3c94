"""`iox2-video record` stores pixels without loss, without padding, and from shared memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.waiting import arrived

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2._wire.samples import components
from gst_iceoryx2.codec.picture import picture_of
from gst_iceoryx2.video import FrameParams, VideoFrameSubscriber
from tests.cli.recordings import HEIGHT, MS, WIDTH, Record, check_picture, decoded, level, publisher, send
from tests.conftest import Place
from tests.pictures import noise, padded
from tests.pictures import planes as noise_planes

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
        sender.wait_for_subscribers(1, timeout=60)
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
    """The components of a decoded picture."""
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
        sender.wait_for_subscribers(1, timeout=60)
        layout = known.tight_layout(320, 240, stride0)
        sender.publish_frame(noise(layout.size, 3), FrameParams(320, 240, format, stride0=stride0))
        frame = arrived(subscriber.receive_blocking(60_000))
        picture = picture_of(frame)
        addresses = [plane.ctypes.data for plane in frame.planes]
        assert [plane.buffer_ptr for plane in picture.planes] == addresses
        assert [plane.line_size for plane in picture.planes] == [plane.strides[0] for plane in frame.planes]
        del frame
        assert subscriber.stats.held == 1
        del picture
        assert subscriber.stats.held == 0


def test_padded_rows_are_recorded_without_their_padding(record: Record, tmp_path: Path) -> None:
    """One size can be borrowed by FFmpeg's frame, the other must be copied."""
    for size in ((320, 240), (166, 90)):
        for format in ("BGR", "NV12", "I420", "YUY2"):
            pixels, params = padded(format, *size, seed=1)
            with publisher() as sender:
                command = record("cam0", "a.mkv", "--codec", "ffv1", "--overwrite", "--frames", "1")
                sender.wait_for_subscribers(1, timeout=60)
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
        sender.wait_for_subscribers(1, timeout=60)
        send(sender, 0, 0, size=(333, 177))
        sender.end_of_stream()
        command.ends(0)
    (frame,) = decoded(tmp_path / "a.mp4")
    assert (frame.width, frame.height) == (333, 177)
    check_picture(frame, 0)


def test_another_size_is_scaled_into_the_first_with_black_beside_it(record: Record, tmp_path: Path) -> None:
    with publisher() as sender:
        command = record("cam0", "a.mkv")
        sender.wait_for_subscribers(1, timeout=60)
        send(sender, 0, 0)
        send(sender, 1, 40 * MS, size=(240, 480))
        send(sender, 2, 80 * MS, format="NV12")
        sender.end_of_stream()
        said = command.ends(0)
    assert "cam0: frames with a different size were scaled to 320x240" in said
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
        sender.wait_for_subscribers(1, timeout=60)
        send(sender, 0, 0)
        send(sender, 1, 40 * MS, size=(160, 120))
        said = command.ends(1)
    assert "changed from 320x240 BGR to 160x120 BGR" in said
    assert len(decoded(tmp_path / "a.mkv")) == 1
