"""Keyframes are found, and their parameter sets are inserted where they are missing."""

from __future__ import annotations

from typing import Any

import pytest

av: Any = pytest.importorskip("av")

from gst_iceoryx2.feed.units import ParameterSets, size_of
from tests.packets.test_frame_decoder import encoded

LONG, SHORT = b"\0\0\0\1", b"\0\0\1"
SPS, PPS, IDR, SLICE, AUD, SEI = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41slice", b"\x09\xf0", b"\x06sei"
VPS5, SPS5, PPS5, AUD5 = b"\x40\1vps", b"\x42\1sps", b"\x44\1pps", b"\x46\1\x50"


def idr5(kind: int) -> bytes:
    """A slice of H.265."""
    return bytes([kind << 1, 1]) + b"slice"


def test_missing_sets_are_inserted_before_the_picture_and_after_the_delimiter() -> None:
    sets = ParameterSets("h264", LONG + SPS + LONG + PPS)
    assert sets.completed(LONG + IDR) == LONG + SPS + LONG + PPS + LONG + IDR
    assert sets.completed(LONG + AUD + SHORT + SEI + SHORT + IDR) == (
        LONG + AUD + LONG + SPS + LONG + PPS + SHORT + SEI + SHORT + IDR
    )


def test_what_is_complete_does_not_change() -> None:
    sets = ParameterSets("h264", None)
    whole = LONG + AUD + LONG + SPS + SHORT + PPS + SHORT + IDR + SHORT + IDR
    assert sets.completed(whole) == whole
    assert ParameterSets("h264", None).completed(LONG + IDR) == LONG + IDR


def test_sets_in_the_stream_replace_those_of_the_server() -> None:
    sets = ParameterSets("h264", LONG + SPS + LONG + PPS)
    before = sets.newest
    sets.completed(SHORT + b"\x67new" + SHORT + b"\x68a" + SHORT + b"\x68b" + SHORT + IDR)
    assert sets.newest != before
    assert sets.completed(LONG + IDR) == SHORT + b"\x67new" + SHORT + b"\x68a" + SHORT + b"\x68b" + LONG + IDR


def test_only_the_missing_kind_is_inserted() -> None:
    sets = ParameterSets("h265", LONG + VPS5 + LONG + SPS5 + LONG + PPS5)
    data = LONG + AUD5 + LONG + SPS5 + LONG + idr5(20)
    assert sets.completed(data) == LONG + AUD5 + LONG + VPS5 + LONG + PPS5 + LONG + SPS5 + LONG + idr5(20)


@pytest.mark.parametrize(
    ("codec", "data", "is_keyframe"),
    [
        ("h264", LONG + AUD + LONG + SPS + LONG + PPS + LONG + IDR, True),
        ("h264", LONG + SLICE, False),
        # FFmpeg says that decoding can begin at a recovery point, too, but browsers do not begin there.
        ("h264", LONG + SPS + LONG + PPS + LONG + SEI + LONG + SLICE, False),
        ("h264", LONG + SEI, False),
        ("h264", b"", False),
        *(("h265", LONG + idr5(kind), 16 <= kind <= 21) for kind in (0, 1, 9, 15, 16, 19, 20, 21, 22)),
        ("av1", b"\x12\0", True),
    ],
)
def test_keyframes_are_found_in_the_bytes(codec: str, data: bytes, is_keyframe: bool) -> None:
    assert ParameterSets(codec, None).is_keyframe(data, told=True) is is_keyframe


DELIMITER, SEQUENCE, FRAME = b"\x12\0", b"\x0a\3seq", b"\x32\5frame"


def test_av1_gets_its_sequence_header_after_the_delimiter() -> None:
    sets = ParameterSets("av1", b"\x81\0\0\0" + SEQUENCE)
    assert sets.completed(DELIMITER + FRAME) == DELIMITER + SEQUENCE + FRAME
    assert sets.completed(FRAME) == SEQUENCE + FRAME
    whole = DELIMITER + b"\x0a\3new" + FRAME
    assert sets.completed(whole) == whole
    assert sets.completed(FRAME) == b"\x0a\3new" + FRAME
    # Damaged units do not loop or fail.
    for junk in (b"", b"\x32", b"\x32\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x12\x7f"):
        ParameterSets("av1", None).completed(junk)


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_the_size_is_that_of_the_decoded_picture(codec: str) -> None:
    data = bytes(encoded(codec, 3, 0, (322, 182))[0])
    assert size_of(data, codec) == (322, 182)
    assert size_of(data[:20], codec) is None
    assert size_of(b"\0\0\1\x65" * 9, codec) is None
