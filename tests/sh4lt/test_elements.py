"""sh4ltsink and sh4ltsrc with each other and with Writer and Follower, as pipelines in their own processes."""

from __future__ import annotations

import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from gst_iceoryx2.sh4lt import Follower, Writer
from tests.sh4lt.conftest import Launch, on_tmpfs
from tests.waiting import arrived, wait_until

RGBA = "video/x-raw, format=(string)RGBA, width=(int)640, height=(int)480, framerate=(fraction)30/1"
SNOW = "videotestsrc is-live=true pattern=snow num-buffers={} ! video/x-raw,format={},width={},height={},framerate=30/1"


def source(format: str, buffers: int = 200) -> str:
    return SNOW.format(buffers, format, *((33, 17) if format == "I420" else (64, 48)))


def test_a_queue_and_a_filesink_do_not_stop_the_stream(path: Path, launch: Launch, tmp_path: Path) -> None:
    received = tmp_path / "received.raw"
    sink = launch(f"{source('I420', 2000)} ! sh4ltsink socket-path={path}")
    reader = launch(f"sh4ltsrc socket-path={path} num-buffers=40 ! queue ! filesink location={received}")
    assert reader.wait(30) == 0
    assert received.stat().st_size == 40 * 1008
    sink.send_signal(signal.SIGINT)
    assert sink.wait(60) == 0


@on_tmpfs
def test_frames_of_a_live_pipeline_are_sent_at_once(path: Path, launch: Launch) -> None:
    """Regression: the sink delayed every frame by the latency of its pipeline, which is an hour here."""
    launch(f"{source('RGBA')} ! sh4ltsink socket-path={path} processing-deadline=3600000000000")
    with Follower(path) as follower:
        assert follower.read(60) is not None


@pytest.mark.proves("S2")
def test_a_stopped_pipeline_does_not_stop_the_sink(path: Path, launch: Launch) -> None:
    launch(f"{source('RGBA', 2000)} ! sh4ltsink socket-path={path} reader-timeout=200000000")
    stopped = launch(f"sh4ltsrc socket-path={path} ! fakesink")
    with Follower(path) as follower:
        assert follower.read(60) is not None
        time.sleep(0.3)
        stopped.send_signal(signal.SIGSTOP)
        try:
            for _ in range(30):
                assert follower.read(60) is not None
        finally:
            stopped.send_signal(signal.SIGCONT)


