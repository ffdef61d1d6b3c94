"""Pixel aspect ratio, fields and rotation survive the command line: files written and read by FFmpeg."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.waiting import arrived

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2._extras.av import filter_graph
from gst_iceoryx2._wire.caps import parse_caps
from gst_iceoryx2.feed import Feeder, Image, VideoFile
from gst_iceoryx2.record import Recorder
from gst_iceoryx2.video import BUFFER_FLAGS, Qos, VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.commands import Command
from tests.conftest import Place

WIDTH, HEIGHT = 96, 64
CAM = "video/cam0/frame/v2"
TFF = BUFFER_FLAGS["INTERLACED"] | BUFFER_FLAGS["TFF"]
BFF = BUFFER_FLAGS["INTERLACED"]
TICK = Fraction(1, 25)


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Each test has its own domain."""


def picture(number: int = 0, width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """RGB picture: red at the top left, green at the top right, blue at the bottom left, gray at the bottom right."""
    quarters = np.empty((height, width, 3), np.uint8)
    quarters[: height // 2, : width // 2] = (200, 30, 30)
    quarters[: height // 2, width // 2 :] = (30, 200, 30)
    quarters[height // 2 :, : width // 2] = (30, 30, 200)
    quarters[height // 2 :, width // 2 :] = 90 + number
    return quarters


def corners(rgb: npt.NDArray[Any]) -> str:
    """The colours of the quarters of a picture: top left, top right, bottom left, bottom right."""
    height, width = rgb.shape[:2]
    points = [rgb[y * height // 4, x * width // 4].astype(int) for y in (1, 3) for x in (1, 3)]
    return "".join("x" if np.ptp(point) < 60 else "rgb"[int(point.argmax())] for point in points)


UPRIGHT = "rgbx"


# -- files that are written ----------------------------------------------------------------------------------------


def is_top_first(decoded: Any) -> bool:
    """PyAV does not tell the field order, but a filter of FFmpeg does."""
    graph = filter_graph(decoded, TICK, [("select", r"eq(interlace_type\,TOPFIRST)")])
    graph.push(decoded)
    try:
        graph.pull()
    except BlockingIOError:
        return False
    return True


def recorded(path: Path, caps: str, flags: int = 0, format: str = "I420", codec: str = "x264") -> tuple[Any, list[Any]]:
    """Record four frames with these caps and flags; return the track and its decoded pictures."""
    with VideoFramePublisher(CAM, caps=f"video/x-raw, {caps}", framerate=25, qos=Qos(buffer_size=20)) as publisher:
        recorder = Recorder(["cam0"], path, codec=codec, timeout=60)
        thread = threading.Thread(target=recorder.run)
        thread.start()
        publisher.wait_for_subscribers(1, timeout=60)
        source = av.VideoFrame.from_ndarray(picture(), format="rgb24")
        converted = source.reformat(format={"I420": "yuv420p", "BGR": "bgr24"}[format])
        for number in range(4):
            with publisher.loan(WIDTH, HEIGHT, format) as frame:
                for plane, target in zip(converted.planes, frame.planes, strict=True):
                    rows = target.reshape(target.shape[0], -1)
                    rows[...] = np.ndarray(rows.shape, np.uint8, memoryview(plane), 0, (plane.line_size, 1))
                frame.pts, frame.flags = number * 40_000_000, flags
        publisher.end_of_stream()
        thread.join(60)
        assert not thread.is_alive()
    container = av.open(str(path))
    track = container.streams.video[0]
    return track, list(container.decode(track))


RATIO = "pixel-aspect-ratio=(fraction)16/11"


def probed(path: Path) -> dict[str, Any] | None:
    """The first frame by ffprobe, independent of PyAV; None if it is not installed."""
    if shutil.which("ffprobe") is None:
        return None
    command = ["ffprobe", "-v", "error", "-show_frames", "-read_intervals", "%+#1", "-of", "json", str(path)]
    frames: list[dict[str, Any]] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["frames"]
    return frames[0]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "x264"), ("a.mkv", "x264"), ("a.mov", "x264"), ("a.mov", "prores")]
)
@pytest.mark.proves("C7")
def test_a_recording_keeps_the_pixel_aspect_ratio(name: str, codec: str, tmp_path: Path) -> None:
    """Regression: 720x576 pixels of a PAL camera were shown as 5:4."""
    track, frames = recorded(tmp_path / name, RATIO, codec=codec)
    assert len(frames) == 4
    assert track.sample_aspect_ratio == Fraction(16, 11)
    assert not any(frame.interlaced_frame for frame in frames)
    frame = probed(tmp_path / name)
    assert frame is None or frame["sample_aspect_ratio"] == "16:11"


@pytest.mark.parametrize("codec", ["ffv1", "prores"])
def test_a_matroska_recording_without_h264_says_what_it_can(
    codec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """FFV1 stores the ratio in each frame. ProRes cannot, so there is a warning."""
    recorded(tmp_path / "a.mkv", RATIO, codec=codec)
    assert ("a.mkv cannot store the pixel aspect ratio 16/11" in caplog.text) == (codec == "prores")
    frame = probed(tmp_path / "a.mkv")
    assert frame is None or codec == "prores" or frame["sample_aspect_ratio"] == "16:11"


@pytest.mark.parametrize(("order", "flags"), [("top-field-first", TFF), ("bottom-field-first", BFF), (None, TFF)])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "x264"), ("a.mov", "prores"), ("a.mkv", "ffv1")])
@pytest.mark.proves("C7")
def test_a_recording_keeps_the_fields(name: str, codec: str, order: str | None, flags: int, tmp_path: Path) -> None:
    """Regression: an interlaced stream became a progressive file."""
    field_order = "" if order is None else f", field-order=(string){order}"
    caps = f"interlace-mode=(string)interleaved{field_order}"
    _, frames = recorded(tmp_path / name, caps, flags, codec=codec, format="I420" if codec == "ffv1" else "BGR")
    assert [frame.interlaced_frame for frame in frames] == [True] * 4
    assert [is_top_first(frame) for frame in frames] == [flags == TFF] * 4
    frame = probed(tmp_path / name)
    assert frame is None or (frame["interlaced_frame"], frame["top_field_first"]) == (1, int(flags == TFF))


def test_in_a_mixed_stream_each_frame_says_whether_it_has_fields(tmp_path: Path) -> None:
    _, frames = recorded(tmp_path / "a.mkv", "interlace-mode=(string)mixed", BUFFER_FLAGS["TFF"], codec="ffv1")
    assert not any(frame.interlaced_frame for frame in frames)


# -- files that are read -------------------------------------------------------------------------------------------


def written(
    path: Path, codec: str = "libx264", *, ratio: Fraction | None = None, order: str = "", turn: Any = None
) -> Path:
    """A file of four pictures, whose quarters show their rotation."""
    options = {"flags": "+ildct+ilme", "field_order": order[:1] * 2} if order else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        if turn is not None:
            stream.set_display_rotation(*turn)
        graph = None
        for number in range(4):
            one = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format="yuv420p")
            one.pts, one.time_base = number, TICK
            if order:
                graph = graph or filter_graph(one, TICK, [("setfield", order)])
                graph.push(one)
                one = graph.pull()
            container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    return path


def published(*arguments: str, tmp_path: Path) -> list[tuple[dict[str, Any], int, npt.NDArray[Any]]]:
    """Fields of the caps, flags and RGB picture that a subscriber of `iox2-video publish` receives."""
    got = []
    with VideoFrameSubscriber(CAM) as subscriber:
        command = Command(tmp_path, "publish", "cam0", *arguments, "--fast", "--wait-for", "1")
        try:
            while (frame := subscriber.receive_blocking(60_000)) is not None and not frame.is_eos():
                got.append((dict(parse_caps(frame.caps or "").fields), frame.flags, frame.to_rgb()))
            command.ends(0)
        finally:
            command.close()
    assert got
    return got


def fed(source: Any) -> tuple[dict[str, Any], int, npt.NDArray[Any]]:
    """The first frame of a source, in this process."""
    frames: list[VideoFrame] = []
    with VideoFrameSubscriber(CAM) as subscriber:
        feeder = Feeder("cam0", source, fast=True, frames=1, wait_for=1)
        thread = threading.Thread(target=feeder.run)
        thread.start()
        frame = arrived(subscriber.receive_blocking(60_000))
        frames.append(frame)
        thread.join(60)
    (one,) = frames
    return dict(parse_caps(one.caps or "").fields), one.flags, one.to_rgb()


@pytest.mark.proves("C7")
def test_publish_tells_pixel_aspect_ratio_and_fields_of_a_file(tmp_path: Path) -> None:
    """Regression: both were lost, so a PAL recording had square pixels and no fields."""
    file = written(tmp_path / "pal.mkv", ratio=Fraction(16, 11), order="tff")
    frames = published("--file", str(file), tmp_path=tmp_path)
    assert len(frames) == 4
    for fields, flags, rgb in frames:
        assert fields["pixel-aspect-ratio"] == Fraction(16, 11)
        assert (fields["interlace-mode"], fields["field-order"]) == ("interleaved", "top-field-first")
        assert flags == TFF
        assert (rgb.shape, corners(rgb)) == ((HEIGHT, WIDTH, 3), UPRIGHT)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_a_file_of_bottom_fields_first_is_one(suffix: str, tmp_path: Path) -> None:
    fields, flags, _ = fed(VideoFile(written(tmp_path / f"a.{suffix}", order="bff")))
    assert (fields["interlace-mode"], fields["field-order"], flags) == ("interleaved", "bottom-field-first", BFF)
    assert "pixel-aspect-ratio" not in fields


def test_an_ordinary_file_has_ordinary_caps(tmp_path: Path) -> None:
    fields, flags, _ = fed(VideoFile(written(tmp_path / "a.mp4", ratio=Fraction(1))))
    assert not fields.keys() & {"pixel-aspect-ratio", "interlace-mode", "field-order"}
    assert flags == 0


@pytest.mark.proves("C7")
def test_a_phone_clip_stands_upright(tmp_path: Path) -> None:
    """Regression: the clip lay on its side, although the file states the rotation."""
    file = written(tmp_path / "phone.mp4", turn=(-90,), ratio=Fraction(4, 3))
    frames = published("--file", str(file), tmp_path=tmp_path)
    assert len(frames) == 4
    for fields, _, rgb in frames:
        assert rgb.shape == (WIDTH, HEIGHT, 3)
        assert corners(rgb) == "brxg"  # turned clockwise
        assert fields["pixel-aspect-ratio"] == Fraction(3, 4)


@pytest.mark.parametrize(
    ("turn", "seen"),
    [((90,), "gxrb"), ((180,), "xbgr"), ((0, True), "grxb"), ((0, False, True), "bxrg"), ((90, True), "xgbr")],
    ids=str,
)
def test_a_file_is_turned_and_mirrored_as_it_says(turn: tuple[Any, ...], seen: str, tmp_path: Path) -> None:
    _, _, rgb = fed(VideoFile(written(tmp_path / "a.mp4", turn=turn)))
    assert corners(rgb) == seen


def test_a_file_that_is_turned_can_be_played_again(tmp_path: Path) -> None:
    source = VideoFile(written(tmp_path / "a.mp4", turn=(90,)), loop=True)
    with VideoFrameSubscriber(CAM) as subscriber:
        feeder = Feeder("cam0", source, fast=True, frames=6, wait_for=1)
        thread = threading.Thread(target=feeder.run)
        thread.start()
        seen = [corners(frame.to_rgb()) for frame in subscriber]
        thread.join(60)
    assert seen == ["gxrb"] * 6


@pytest.mark.parametrize(("size", "ratio"), [((48, 64), Fraction(2)), ((48, 32), None)])
def test_what_is_scaled_keeps_its_shape(size: tuple[int, int], ratio: Fraction | None, tmp_path: Path) -> None:
    """Regression: `--size` with another shape squeezed the picture without changing its pixel aspect ratio."""
    fields, _, rgb = fed(VideoFile(written(tmp_path / "a.mp4"), size=size))
    assert rgb.shape[1::-1] == size
    assert fields.get("pixel-aspect-ratio") == ratio


def test_fields_are_scaled_one_by_one(tmp_path: Path) -> None:
    """Scaling both fields together would mix pictures of different times."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, options={"flags": "+ildct+ilme", "field_order": "tt"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        rows = np.where(np.arange(HEIGHT) % 2, 40, 200).astype(np.uint8)
        gray = np.repeat(rows[:, None, None], WIDTH, 1).repeat(3, 2)
        one = av.VideoFrame.from_ndarray(gray, format="rgb24").reformat(format="yuv420p")
        one.pts, one.time_base = 0, TICK
        graph = filter_graph(one, TICK, [("setfield", "tff")])
        graph.push(one)
        container.mux(stream.encode(graph.pull()))
        container.mux(stream.encode(None))
    _, flags, rgb = fed(VideoFile(path, size=(WIDTH, HEIGHT // 2)))
    assert flags == TFF
    assert (abs(rgb[::2].astype(int) - 200) < 4).all()
    assert (abs(rgb[1::2].astype(int) - 40) < 4).all()


# -- colours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "colorimetry"),
    [
        ((1, 1, 1, 1), "bt709"),
        ((1, 9, 9, 16), "bt2100-pq"),
        ((1, 9, 9, 18), "bt2100-hlg"),
        ((1, 9, 9, 15), "bt2020"),
        ((1, 5, 5, 6), "2:4:16:3"),
        ((2, 1, 1, 1), "1:3:5:1"),
    ],
)
@pytest.mark.proves("C7")
def test_colours_cross_from_file_to_file(tags: tuple[int, int, int, int], colorimetry: str, tmp_path: Path) -> None:
    """Regression: HDR was published and recorded as SDR, and numeric colorimetry was not read."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
        one = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format="yuv420p")
        one.pts, one.time_base = 0, TICK
        container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    fields, _, _ = fed(VideoFile(tmp_path / "a.mkv"))
    assert fields["colorimetry"] == colorimetry
    _, frames = recorded(tmp_path / "b.mkv", f"colorimetry=(string){colorimetry}")
    (one, *_) = frames
    assert (one.color_range, one.colorspace, one.color_primaries, one.color_trc)[2:] == tags[2:]
    assert one.color_range == tags[0]


