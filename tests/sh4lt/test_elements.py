"""sh4ltsink and sh4ltsrc against each other and against the Python ends, as pipelines in processes of their own."""

from __future__ import annotations

import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from gst_iceoryx2.sh4lt import Follower, Writer
from tests.sh4lt.conftest import Launch, on_tmpfs
from tests.waiting import wait_until

RGBA = "video/x-raw, format=(string)RGBA, width=(int)640, height=(int)480, framerate=(fraction)30/1"
SNOW = "videotestsrc is-live=true pattern=snow num-buffers={} ! video/x-raw,format={},width={},height={},framerate=30/1"


def source(format: str, buffers: int = 200) -> str:
    return SNOW.format(buffers, format, *((33, 17) if format == "I420" else (64, 48)))


def test_a_queue_and_a_filesink_do_not_stop_the_stream(path: Path, launch: Launch, tmp_path: Path) -> None:
    received = tmp_path / "received.raw"
    sink = launch(f"{source('I420', 60)} ! sh4ltsink socket-path={path}")
    reader = launch(f"sh4ltsrc socket-path={path} num-buffers=40 ! queue ! filesink location={received}")
    assert reader.wait(30) == 0
    assert received.stat().st_size == 40 * 1008
    sink.send_signal(signal.SIGINT)
    assert sink.wait(20) == 0


@on_tmpfs
def test_a_live_pipeline_is_sent_as_it_comes(path: Path, launch: Launch) -> None:
    """The sink held every frame back for the latency of its pipeline, which is an hour here."""
    launch(f"{source('RGBA')} ! sh4ltsink socket-path={path} processing-deadline=3600000000000")
    with Follower(path) as follower:
        assert follower.read(20) is not None


@pytest.mark.proves("S2")
def test_a_stopped_pipeline_does_not_stop_the_sink(path: Path, launch: Launch) -> None:
    launch(f"{source('RGBA', 2000)} ! sh4ltsink socket-path={path} reader-timeout=200000000")
    stopped = launch(f"sh4ltsrc socket-path={path} ! fakesink")
    with Follower(path) as follower:
        assert follower.read(20) is not None
        time.sleep(0.3)
        stopped.send_signal(signal.SIGSTOP)
        try:
            deadline, count = time.monotonic() + 5, 0
            while count < 30:
                count += follower.read(1) is not None
                assert time.monotonic() < deadline, f"{count} frames in five seconds beside a stopped reader"
        finally:
            stopped.send_signal(signal.SIGCONT)


def test_labels_meet_where_the_python_ends_look(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    sink = launch(f"{source('RGBA')} ! sh4ltsink label=cam0 group=stage")
    with Follower(label="cam0", group="stage") as follower:
        assert follower.read(20) is not None
    sink.send_signal(signal.SIGINT)
    assert sink.wait(20) == 0


TOO_SLOW = "identity sleep-time=100000"


@on_tmpfs
@pytest.mark.parametrize(("suffix", "codec", "encoder", "muxer"), [
    ("mkv", "h264", "x264enc speed-preset=ultrafast", "matroskamux"),
    ("mov", "prores", "avenc_prores_ks", "qtmux"),
    # A sixth as fast as it had to be.
    ("mkv", "h264", f"{TOO_SLOW} ! x264enc speed-preset=ultrafast", "matroskamux"),
])  # fmt: skip
def test_recording_gives_sixty_frames_a_second(
    path: Path, launch: Launch, tmp_path: Path, suffix: str, codec: str, encoder: str, muxer: str
) -> None:
    """The recipes of score's manual, with a small picture and a faster preset for slow machines.

    A film of an encoder that is too slow stood still for longer and longer, and took as long again to finish.
    """
    av = pytest.importorskip("av")
    film = tmp_path / f"foo.{suffix}"
    rate = "videorate ! video/x-raw,framerate=60/1"
    recorder = launch(
        f"sh4ltsrc socket-path={path} ! queue leaky=downstream ! videoconvert ! {rate} ! queue leaky=downstream "
        f"! {encoder} ! {muxer} ! filesink location={film}",
        "-e",
    )
    # As score writes them.
    caps = "video/x-raw, format=(string)RGBA, width=(int)160, height=(int)120, framerate=30/1"
    with Writer(path, caps) as writer:
        wait_until(lambda: writer.clients == 1, 20)
        start = time.monotonic()
        while (now := time.monotonic()) < start + 2.0:
            green = int(255 * (now - start) / 2.0)
            picture = bytes([0, green, 200, 255]) * (160 * 120)
            writer.write(picture)
            time.sleep(1 / 30)
        recorder.send_signal(signal.SIGINT)
        took = time.monotonic() - start
        while recorder.poll() is None:
            # score renders on while the film is finished.
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
    assert abs(duration - took) < 0.35
    if TOO_SLOW not in encoder:
        assert abs(len(frames) - 60 * took) < 20
        # Steady to the millisecond, which is what Matroska keeps.
        assert all(abs(after.time - before.time - 1 / 60) < 0.0015 for before, after in pairwise(frames))
    # What was seen at a moment is in the film at that moment.
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
def test_what_is_no_raw_video_goes_as_it_is(path: Path, launch: Launch, caps: str) -> None:
    """GStreamer takes encoded video for pictures of 0 bytes, and frames of 0 bytes were sent."""
    launch(f"fakesrc sizetype=fixed sizemax=1234 filltype=pattern ! {caps} ! sh4ltsink socket-path={path}")
    with Follower(path) as follower:
        frame = follower.read(20)
        assert frame is not None
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
def test_the_manuals_feed_and_view_meet(path: Path, launch: Launch) -> None:
    """As in score's manual, with a sink that needs no display. No caps are asked for: whatever comes is shown."""
    launch(f"videotestsrc pattern=snow ! queue ! videoconvert ! sh4ltsink socket-path={path}")
    viewer = launch(f"sh4ltsrc socket-path={path} num-buffers=10 ! videoconvert ! video/x-raw,format=RGBA ! fakesink")
    assert viewer.wait(30) == 0
    with Follower(path) as follower:
        frame = follower.read(20)
        assert frame is not None
        assert frame.caps is not None
        assert frame.caps.media == "video/x-raw"
