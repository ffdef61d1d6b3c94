"""The stamp of a frame, written and read as the first meta record of its aux blob."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire import stamp
from gst_iceoryx2._wire.auxblob import build_aux, parse_aux
from gst_iceoryx2._wire.metas import CustomMeta, encode_meta
from gst_iceoryx2._wire.stamp import UNSTAMPED, AuxTemplate, Stamp, boot_id, monotonic_ns, new_publisher_id, read_stamp
from tests.vectors.notation import load, unhex

VECTORS = load("stamp")
CAPS = "video/x-raw, format=(string)BGR, width=(int)640, height=(int)480, framerate=(fraction)30/1"
NUMBERS = st.integers(0, 2**64 - 2)
OTHER = encode_meta(CustomMeta("FrameInfo", {"count": 7}))


def stamp_of(case: dict[str, Any]) -> Stamp:
    publisher = None if case["publisher"] is None else int(case["publisher"], 16)
    return Stamp(bytes.fromhex(case["boot_id"]), publisher, case["sequence"], case["capture"], case["due"])


def named(key: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", VECTORS[key], ids=lambda case: case["name"])


@named("exact")
def test_a_stamp_is_written_to_the_byte_and_read_back(case):
    expected, record = stamp_of(case), unhex(case["record"])
    assert expected.record() == record
    assert len(record) == 67
    assert Stamp.read(record) == expected
    assert read_stamp(build_aux(CAPS, [record])) == expected


@named("decode")
def test_only_a_valid_first_record_is_a_stamp(case):
    expected = UNSTAMPED if case["stamp"] is None else stamp_of(case["stamp"])
    assert read_stamp(build_aux(CAPS, [unhex(record) for record in case["records"]])) == expected


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from([None, CAPS, CAPS + ", note=(string)é" * 3]))
def test_the_template_writes_what_build_aux_writes(publisher, sequence, capture, due, caps):
    template = AuxTemplate(caps, publisher)
    expected = Stamp(boot_id(), publisher, sequence, capture, due)
    blob = template.blob(due, capture, sequence)
    assert blob == build_aux(caps, [expected.record()])
    assert len(blob) == template.size
    assert read_stamp(blob) == expected
    assert read_stamp(memoryview(bytearray(blob + b"\xff" * 5))) == expected
    assert template.blob(due, capture, sequence, [OTHER]) == build_aux(caps, [expected.record(), OTHER])
    assert read_stamp(template.blob(None, capture, sequence)) == expected._replace(due=None)
    assert read_stamp(template.blob(due, None, sequence)) == expected._replace(capture=None)


@pytest.mark.parametrize("missing", [0, 1, 60, 1000])
def test_the_template_leaves_out_what_exceeds_the_limit(missing):
    template = AuxTemplate(CAPS, 7)
    record = Stamp(boot_id(), 7, 3, 2, 1).record()
    limit = template.size - missing
    assert template.blob(1, 2, 3, limit=limit) == build_aux(CAPS, [record], limit)
    assert template.blob(1, 2, 3, [OTHER], limit) == build_aux(CAPS, [record, OTHER], limit)


@given(st.integers(0, 600), st.integers(0, 255), st.integers(0, 300))
def test_a_damaged_blob_gives_the_stamp_that_parsing_gives(position, value, length):
    """The stamp is found without parsing the blob; both ways agree on what any process wrote."""
    blob = bytearray(AuxTemplate(CAPS, 5).blob(3, 2, 1))
    blob[position % len(blob)] = value
    for damaged in (blob, blob[:length]):
        records = parse_aux(damaged).metas[:1]
        assert read_stamp(damaged) == ((Stamp.read(records[0]) if records else None) or UNSTAMPED)


@given(st.binary(max_size=120))
def test_no_bytes_raise(data):
    assert read_stamp(data) == UNSTAMPED
    assert Stamp.read(data) is None


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_beyond_64_bits_is_refused(number):
    with pytest.raises(OverflowError):
        AuxTemplate(CAPS, 5).blob(number, 0, 0)
    with pytest.raises(OverflowError):
        Stamp(bytes(16), sequence=number).record()


def test_publishers_draw_different_numbers_of_64_bits():
    numbers = {new_publisher_id() for _ in range(100)}
    assert len(numbers) == 100
    assert max(numbers) > 2**56


def test_moments_of_another_boot_mean_nothing_here(monkeypatch):
    ours = Stamp(boot_id(), 5, 1, 2, 3)
    assert ours.here() == ours
    assert ours._replace(boot_id=b"\1" * 16).here() == Stamp(b"\1" * 16, 5, 1)
    # A machine without a boot id cannot tell whose clock it is.
    monkeypatch.setattr(stamp, "boot_id", lambda: bytes(16))
    assert ours.here() == ours._replace(capture=None, due=None)
    assert ours._replace(boot_id=bytes(16)).here() == Stamp(bytes(16), 5, 1)


def test_the_boot_id_is_that_of_the_kernel(monkeypatch, tmp_path):
    path = tmp_path / "boot_id"
    monkeypatch.setattr(stamp, "_BOOT_ID_FILE", path)
    for content, expected in (
        (None, bytes(16)),
        (b"", bytes(16)),
        (b"not an id", bytes(16)),
        (b"\xff" * 36, bytes(16)),
        (b"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n", bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    ):
        if content is not None:
            path.write_bytes(content)
        assert boot_id.__wrapped__() == expected


def test_the_clock_is_the_one_of_the_stamps():
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert before <= monotonic_ns() <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
