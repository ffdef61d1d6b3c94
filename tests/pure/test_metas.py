"""Meta records: reference timestamps and custom metas."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gst_iceoryx2._wire.metas import CustomMeta, RawValue, ReferenceTimestamp, decode_meta, encode_meta
from gst_iceoryx2._wire.text import write_structure
from tests.vectors.notation import fields_of, load, same, unhex

VECTORS = load("meta")

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
FRACTIONS = st.builds(Fraction, st.integers(-(2**31) + 1, 2**31 - 1), st.integers(1, 2**31 - 1))
SCALARS = [st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), TEXT, FRACTIONS]
VALUES = st.one_of(*SCALARS, *(st.lists(scalar, max_size=5) for scalar in SCALARS)).map(
    lambda value: tuple(value) if isinstance(value, list) and len(value) % 2 else value
)
FIELD_NAMES = st.from_regex(r"[A-Za-z0-9_\-+/:.]{1,12}", fullmatch=True)


def named(key: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", VECTORS[key], ids=lambda case: case["name"])


def reference_of(case) -> ReferenceTimestamp:
    return ReferenceTimestamp(case["reference"], case["timestamp"], case["duration"], case["info"])


@named("reference_timestamp")
def test_a_reference_timestamp_is_written_to_the_byte_and_read_back(case):
    assert encode_meta(reference_of(case)) == unhex(case["record"])
    assert decode_meta(unhex(case["record"])) == reference_of(case)


@named("reference_timestamp_decode_only")
def test_a_reference_timestamp_in_another_form_is_read(case):
    assert decode_meta(unhex(case["record"])) == reference_of(case)


@named("custom")
def test_a_custom_meta_is_written_to_the_byte_and_read_back(case):
    fields = fields_of(case)
    assert encode_meta(CustomMeta(case["meta"], fields)) == unhex(case["record"])
    meta = decode_meta(unhex(case["record"]))
    assert isinstance(meta, CustomMeta)
    assert meta.name == case["meta"]
    assert same(meta.fields, fields)


@named("custom_decode_only")
def test_a_custom_meta_in_another_form_is_read(case):
    meta = decode_meta(unhex(case["record"]))
    assert isinstance(meta, CustomMeta)
    assert meta.name == case["meta"]
    assert same(meta.fields, fields_of(case))


@named("opaque")
def test_an_invalid_record_and_one_of_another_kind_stay_bytes(case):
    record = unhex(case["record"])
    assert decode_meta(record) is record


@named("refused")
def test_metas_that_a_receiver_would_refuse_are_not_written(case):
    with pytest.raises((ValueError, TypeError), match=r"name|field|the text is"):
        encode_meta(CustomMeta(case["meta"], fields_of(case)))


@given(st.dictionaries(FIELD_NAMES, VALUES, max_size=6))
@example({"nan": math.nan, "neg": -0.0, "l": [1, 2**40], "e": [], "a": ()})
def test_every_custom_meta_comes_back_with_values_types_and_order(fields):
    meta = decode_meta(encode_meta(CustomMeta("FrameInfo", fields)))
    assert isinstance(meta, CustomMeta)
    assert same(meta.fields, fields)


@given(st.binary(max_size=60))
def test_no_record_raises(record):
    assert decode_meta(record) is record


@given(st.sampled_from(["FrameInfo", "GstReferenceTimestampMeta"]), st.binary(max_size=80))
def test_no_payload_raises(name, payload):
    record = struct.pack("<II", len(name) + 10 + len(payload), len(name)) + name.encode() + b"\0\0" + payload
    assert isinstance(decode_meta(record), (bytes, CustomMeta, ReferenceTimestamp))


@given(st.text(alphabet='a=(int)5{}[]<>,;"\\ é\n.-string', max_size=60))
def test_any_text_is_read_without_an_error_and_can_be_sent_on(text):
    payload = f"FrameInfo, {text}".encode() + b"\0"
    record = struct.pack("<II", 19 + len(payload), 9) + b"FrameInfo\0\0" + payload
    meta = decode_meta(record)
    if isinstance(meta, CustomMeta):
        again = decode_meta(encode_meta(meta))
        assert isinstance(again, CustomMeta)
        assert same(again.fields, meta.fields)


def test_a_field_in_an_unknown_type_can_be_sent_on():
    fields = {"mask": RawValue("(bitmask)0x0000000000000003"), "sub": RawValue('(structure)"x\\,\\ a\\=\\[\\;"')}
    assert decode_meta(encode_meta(CustomMeta("FrameInfo", fields))) == CustomMeta("FrameInfo", fields)


def test_numbers_of_numpy_are_numbers():
    fields = {"i": np.int64(5), "u": np.uint8(200), "f": np.float32(0.5), "b": np.bool_(True), "l": [np.int32(1), 2]}
    assert write_structure("x", fields) == ("x, i=(int)5, u=(int)200, f=(double)0.5, b=(boolean)true, l=(int){ 1, 2 };")


@pytest.mark.parametrize("value", [None, b"bytes", {"a": 1}, object(), {1, 2}, [None], 1j])
def test_the_error_for_a_value_that_cannot_be_represented_names_the_field(value):
    with pytest.raises(TypeError, match="field 'odd': a"):
        encode_meta(CustomMeta("FrameInfo", {"odd": value}))


@pytest.mark.parametrize(
    ("meta", "field"),
    [
        (ReferenceTimestamp("timestamp/x-unix", -1), "timestamp"),
        (ReferenceTimestamp("timestamp/x-unix", 2**64 - 1), "timestamp"),
        (ReferenceTimestamp("timestamp/x-unix", 0, -1), "duration"),
        (ReferenceTimestamp("timestamp/x-unix", 0, 2**64 - 1), "duration"),
        (ReferenceTimestamp("not caps, =", 0), "caps"),
        (ReferenceTimestamp("timestamp/x-unix\0", 0), "caps"),
        (ReferenceTimestamp("timestamp/x-unix", 0, info="not a structure, ="), "info"),
        (ReferenceTimestamp("timestamp/x-unix", 0, info="i\0"), "info"),
    ],
)
def test_a_reference_timestamp_that_cannot_be_sent_names_the_field(meta, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        encode_meta(meta)


def test_an_object_of_another_type_is_not_a_meta():
    with pytest.raises(TypeError, match="neither"):
        encode_meta(b"record")  # type: ignore[arg-type]


def test_metas_do_not_change_after_they_were_made():
    with pytest.raises(AttributeError):
        ReferenceTimestamp("timestamp/x-unix", 0).timestamp = 1  # type: ignore[misc]
