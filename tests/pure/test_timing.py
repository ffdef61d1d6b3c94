"""The moments of a frame, written and read through its meta records."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2.video import timing
from gst_iceoryx2.video.auxblob import build_aux, parse_aux
from gst_iceoryx2.video.metas import CustomMeta, ReferenceTimestamp, encode_meta
from gst_iceoryx2.video.timing import AuxTemplate, FrameTimes, TimeRecords, boot_id, read_times, read_times_from_aux
from tests.vectors.notation import load, unhex

VECTORS = load("time")
BOOT, PUBLISHER = VECTORS["boot_id"], VECTORS["publisher"]
CAPS = "video/x-raw, format=(string)BGR, width=(int)640, height=(int)480, framerate=(fraction)30/1"
MOMENTS = st.integers(0, 2**64 - 2)
OTHER = encode_meta(CustomMeta("FrameInfo", {"count": 7}))


def named(key: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", VECTORS[key], ids=lambda case: case["name"])


@named("exact")
def test_times_are_written_to_the_byte_and_read_back(case):
    records = [unhex(record) for record in case["records"]]
    due, capture, sequence = case["due"], case["capture"], case["sequence"]
    assert TimeRecords(PUBLISHER, BOOT).records(due, capture, sequence) == records
    assert read_times(records, BOOT) == (due, capture, PUBLISHER, sequence)


@named("decode")
def test_what_anybody_wrote_gives_what_is_known(case):
    records = [unhex(record) for record in case["records"]]
    expected = FrameTimes(case["due"], case["capture"], case["publisher"], case["sequence"])
    assert read_times(records, BOOT) == expected
    assert read_times_from_aux(build_aux(CAPS, records), BOOT) == expected


@given(MOMENTS, MOMENTS, MOMENTS, st.sampled_from([None, CAPS, CAPS + ", note=(string)é" * 3]))
def test_the_template_writes_what_build_aux_writes(due, capture, sequence, caps):
    template = AuxTemplate(caps, PUBLISHER, BOOT)
    records = TimeRecords(PUBLISHER, BOOT).records(due, capture, sequence)
    blob = template.blob(due, capture, sequence)
    assert blob == build_aux(caps, records)
    assert len(blob) == template.size
    assert template.blob(due, capture, sequence, [OTHER]) == build_aux(caps, [*records, OTHER])
    assert template.blob(None, capture, sequence) == build_aux(caps, records[1:])


@pytest.mark.parametrize("missing", [0, 1, 250, 1000])
def test_the_template_leaves_out_what_exceeds_the_limit(missing):
    template = AuxTemplate(CAPS, PUBLISHER, BOOT)
    records = TimeRecords(PUBLISHER, BOOT).records(1, 2, 3)
    limit = template.size - missing
    assert template.blob(1, 2, 3, limit=limit) == build_aux(CAPS, records, limit)
    assert template.blob(1, 2, 3, [OTHER], limit) == build_aux(CAPS, [*records, OTHER], limit)


@given(MOMENTS, MOMENTS, MOMENTS, st.integers(0, 4), st.binary(max_size=8))
def test_the_short_cut_through_a_blob_gives_what_parsing_gives(due, capture, sequence, extra, padding):
    blob = AuxTemplate(CAPS, PUBLISHER, BOOT).blob(due, capture, sequence, [OTHER] * extra) + padding
    assert read_times_from_aux(blob, BOOT) == FrameTimes(due, capture, PUBLISHER, sequence)
    assert read_times_from_aux(memoryview(bytearray(blob)), BOOT) == FrameTimes(due, capture, PUBLISHER, sequence)


@given(st.integers(0, 600), st.integers(0, 255))
def test_the_short_cut_and_parsing_agree_on_a_damaged_blob(position, value):
    blob = bytearray(AuxTemplate(CAPS, PUBLISHER, BOOT).blob(3, 2, 1))
    blob[position % len(blob)] = value
    slow = timing._read_one_by_one(parse_aux(blob).metas, BOOT)
    assert read_times_from_aux(blob, BOOT) == slow
    assert read_times(parse_aux(blob).metas, BOOT) == slow


def test_the_short_cut_and_parsing_agree_on_a_cut_blob():
    blob = AuxTemplate(CAPS, PUBLISHER, BOOT).blob(3, 2, 1)
    for length in range(len(blob)):
        slow = timing._read_one_by_one(parse_aux(blob[:length]).metas, BOOT)
        assert read_times_from_aux(blob[:length], BOOT) == slow


def test_records_whose_bytes_only_join_to_the_usual_form_are_not_read():
    joined = b"".join(TimeRecords(PUBLISHER, BOOT).records(3, 2, 1))
    assert read_times([joined[:100], joined[100:200], joined[200:]], BOOT) == FrameTimes()


@given(st.binary(max_size=120))
def test_no_bytes_raise(data):
    assert read_times([data], BOOT) == FrameTimes()
    assert read_times_from_aux(data, BOOT) == FrameTimes()


def test_a_publisher_draws_its_own_id():
    first, second = TimeRecords(), TimeRecords()
    assert first.publisher_id != second.publisher_id
    assert read_times(first.records(1, 2, 3)).publisher == first.publisher_id


@pytest.mark.parametrize("publisher_id", ["", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0"])
def test_an_id_of_another_form_is_refused(publisher_id):
    with pytest.raises(ValueError, match="publisher_id: "):
        TimeRecords(publisher_id, BOOT)


def test_a_boot_id_of_another_form_is_refused():
    with pytest.raises(ValueError, match="boot: "):
        TimeRecords(PUBLISHER, "; kind=(string)due")


@pytest.mark.parametrize("moment", [-1, 2**64])
@pytest.mark.parametrize("write", [AuxTemplate(CAPS).blob, TimeRecords().records])
def test_a_moment_beyond_64_bits_is_refused(write, moment):
    with pytest.raises(OverflowError):
        write(moment, 0, 0)


def test_without_a_boot_id_there_is_no_time_but_a_sequence():
    records = TimeRecords(PUBLISHER, "").records(1, 2, 3)
    assert read_times(records, BOOT) == FrameTimes(None, None, PUBLISHER, 3)
    template = AuxTemplate(CAPS, PUBLISHER, "")
    assert template.blob(1, 2, 3) == build_aux(CAPS, records)
    assert template.size == len(template.blob(1, 2, 3))
    with_clock = TimeRecords(PUBLISHER, BOOT).records(1, 2, 3)
    assert read_times(with_clock, "") == FrameTimes(None, None, PUBLISHER, 3)
    assert read_times_from_aux(build_aux(CAPS, with_clock), "") == FrameTimes(None, None, PUBLISHER, 3)


def test_a_machine_without_boot_id_has_none(monkeypatch, tmp_path):
    for content in (None, b"", b"not an id", b"\xff" * 36):
        path = tmp_path / "boot_id"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(timing, "_BOOT_ID_FILE", path)
        assert boot_id.__wrapped__() == ""


def test_the_clock_is_the_one_of_the_records():
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert before <= timing.monotonic_ns() <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_ids_of_many_publishers_do_not_pile_up():
    for number in range(1000):
        records = TimeRecords(f"{number:016x}", BOOT).records(1, 2, number)
        assert read_times(records, BOOT).sequence == number
        assert read_times(records[2:], BOOT).sequence == number
    assert timing._publisher.cache_info().currsize <= 64
    assert timing._meaning.cache_info().currsize <= 64


def test_metas_that_are_no_times_are_not_decoded(monkeypatch):
    """Reading the times of a frame with 64 metas of 16 kB took more than two seconds."""
    decoded = []
    monkeypatch.setattr(timing, "decode_meta", lambda record: decoded.append(len(record)))
    long = encode_meta(ReferenceTimestamp(f"timestamp/x-monotonic, a=(int){{ {', '.join(['1'] * 5000)} }}", 1))
    assert len(long) > 15_000
    for record in (long, encode_meta(CustomMeta("FrameInfo", {"text": "x" * 15_000}))):
        assert read_times_from_aux(build_aux(CAPS, [record] * 64), BOOT) == FrameTimes()
    assert decoded == []