def test_a_label_is_the_same_path_for_elements_and_python(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    sink = launch(f"{source('RGBA')} ! sh4ltsink label=cam0 group=stage")
    with Follower(label="cam0", group="stage") as follower:
        assert follower.read(60) is not None
    sink.send_signal(signal.SIGINT)
    assert sink.wait(60) == 0


TOO_SLOW = "identity sleep-time=100000"


@on_tmpfs
@pytest.mark.parametrize(("suffix", "codec", "encoder", "muxer"), [
    ("mkv", "h264", "x264enc speed-preset=ultrafast", "matroskamux"),
    ("mov", "prores", "avenc_prores_ks", "qtmux"),
    # The encoder is six times too slow.
    ("mkv", "h264", f"{TOO_SLOW} ! x264enc speed-preset=ultrafast", "matroskamux"),
])  # fmt: skip
def test_recording_gives_sixty_frames_a_second(
    path: Path, launch: Launch, tmp_path: Path, suffix: str, codec: str, encoder: str, muxer: str
) -> None:
    """The commands of score's manual, with a small picture and a faster preset for slow machines.

    Regression: the film of a slow encoder froze for longer and longer times, and took as long again to finish.
    """
    av = pytest.importorskip("av")
    film = tmp_path / f"foo.{suffix}"
    rate = "videorate ! video/x-raw,framerate=60/1"
    recorder = launch(
        f"sh4ltsrc socket-path={path} ! queue leaky=downstream ! videoconvert ! {rate} ! queue leaky=downstream "
        f"! {encoder} ! {muxer} ! filesink location={film}",
        "-e",
    )
    # In the form that score writes.
    caps = "video/x-raw, format=(string)RGBA, width=(int)160, height=(int)120, framerate=30/1"
    with Writer(path, caps) as writer:
        wait_until(lambda: writer.clients == 1)
        start = time.monotonic()
        while (now := time.monotonic()) < start + 2.0:
            green = int(255 * (now - start) / 2.0)
            picture = bytes([0, green, 200, 255]) * (160 * 120)
            writer.write(picture)
            time.sleep(1 / 30)
        asked = time.monotonic() - start
        recorder.send_signal(signal.SIGINT)
        took = time.monotonic() - start
        while recorder.poll() is None:
            # score continues to render while the file is finished.
            writer.write(picture)
            time.sleep(1 / 30)
            assert time.monotonic() < start + 40
        assert recorder.wait() == 0
        assert writer.evictions == 0
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name.startswith(codec)
        assert stream.average_rate == 60
        frames = list(container.decode(stream))
        duration = container.duration / 1e6
    pixels = [frame.to_ndarray(format="rgb24")[60, 80].astype(int) for frame in frames]
    # A busy machine is late when it handles the signal.
    assert asked - 0.35 < duration < took + 3
    if TOO_SLOW not in encoder:
        assert abs(len(frames) - 60 * duration) < 20
        # Exact to the millisecond, which is the resolution of Matroska.
        assert all(abs(after.time - before.time - 1 / 60) < 0.0015 for before, after in pairwise(frames))
    # The film shows each picture at the time at which it was written.
    assert pixels[-1][1] > 200 > 60 > pixels[3][1]
    assert all(abs(pixel[1] - 255 * frame.time / duration) < 25 for frame, pixel in zip(frames, pixels, strict=True))
    assert all(pixel[0] < 20 and abs(pixel[2] - 200) < 20 for pixel in pixels)


@on_tmpfs
@pytest.mark.parametrize(
    "caps",
    [
        "video/x-h264,stream-format=byte-stream,alignment=au,width=64,height=48,framerate=30/1",
        "image/jpeg,width=64,height=48,framerate=30/1",
        "video/x-vp8,width=64,height=48,framerate=30/1",
        "video/mpegts,systemstream=true,packetsize=188",
        "video/x-matroska",
        "video/x-bayer,format=bggr,width=64,height=48,framerate=30/1",
        "audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2",
    ],
    ids=lambda caps: caps.partition(",")[0],
)
@pytest.mark.proves("S6")
def test_other_media_than_raw_video_are_sent_unchanged(path: Path, launch: Launch, caps: str) -> None:
    """Regression: frames of 0 bytes were sent, because GStreamer says that encoded pictures have 0 bytes."""
    launch(f"fakesrc sizetype=fixed sizemax=1234 filltype=pattern ! {caps} ! sh4ltsink socket-path={path}")
    with Follower(path) as follower:
        frame = arrived(follower.read(60))
        assert frame.datatype.startswith(caps.partition(",")[0])
        assert bytes(frame)[:256] == bytes(range(256))
        assert len(frame) == 1234


@on_tmpfs
@pytest.mark.proves("S6")
def test_h264_is_decoded_at_the_other_end(path: Path, launch: Launch, tmp_path: Path) -> None:
    received = tmp_path / "received.raw"
    encoder = "x264enc speed-preset=ultrafast tune=zerolatency key-int-max=5 ! video/x-h264,stream-format=byte-stream"
    launch(f"{source('RGBA', 2000)} ! videoconvert ! {encoder} ! sh4ltsink socket-path={path}")
    decoder = "h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=I420"
    reader = launch(f"sh4ltsrc socket-path={path} num-buffers=20 ! {decoder} ! filesink location={received}")
    assert reader.wait(30) == 0
    frames, rest = divmod(received.stat().st_size, 64 * 48 * 3 // 2)
    assert (rest, frames > 10) == (0, True)


@on_tmpfs
def test_the_two_commands_of_the_manual_work_together(path: Path, launch: Launch) -> None:
    """The commands of score's manual, with a sink that needs no display. The viewer requests no caps."""
    launch(f"videotestsrc pattern=snow ! queue ! videoconvert ! sh4ltsink socket-path={path}")
    viewer = launch(f"sh4ltsrc socket-path={path} num-buffers=10 ! videoconvert ! video/x-raw,format=RGBA ! fakesink")
    assert viewer.wait(30) == 0
    with Follower(path) as follower:
        frame = arrived(follower.read(60))
        assert frame.caps is not None
        assert frame.caps.media == "video/x-raw"
