"""Frames arrive byte for byte and in order, between writers and readers of both languages."""

from __future__ import annotations

import itertools
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2.sh4lt import Follower, Frame, Writer
from tests.sh4lt.conftest import Launch, on_tmpfs
from tests.waiting import wait_until

# Caps, and the size of a frame in GStreamer's default layout in bytes.
FORMATS = {
    "RGBA": ("video/x-raw,format=(string)RGBA,width=(int)33,height=(int)17,framerate=(fraction)30/1", 33 * 4 * 17),
    "BGR": ("video/x-raw,format=(string)BGR,width=(int)33,height=(int)17,framerate=(fraction)30/1", 100 * 17),
    "I420": ("video/x-raw,format=(string)I420,width=(int)33,height=(int)17,framerate=(fraction)30/1", 1008),
    "audio": ("audio/x-raw,format=(string)S16LE,layout=(string)interleaved,rate=(int)48000,channels=(int)2", 4096),
}
DISTINCT = 16
TAKEN = 40


def in_order(received: list[bytes], sent: list[bytes]) -> bool:
    """Whether the received frames are consecutive frames of the sequence that is sent repeatedly."""
    start = sent.index(received[0])
    return received == list(itertools.islice(itertools.cycle(sent), start, start + len(received)))


@on_tmpfs
@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize("reader", ["python", "rust"])
@pytest.mark.parametrize("writer", ["python", "rust"])
def test_frames_arrive_byte_for_byte_and_in_order(
    path: Path, launch: Launch, tmp_path: Path, writer: str, reader: str, kind: str
) -> None:
    caps, size = FORMATS[kind]
    random = np.random.default_rng(7)
    frames = [random.integers(0, 256, size, np.uint8).tobytes() for _ in range(DISTINCT)]
    received = tmp_path / "received.raw"
    reading = None
    if reader == "rust":
        # The caps filter accepts only the writer's caps.
        reading = launch(f"sh4ltsrc socket-path={path} num-buffers={TAKEN} ! {caps} ! filesink location={received}")

    over = threading.Event()
    evictions: list[int] = []

    def write() -> None:
        with Writer(path, caps) as end:
            wait_until(lambda: end.clients == 1)
            for frame in itertools.cycle(frames):
                if over.is_set():
                    break
                end.write(frame)
            evictions.append(end.evictions)

    thread = threading.Thread(target=write)
    if writer == "python":
        thread.start()
    else:
        for number, frame in enumerate(frames):
            (tmp_path / f"{number}.raw").write_bytes(frame)
        # Without do-timestamp the sink does not wait for a clock.
        files = f"multifilesrc location={tmp_path}/%d.raw stop-index={DISTINCT - 1} loop=true caps={caps}"
        writing = launch(f"{files} ! sh4ltsink socket-path={path} sync=false")
    try:
        if reading is not None:
            assert reading.wait(30) == 0
            whole = received.read_bytes()
            got = [whole[at : at + size] for at in range(0, len(whole), size)]
        else:
            with Follower(path) as follower:
                got = [bytes(frame) for frame, _ in zip(follower, range(TAKEN), strict=False)]
                assert follower.datatype is not None
                assert set(follower.datatype.replace(", ", ",").split(",")) == set(caps.split(","))
    finally:
        over.set()
        if writer == "python":
            thread.join()
    if writer == "python":
        assert evictions == [0]
    else:
        writing.send_signal(signal.SIGINT)
        assert writing.wait(60) == 0
    assert len(got) == TAKEN
    assert in_order(got, frames)


@on_tmpfs
def test_rows_without_padding_get_the_padding_that_readers_expect(path: Path, launch: Launch, tmp_path: Path) -> None:
    """Regression: such frames were sent unchanged, shorter than their caps say, and sh4ltsrc dropped them."""
    caps, size = FORMATS["BGR"]
    picture = np.random.default_rng(7).integers(0, 256, (17, 33, 3), np.uint8)
    (tmp_path / "0.raw").write_bytes(picture.tobytes())
    launch(f"multifilesrc location={tmp_path}/%d.raw stop-index=0 loop=true caps={caps} ! sh4ltsink socket-path={path}")
    with Follower(path) as follower:
        frame = follower.read(60)
    assert frame is not None
    assert len(frame) == size
    assert np.array_equal(frame.numpy_view(), picture)


@on_tmpfs
def test_a_source_says_once_that_frames_are_shorter_than_their_caps(path: Path, launch: Launch) -> None:
    caps, size = FORMATS["BGR"]
    reader = launch(f"sh4ltsrc socket-path={path} num-buffers=1 ! fakesink", "-v")
    with Writer(path, caps) as writer:
        wait_until(lambda: writer.clients == 1)
        for _ in range(3):
            writer.write(bytes(size - 1))
        writer.write(bytes(size))
        text = reader.communicate(timeout=60)[0].decode()
    assert text.count(f"it is {size - 1} bytes, but its caps require {size}") == 1, text


def test_from_a_pipeline_to_a_pipeline_whatever_the_strides(path: Path, launch: Launch, tmp_path: Path) -> None:
    """videocrop outputs frames whose GstVideoMeta has other strides. They are sent in GStreamer's default layout."""
    plain, received = tmp_path / "plain.raw", tmp_path / "received.raw"
    picture = "video/x-raw,format=I420,width=64,height=48 ! videocrop left=10 top=4 right=21 bottom=27"
    # A filesink does not request the meta, so videocrop writes the default layout itself.
    launch(f"videotestsrc pattern=gradient num-buffers=1 ! {picture} ! filesink location={plain}").wait(20)
    assert len(set(plain.read_bytes())) > 5
    reader = launch(f"sh4ltsrc socket-path={path} num-buffers=5 ! filesink location={received}")
    launch(f"videotestsrc pattern=gradient is-live=true ! {picture} ! sh4ltsink socket-path={path}")
    assert reader.wait(30) == 0
    caps = "video/x-raw, format=I420, width=33, height=17"
    expected = Frame(np.fromfile(plain, np.uint8), caps)
    assert len(expected) == 1008
    for frame in np.fromfile(received, np.uint8).reshape(5, 1008):
        # Planes instead of bytes: the padding of rows is undefined.
        assert all(map(np.array_equal, Frame(frame, caps).planes, expected.planes))
