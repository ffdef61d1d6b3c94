"""The bytes on the wire: both SDKs write the same, and read the same from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2._wire.metas import encode_meta
from gst_iceoryx2.video import BUFFER_FLAGS, CustomMeta, ReferenceTimestamp, VideoFrameHeader
from tests.behaviour.conftest import LANGUAGES, Peer, Side

# The first test may have to compile the Rust side.
pytestmark = pytest.mark.timeout(600)

WAIT = 60_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
METAS = [
    encode_meta(ReferenceTimestamp("timestamp/x-unix", 5, 7)).hex(),
    encode_meta(CustomMeta("camera", {"gain": 3, "name": "left"})).hex(),
]
FIELDS = {"pts": 10, "dts": 11, "duration": 12, "flags": BUFFER_FLAGS["DISCONT"] | BUFFER_FLAGS["TFF"], "metas": METAS}


@pytest.mark.proves("C4")
def test_every_field_crosses(publisher: Side, reader: Side) -> None:
    captured_at = time.monotonic_ns() - 1_000_000
    pub = publisher.open()
    pub.do("publish", value=42, width=33, height=17, captured_at=captured_at, **FIELDS)
    now = time.monotonic_ns()
    frame = reader.open().do("receive", timeout_ms=WAIT)
    header = VideoFrameHeader.from_buffer_copy(bytes.fromhex(frame["header"]))
    assert frame["value"] == 42
    assert (header.width, header.height, header.format_name, header.n_planes) == (33, 17, "BGR", 1)
    assert (header.pts, header.dts, header.duration, header.offset) == (10, 11, 12, 42)
    assert (list(header.stride), header.flags) == ([99, 0, 0, 0], FIELDS["flags"])
    assert frame["caps"] == "video/x-raw, format=(string)BGR, width=(int)33, height=(int)17"
    assert frame["metas"] == METAS
    assert (frame["sequence"], frame["captured_at"]) == (0, captured_at)
    assert captured_at < frame["due_at"] <= now


def test_a_publisher_counts_its_frames_and_stamps_them(publisher: Side, reader: Side) -> None:
    sub = reader.open()
    frames = []
    begun = time.monotonic_ns()
    first = sub.begin("receive", timeout_ms=WAIT)
    pub = publisher.open()
    pub.do("publish", count=3)
    frames = [first(), *(sub.do("receive", timeout_ms=WAIT) for _ in range(2))]
    assert [frame["sequence"] for frame in frames] == [0, 1, 2]
    captures = [frame["captured_at"] for frame in frames]
    assert captures == sorted(captures)
    assert begun < captures[0]
    assert all(frame["captured_at"] <= frame["due_at"] for frame in frames)
    # Name, version and boot are the same for all, and so is the number that the publisher drew.
    stamps = [bytes.fromhex(frame["stamp"]) for frame in frames]
    assert len({stamp[:43] for stamp in stamps}) == 1
    assert stamps[0][19:35] == bytes.fromhex(BOOT_ID.read_text().replace("-", ""))


def test_without_aux_bytes_there_are_neither_caps_nor_a_stamp(publisher: Side, reader: Side) -> None:
    publisher.open(aux_bytes=0).do("publish", value=9)
    frame = reader.open().do("receive", timeout_ms=WAIT)
    assert frame["value"] == 9
    fields = {name: frame[name] for name in ("caps", "stamp", "metas", "sequence", "captured_at", "due_at")}
    assert fields == {"caps": None, "stamp": None, "metas": [], "sequence": None, "captured_at": None, "due_at": None}


def test_both_languages_write_the_same_bytes(make_peer: Callable[[str], Peer]) -> None:
    """But for the number that a publisher draws, and the moment at which the frame is due."""
    written: list[dict[str, Any]] = []
    for language in LANGUAGES:
        pub = Side(make_peer(language), "publisher").open()
        pub.do("publish", value=1, captured_at=1_000_000, **FIELDS)
        frame = Side(make_peer("python"), "subscriber").open().do("receive", timeout_ms=WAIT)
        stamp = bytearray.fromhex(frame["stamp"])
        stamp[35:43] = stamp[59:67] = bytes(8)
        written.append(frame | {"stamp": stamp.hex(), "due_at": None})
        pub.do("close")
    assert written[0] == written[1]


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (1280, 720)])
def test_pictures_arrive_byte_for_byte(size: tuple[int, int], publisher: Side, reader: Side) -> None:
    pub = publisher.open()
    pub.do("publish", value=200, width=size[0], height=size[1])
    assert reader.open().do("receive", timeout_ms=WAIT)["value"] == 200