# -- pictures ------------------------------------------------------------------------------------------------------


def tagged(orientation: int) -> bytes:
    """A JPEG picture with an EXIF orientation."""
    simplejpeg = pytest.importorskip("simplejpeg")
    data: bytes = simplejpeg.encode_jpeg(picture(), 95, "RGB", "444")
    tag = b"".join(number.to_bytes(2, "little") for number in (1, 0x112, 3, 1, 0, orientation, 0, 0, 0))
    body = b"Exif\0\0II*\0" + (8).to_bytes(4, "little") + tag
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


@pytest.mark.parametrize(
    ("orientation", "seen"), list(enumerate(["rgbx", "grxb", "xbgr", "bxrg", "rbgx", "brxg", "xgbr", "gxrb"], 1))
)
@pytest.mark.proves("C7")
def test_a_photo_is_shown_as_its_camera_was_held(orientation: int, seen: str, tmp_path: Path) -> None:
    """Regression: the EXIF orientation was ignored, so photos from phones lay on their sides."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(tagged(orientation))
    _, _, rgb = fed(Image(path))
    assert corners(rgb) == seen


def test_the_density_of_a_photo_says_nothing_about_its_shape(tmp_path: Path) -> None:
    """Programs disagree on the order of the two densities, and unequal densities are rare."""
    data = bytearray(tagged(1))
    at = data.index(b"JFIF\0") + 7
    data[at : at + 5] = bytes((1, 1, 44, 0, 150))
    path = tmp_path / "scan.jpg"
    path.write_bytes(data)
    assert "pixel-aspect-ratio" not in fed(Image(path))[0]


# -- bridges -------------------------------------------------------------------------------------------------------


def test_a_bridge_keeps_shape_and_fields_as_jpeg() -> None:
    """Regression: the rows of a JPEG picture are still two fields, but its caps did not state them."""
    pytest.importorskip("simplejpeg")
    from gst_iceoryx2._wire.stamp import monotonic_ns
    from gst_iceoryx2.bridge.clocks import Clocks
    from gst_iceoryx2.bridge.message import pack, unpack
    from gst_iceoryx2.bridge.parcel import Parcel

    caps = f"video/x-raw, {RATIO}, interlace-mode=(string)interleaved, field-order=(string)top-field-first"
    parcel = Parcel("RGB", WIDTH, HEIGHT, (picture(),), caps=caps, flags=TFF)
    message = pack(parcel, "jpeg", 90, ())
    unpacked = unpack(bytes(message.payload), message.attachment, monotonic_ns(), Clocks())
    fields = parse_caps(unpacked.caps or "").fields
    assert (fields["pixel-aspect-ratio"], fields["interlace-mode"]) == (Fraction(16, 11), "interleaved")
    assert (fields["field-order"], unpacked.flags) == ("top-field-first", TFF)
