"""`iox2-video publish`: a subscriber receives the frames, and they are compared with the source."""

from __future__ import annotations

import signal
import threading
import time
import wave
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gst_iceoryx2._wire.formats import FORMATS, get_format
from gst_iceoryx2.feed import Feeder, Lend, Picture, Shape, SourceError, TestPattern, read_number
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from gst_iceoryx2.video.colour import to_rgb
from tests.cli.commands import Command
from tests.cli.conftest import CommandLine
from tests.conftest import Place
from tests.waiting import arrived

Publish = Callable[..., Command]
CAM = "video/cam0/frame/v2"
MS = 1_000_000


@pytest.fixture
def publish(tmp_path: Path, domain: Place) -> Iterator[Publish]:
    running: list[Command] = []

    def start(*arguments: str) -> Command:
        running.append(Command(tmp_path, "publish", *arguments))
        return running[-1]

    yield start
    for command in running:
        command.close()


class Seen:
    """Copies of all frames that a subscriber received until the end of the stream."""

    def __init__(self, subscriber: VideoFrameSubscriber) -> None:
        self.pts: list[int | None] = []
        self.planes: list[tuple[npt.NDArray[Any], ...]] = []
        self.shapes: set[tuple[str, int, int]] = set()
        self.caps = ""
        self.ended = False
        while (frame := subscriber.receive_blocking(60_000)) is not None:
            with frame:
                if frame.is_eos():
                    self.ended = True
                    return
                self.pts.append(frame.pts)
                self.planes.append(tuple(plane.copy() for plane in frame.planes))
                self.shapes.add((frame.format, frame.width, frame.height))
                self.caps = frame.caps or ""

    @property
    def numbers(self) -> list[int]:
        return [read_number(planes[0]) for planes in self.planes]


def seen_of(publish: Publish, *arguments: str) -> Seen:
    """Publish a stream, and receive all of it: again if a busy machine made this process lose frames of it."""
    while True:
        with VideoFrameSubscriber(CAM) as subscriber:
            command = publish("cam0", *arguments, "--wait-for", "1")
            seen = Seen(subscriber)
            command.ends(0)
            assert seen.ended
            if not subscriber.stats.dropped:
                return seen


