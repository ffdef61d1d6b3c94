"""The aux blob: what this package writes, and what it reads from damaged or foreign blobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire.auxblob import MAX_METAS, build_aux, parse_aux
from gst_iceoryx2.errors import FormatError
from tests.vectors.notation import load, unhex

VECTORS = load("aux")
CAPS = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
METAS = st.lists(st.binary(max_size=40), max_size=MAX_METAS)


def named(key: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", VECTORS[key], ids=lambda case: case["name"])


@named("exact")
def test_a_blob_is_written_to_the_byte_and_read_back(case):
    metas = [unhex(meta) for meta in case["metas"]]
    assert build_aux(case["caps"], metas) == unhex(case["blob"])
    assert parse_aux(unhex(case["blob"])) == (case["caps"], metas)


@named("decode")
def test_the_valid_parts_of_a_blob_are_read(case):
    assert parse_aux(unhex(case["blob"])) == (case["caps"], [unhex(meta) for meta in case["metas"]])


@named("limit")
def test_records_that_exceed_the_limit_are_left_out(case):
    metas = [unhex(meta) for meta in case["metas"]]
    assert build_aux(case["caps"], metas, case["limit"]) == unhex(case["blob"])


def test_a_blob_that_is_cut_off_gives_the_parts_before_the_cut():
    case = VECTORS["truncated"]
    metas = [unhex(meta) for meta in case["metas"]]
    blob = build_aux(case["caps"], metas)
    for cut in case["cuts"]:
        expected = (case["caps"] if cut["caps"] else None, metas[: cut["metas"]])
        assert parse_aux(blob[: cut["length"]]) == expected, cut


@given(CAPS, METAS, st.binary(max_size=20))
def test_a_blob_is_read_back_with_any_padding(caps, metas, padding):
    assert parse_aux(build_aux(caps, metas) + padding) == (caps, metas)


@given(CAPS, METAS, st.integers(0, 3000))
def test_every_cut_leaves_a_beginning(caps, metas, length):
    parsed = parse_aux(build_aux(caps, metas)[:length])
    assert parsed.caps in (caps, None)
    assert parsed.metas == metas[: len(parsed.metas)]


@given(CAPS, METAS, st.integers(0, 3000))
def test_a_blob_keeps_its_limit_or_is_its_caps_alone(caps, metas, limit):
    blob = build_aux(caps, metas, limit)
    parsed = parse_aux(blob)
    assert parsed.caps == caps
    assert len(blob) <= limit or parsed.metas == []


def test_a_view_of_bytes_is_read_and_copied():
    blob = bytearray(build_aux("video/x-raw", [b"abc"]))
    parsed = parse_aux(memoryview(blob))
    blob[:] = bytes(len(blob))
    assert parsed == ("video/x-raw", [b"abc"])


def test_views_are_written_like_bytes():
    assert build_aux(None, [memoryview(b"abc"), bytearray(b"d")]) == build_aux(None, [b"abc", b"d"])


@pytest.mark.parametrize("caps", ["video/x-raw\0", "video/x-raw\ud800"])
def test_caps_that_are_not_text_are_not_written(caps):
    with pytest.raises(FormatError, match="caps: "):
        build_aux(caps, [])
