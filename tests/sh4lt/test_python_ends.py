"""Writer and Follower in Python: frames, views, addresses and types."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.sh4lt import (
    AddressError,
    Follower,
    ShType,
    Writer,
    address,
)
from tests.sh4lt.conftest import connect, wait_until_in
from tests.waiting import arrived, wait_until

RGBA = "video/x-raw, format=(string)RGBA, width=(int)6, height=(int)4, framerate=(fraction)30/1"


def test_a_picture_arrives_as_the_array_that_its_caps_describe(path: Path) -> None:
    picture = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(4, 6, 4)
    with Writer(path, RGBA) as writer, Follower(path) as follower:
        connect(writer, follower)
        assert writer.write(picture) == 1
        frame = arrived(follower.read(60))
        assert np.array_equal(frame.numpy_view(), picture)
        assert not frame.numpy_view().flags.writeable
        assert frame.caps is not None
        assert frame.caps.fields["framerate"] == Fraction(30, 1)


def test_planes_are_those_of_gstreamers_default_layout(path: Path) -> None:
    with Writer(path, "video/x-raw, format=I420, width=33, height=17") as writer, Follower(path) as follower:
        connect(writer, follower)
        data = np.arange(1008, dtype=np.uint16).astype(np.uint8)
        writer.write(data)
        frame = arrived(follower.read(60))
        luma, blue, red = frame.planes
        assert (luma.shape, blue.shape, red.shape) == ((17, 33), (9, 17), (9, 17))
        assert (luma[1, 0], blue[0, 0], red[0, 0]) == (data[36], data[648], data[648 + 180])


def test_growing_and_shrinking_frames_arrive_whole(path: Path) -> None:
    sizes = [10, 10, 5000, 100, 70_000, 1]
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
        for number, size in enumerate(sizes):
            writer.write(bytes([number]) * size)
            frame = arrived(follower.read(60))
            assert bytes(frame) == bytes([number]) * size


def test_a_view_that_is_kept_beyond_its_block_keeps_its_bytes(path: Path) -> None:
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
        kept = []
        for number in range(10):
            writer.write(bytes([number]) * 5000)
            with follower.borrow(5) as frame:
                assert frame is not None
                kept.append(frame.data[1000:])
    for number, view in enumerate(kept):
        assert view.size == 4000
        assert np.all(view == number)


def test_a_borrowed_frame_holds_the_writer_only_as_long_as_its_block(path: Path) -> None:
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
        writer.write(b"a" * 100)
        done = threading.Event()

        def write() -> None:
            writer.write(b"b" * 100)
            done.set()

        with follower.borrow(5) as frame:
            assert frame is not None
            thread = threading.Thread(target=write)
            thread.start()
            assert thread.ident is not None
            wait_until_in("sysv.py", thread.ident)
            assert not done.is_set()
            assert bytes(frame) == b"a" * 100
        assert done.wait(5)
        thread.join()
        assert writer.evictions == 0


def test_a_reader_that_never_finishes_is_left_behind_and_comes_back(path: Path) -> None:
    with Writer(path, reader_timeout=0.1) as writer, Follower(path) as follower:
        connect(writer, follower)
        writer.write(b"a" * 100)
        with follower.borrow(5) as frame:
            assert frame is not None
            assert writer.write(b"b" * 100) == 0
            assert bytes(frame) == b"a" * 100
        assert writer.evictions == 1
        assert follower.read(0.2) is None
        wait_until(lambda: writer.clients == 1)
        writer.write(b"c" * 100)
        frame = arrived(follower.read(60))
        assert bytes(frame) == b"c" * 100


def test_a_follower_starts_first_and_survives_its_writer(path: Path) -> None:
    with Follower(path) as follower:
        assert follower.read(0.05) is None
        for number in range(3):
            with Writer(path, f"application/x-{number}") as writer:
                connect(writer, follower)
                writer.write(b"frame")
                assert follower.read(60) is not None
                assert follower.datatype == f"application/x-{number}"


def test_label_and_group_meet_at_a_path_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert address("cam 0", "a/b") == tmp_path / "sh4lt" / "a%2fb" / "cam%200"
    with Writer(label="cam0") as writer, Follower(label="cam0") as follower:
        connect(writer, follower)
        assert (tmp_path / "sh4lt").stat().st_mode & 0o777 == 0o700
    for name in ("", ".."):
        with pytest.raises(AddressError):
            address(name)


def test_a_type_is_caps_with_label_and_group() -> None:
    kind = ShType("video/x-raw", "cam0", "stage", {"format": "RGBA", "width": 6, "framerate": Fraction(30, 1)})
    text = kind.to_caps()
    assert text.startswith("video/x-raw, format=(string)RGBA, width=(int)6, framerate=(fraction)30/1")
    assert ShType.from_caps(text) == kind
    score = ShType.from_caps("video/x-raw,format=(string)RGBA,width=(int)640,height=(int)480,framerate=60/1")
    assert (score.label, score.group, score.properties["height"]) == ("", "default", 480)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytearray(b"bytes"),
        memoryview(b"every second")[::2],
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.arange(24, dtype=np.uint8).reshape(4, 6)[:, ::2],
        np.zeros((600, 900, 4), np.uint8) + 3,
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_whatever_has_bytes_is_written_packed(path: Path, frame: Any) -> None:
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
        writer.write(frame)
        received = arrived(follower.read(60))
        assert bytes(received) == (frame.tobytes() if hasattr(frame, "tobytes") else bytes(frame))


def mapping(array: np.ndarray) -> str:
    """The line of /proc/self/maps for the memory of an array."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if begin <= array.ctypes.data < end:
            return line
    raise AssertionError("not mapped")


def test_a_borrowed_frame_lies_in_the_writers_memory_until_its_block_ends(path: Path) -> None:
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
        writer.write(b"x" * 5000)
        with follower.borrow(5) as frame:
            assert frame is not None
            kept = frame.data[1:]
            assert "/SYSV6e" in mapping(kept)
            assert mapping(kept).split()[1] == "r--s"
        assert "/SYSV" not in mapping(kept)
        assert kept.tobytes() == b"x" * 4999