def test_the_pattern_counts_moves_and_ends(publish: Publish) -> None:
    seen = seen_of(publish, "--test", "--size", "640x360", "--fps", "60", "--frames", "30")
    assert seen.numbers == list(range(30))
    assert seen.pts == [number * 1_000_000_000 // 60 for number in range(30)]
    assert seen.shapes == {("I420", 640, 360)}
    assert "framerate=(fraction)60/1" in seen.caps
    boxes = [planes[0][180:220] for planes in seen.planes]
    assert all((one != other).any() for one, other in pairwise(boxes))


def drawable() -> list[str]:
    names = []
    for name in FORMATS:
        try:
            TestPattern(64, 48, name)
        except ValueError:
            continue
        names.append(name)
    return names


def test_the_pattern_is_drawn_in_most_formats() -> None:
    names = drawable()
    assert len(names) > 80
    assert {"I420", "NV12", "YUY2", "UYVY", "BGR", "RGBA", "GRAY8", "P010_10LE", "I422_10LE", "GBR"} <= set(names)


@pytest.mark.parametrize("name", drawable())
def test_the_pattern_looks_the_same_in_every_format(name: str) -> None:
    pictures = []
    for format in ("RGB", name):
        pattern = TestPattern(210, 80, format)
        known = get_format(format)
        layout = known.tight_layout(210, 80)
        planes = known.views(np.empty(layout.size, np.uint8), 210, 80, layout.strides, layout.offsets)
        pattern.draw(planes, 12345)
        pictures.append(to_rgb(planes, known, 210, 80).astype(int))
    right, drawn = pictures
    if get_format(name).is_gray:
        right = (right @ (0.299, 0.587, 0.114))[..., None].repeat(3, 2)
    assert read_number(drawn[..., 1]) == 12345
    # Subsampled chroma mixes at edges.
    differs = abs(right - drawn).max(-1) > 3
    assert differs.mean() < (0.12 if name in ("YUV9", "YVU9") else 0.06)


# -- files -----------------------------------------------------------------------------------------------------------

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

FRAMES = 20


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A lossless file with twenty pictures of the pattern, 40 ms apart; the last one comes late."""
    path = tmp_path / "clip.mkv"
    pattern = TestPattern(320, 240, "I420", Fraction(25))
    known = get_format("I420")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(FRAMES):
            pixels = np.empty(320 * 240 * 3 // 2, np.uint8)
            layout = known.tight_layout(320, 240)
            pattern.draw(known.views(pixels, 320, 240, layout.strides, layout.offsets), number)
            picture = av.VideoFrame.from_ndarray(pixels.reshape(360, 320), format="yuv420p")
            picture.pts = number * 40 + (100 if number == FRAMES - 1 else 0)
            picture.time_base = Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_a_file_arrives_picture_by_picture_in_real_time(publish: Publish, clip: Path) -> None:
    began = time.monotonic()
    seen = seen_of(publish, "--file", str(clip))
    assert time.monotonic() - began >= 0.86
    assert seen.numbers == list(range(FRAMES))
    assert seen.pts == [number * 40 * MS for number in range(FRAMES - 1)] + [860 * MS]
    with av.open(str(clip)) as container:
        for picture, planes in zip(container.decode(video=0), seen.planes, strict=True):
            assert np.array_equal(picture.to_ndarray(), np.concatenate([plane.reshape(-1, 320) for plane in planes]))


def test_fast_does_not_wait(publish: Publish, clip: Path) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        # In real time, this would take longer than `ends` waits.
        publish("cam0", "--file", str(clip), "--fast", "--loop", "--duration", "100", "--wait-for", "1").ends(0)
        newest = arrived(subscriber.latest(60))
        assert newest.pts is not None
        assert newest.pts > 99_000 * MS
        del newest


def test_a_loop_goes_on_where_the_file_ended(publish: Publish, clip: Path) -> None:
    seen = seen_of(publish, "--file", str(clip), "--loop", "--frames", "45")
    assert seen.numbers == [*range(20), *range(20), *range(5)]
    assert seen.pts == sorted(set(seen.pts))  # type: ignore[type-var]
    assert seen.pts[20] == 900 * MS


def test_size_and_format_are_made_as_asked(publish: Publish, clip: Path) -> None:
    seen = seen_of(publish, "--file", str(clip), "--format", "BGR", "--size", "160x120", "--fps", "50")
    assert seen.shapes == {("BGR", 160, 120)}
    assert seen.pts == [number * 20 * MS for number in range(FRAMES)]
    assert [read_number(planes[0][..., 1]) for planes in seen.planes] == list(range(FRAMES))
    # The first bars are gray and yellow.
    gray, yellow = seen.planes[0][0][45, 10], seen.planes[0][0][45, 34]
    assert abs(gray.astype(int) - 191).max() < 6
    assert abs(yellow.astype(int) - (0, 191, 191)).max() < 6


def test_a_picture_is_shown_over_and_over(publish: Publish, clip: Path, tmp_path: Path) -> None:
    image = tmp_path / "picture of mine: 1.png"
    with av.open(str(clip)) as container:
        picture = next(container.decode(video=0)).reformat(format="rgb24")
    right = picture.to_ndarray()
    with av.open(str(image), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "rgb24"
        picture.pts = None
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    seen = seen_of(publish, "--image", str(image), "--frames", "5", "--fps", "25")
    assert seen.pts == [number * 40 * MS for number in range(5)]
    assert all(np.array_equal(planes[0], right) for planes in seen.planes)


# -- ends and errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_every_signal_ends_the_stream_for_its_subscribers(publish: Publish, number: int, code: int) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        command = publish("cam0", "--test", "--size", "64x48")
        with subscriber.receive_blocking(60_000) or pytest.fail("no frame"):
            command.interrupt(number)
        assert Seen(subscriber).ended
        said = command.ends(code)
    assert "publishing cam0: 64x48 I420 at 30 fps" in said


class Vanishing:
    """A source that fails after three pictures."""

    is_live = True
    shape = Shape(64, 48, "GRAY8", Fraction(30))
    damaged = lost = 0
    about = "a camera"
    is_closed = False

    def pictures(self, lend: Lend) -> Iterator[Picture | None]:
        for number in range(3):
            yield Picture(number * MS, lambda frame: frame.numpy_view().fill(7), captured_at=number + 1)
        raise SourceError("the camera has vanished")

    def close(self) -> None:
        self.is_closed = True


def test_a_source_that_vanishes_ends_the_stream_and_is_told(domain: Place) -> None:
    source = Vanishing()
    with VideoFrameSubscriber(CAM) as subscriber:
        with pytest.raises(SourceError, match="vanished"):
            Feeder("cam0", source, wait_for=1).run()
        seen = Seen(subscriber)
    assert (seen.ended, len(seen.pts), source.is_closed) == (True, 3, True)


def test_a_resumable_stream_goes_on_with_the_next_feed_until_its_source_ends(domain: Place) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        first = Feeder("cam0", TestPattern(64, 48, "GRAY8"), wait_for=1, is_resumable=True)
        first.run(lambda fed: first.stop() if fed.sent else None)
        with pytest.raises(SourceError, match="vanished"):
            Feeder("cam0", Vanishing(), wait_for=1, is_resumable=True).run()
        last = Feeder("cam0", TestPattern(64, 48, "GRAY8"), frames=3, wait_for=1, is_resumable=True).run()
        seen = Seen(subscriber)
    assert seen.ended
    # A subscriber that had received an end before this one would not have the last three frames.
    assert seen.pts[-3:] == [number * 1_000_000_000 // 30 for number in range(last.sent)]
    assert len(seen.pts) > 3 + 3


class Silent(Vanishing):
    """A camera that sends nothing, on a device whose name is not UTF-8."""

    about = 'camera "HD" \\é, YUYV; /dev/\udcff\n' + "x" * 200

    def pictures(self, lend: Lend) -> Iterator[Picture | None]:
        while not self.is_closed:
            time.sleep(0.01)
            yield None


def test_a_source_that_sends_nothing_stops_after_the_duration(domain: Place) -> None:
    done = Feeder("cam0", Silent(), duration=0.3).run()
    assert done.sent == 0
    assert done.seconds >= 0.3


class Device(Vanishing):
    """A device that writes into the frames itself."""

    def pictures(self, lend: Lend) -> Iterator[Picture | None]:
        for number in range(40):
            frame = lend(None)
            frame.numpy_view()[...] = number
            yield Picture(number * MS, None, None, None, 0, frame, is_by_reference=True)


def test_dropped_frames_do_not_count_as_sent_without_a_copy(domain: Place) -> None:
    feeder = Feeder("cam0", Device())
    feeder._publisher.close()
    with VideoFramePublisher(CAM, max_bytes=64 * 48, max_frames=10) as publisher, VideoFrameSubscriber(CAM):
        feeder._publisher = publisher
        done = feeder.run()
    assert done.dropped > 0
    assert done.sent == done.by_reference == 40 - done.dropped


def test_info_shows_a_source_with_any_name(domain: Place, iox2_video: CommandLine) -> None:
    feeder = Feeder("cam0", Silent())
    feeding = threading.Thread(target=feeder.run)
    feeding.start()
    try:
        (publisher,) = iox2_video.json("info", "cam0", "--json")["participants"]
        shown = iox2_video("info", "cam0").stdout
    finally:
        feeder.stop()
        feeding.join()
    about = 'camera "HD" \\?, YUYV; /dev/\\xff\\n'
    assert publisher["about"].startswith(f"{about}xxx")
    assert f"source    {about}xxx" in shown


def test_a_camera_that_is_not_there_is_named_with_those_that_are(publish: Publish) -> None:
    said = publish("cam0", "--camera", "97").ends(1)
    assert "Error: cannot use the camera /dev/video97: No such file or directory; " in said
    said = publish("cam0", "--camera", "/dev/null").ends(1)
    assert "Error: cannot use the camera /dev/null: " in said


def test_files_without_video_are_told_apart(publish: Publish, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    (tmp_path / "text.mp4").write_text("no video")
    assert "sound.wav does not contain video, only audio" in publish("cam0", "--file", "sound.wav").ends(1)
    assert "text.mp4: it is not a video or picture that FFmpeg can" in publish("cam0", "--file", "text.mp4").ends(1)
    assert "cannot open gone.mp4: No such file or directory" in publish("cam0", "--file", "gone.mp4").ends(1)
    assert f"cannot open {tmp_path}: it is a folder" in publish("cam0", "--image", str(tmp_path)).ends(1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "choose one of --test, --camera DEV, --file FILE and --image FILE"),
        (("--test", "--image", "a.png"), "choose one of"),
        (("--test", "--loop"), "--loop needs --file"),
        (("--camera", "0", "--fast"), "--fast cannot be used with --camera"),
        (("--test", "--size", "640"), "'640' is not a size; use WIDTHxHEIGHT, such as 1280x720"),
        (("--test", "--size", "8x8"), "8x8 is too small"),
        (("--test", "--fps", "0"), "'0' is not a frame rate"),
        # Regression: this rate was rounded to 0, so frames came without a pause.
        (("--test", "--fps", "1e-9"), "'1e-9' is not a frame rate"),
        (("--test", "--format", "NV13"), "'NV13' is not a raw video format in GStreamer"),
        (("--test", "--format", "v210"), "cannot draw the pattern in v210; use I420"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(publish: Publish, arguments: tuple[str, ...], text: str) -> None:
    assert text in publish("cam0", *arguments).ends(2)


def test_a_key_or_a_path_is_no_service(publish: Publish) -> None:
    said = publish("zenoh:site/cam0", "--test").ends(2)
    assert "to connect it to one, run `iox2-video bridge NAME zenoh:site/cam0`" in said


def test_a_name_with_a_publisher_is_refused(publish: Publish) -> None:
    with VideoFramePublisher(CAM):
        said = publish("cam0", "--test").ends(1)
    assert "already has 1, which is its limit; close the other publisher" in said


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_a_clip_of_a_few_pictures_is_played_to_its_end_and_again(
    publish: Publish, tmp_path: Path, pictures: int
) -> None:
    """A decoder holds back the pictures of a short file until its end."""
    path = tmp_path / "short.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(pictures):
            gray = np.full((240, 320), 60 * (number + 1), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, "gray").reformat(format="yuv420p")))
        container.mux(stream.encode(None))

    def levels(seen: Seen) -> list[int]:
        return [round(planes[0].mean() / 52) for planes in seen.planes]

    once = levels(seen_of(publish, "--file", str(path)))
    assert len(once) == pictures
    assert once == sorted(set(once))
    assert levels(seen_of(publish, "--file", str(path), "--loop", "--frames", str(3 * pictures))) == 3 * once


def test_a_picture_as_a_file_is_a_clip_of_one(publish: Publish, tmp_path: Path) -> None:
    from gst_iceoryx2.preview import save_snapshot

    with VideoFramePublisher("video/one/frame/v2") as sender:
        sender.publish(np.full((48, 64, 3), 200, np.uint8), format="BGR")
        save_snapshot("one", tmp_path / "one.png")
    seen = seen_of(publish, "--file", "one.png")
    assert [int(planes[0].min()) for planes in seen.planes] == [200]


def test_a_duration_without_end_is_no_limit(publish: Publish) -> None:
    for endless in ("inf", "1e300"):
        said = publish("cam0", "--test", "--fast", "--frames", "3", "--duration", endless).ends(0)
        assert "cam0: 3 frames" in said
