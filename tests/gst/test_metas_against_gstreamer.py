"""GStreamer and the SDK read the same values and types from structures and caps that either of them wrote.

Through the C interface: PyGObject cannot make a GstFraction or a GstValueList.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gst_iceoryx2._wire.caps import parse_caps, video_caps
from gst_iceoryx2._wire.metas import CustomMeta, ReferenceTimestamp, encode_meta
from gst_iceoryx2._wire.text import read_structure, write_structure
from gst_iceoryx2._wire.value import FieldValue, Scalar
from tests.vectors.notation import fields_of, load, same

library = ctypes.util.find_library("gstreamer-1.0")
if library is None:
    pytest.skip("GStreamer is not installed", allow_module_level=True)
gst = ctypes.CDLL(library)
gobject = ctypes.CDLL("libgobject-2.0.so.0")
glib = ctypes.CDLL("libglib-2.0.so.0")

Pointer, Text, Type = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t

# G_TYPE_MAKE_FUNDAMENTAL(n) is n << 2 (gobject/gtype.h).
BOOLEAN, INT, INT64, DOUBLE, STRING = (n << 2 for n in (5, 6, 10, 15, 16))


class GValue(ctypes.Structure):
    """The public layout of a GValue: its type and 16 bytes of data."""

    _fields_ = (("g_type", Type), ("data", ctypes.c_uint64 * 2))


def declare(from_library: ctypes.CDLL, name: str, result: object, *arguments: object) -> Callable[..., object]:
    function = from_library[name]
    function.restype, function.argtypes = result, arguments
    return function


Value = ctypes.POINTER(GValue)
g_free = declare(gobject, "g_free", None, Pointer)
g_type_name = declare(gobject, "g_type_name", Text, Type)
g_value_init = declare(gobject, "g_value_init", Pointer, Value, Type)
g_value_unset = declare(gobject, "g_value_unset", None, Value)
value_set = {
    BOOLEAN: declare(gobject, "g_value_set_boolean", None, Value, ctypes.c_int),
    INT: declare(gobject, "g_value_set_int", None, Value, ctypes.c_int),
    INT64: declare(gobject, "g_value_set_int64", None, Value, ctypes.c_int64),
    DOUBLE: declare(gobject, "g_value_set_double", None, Value, ctypes.c_double),
    STRING: declare(gobject, "g_value_set_string", None, Value, Text),
}
value_get: dict[int, Callable[..., object]] = {
    BOOLEAN: declare(gobject, "g_value_get_boolean", ctypes.c_int, Value),
    INT: declare(gobject, "g_value_get_int", ctypes.c_int, Value),
    INT64: declare(gobject, "g_value_get_int64", ctypes.c_int64, Value),
    DOUBLE: declare(gobject, "g_value_get_double", ctypes.c_double, Value),
    STRING: declare(gobject, "g_value_get_string", Text, Value),
}
declare(gst, "gst_init", None, Pointer, Pointer)(None, None)
FRACTION, LIST, ARRAY = (
    declare(gst, f"gst_{name}_get_type", Type)() for name in ("fraction", "value_list", "value_array")
)
set_fraction = declare(gst, "gst_value_set_fraction", None, Value, ctypes.c_int, ctypes.c_int)
numerator = declare(gst, "gst_value_get_fraction_numerator", ctypes.c_int, Value)
denominator = declare(gst, "gst_value_get_fraction_denominator", ctypes.c_int, Value)
append = {
    LIST: declare(gst, "gst_value_list_append_value", None, Value, Value),
    ARRAY: declare(gst, "gst_value_array_append_value", None, Value, Value),
}
size = {
    LIST: declare(gst, "gst_value_list_get_size", ctypes.c_uint, Value),
    ARRAY: declare(gst, "gst_value_array_get_size", ctypes.c_uint, Value),
}
item = {
    LIST: declare(gst, "gst_value_list_get_value", Value, Value, ctypes.c_uint),
    ARRAY: declare(gst, "gst_value_array_get_value", Value, Value, ctypes.c_uint),
}
structure_new = declare(gst, "gst_structure_new_empty", Pointer, Text)
structure_free = declare(gst, "gst_structure_free", None, Pointer)
structure_name = declare(gst, "gst_structure_get_name", Text, Pointer)
structure_set = declare(gst, "gst_structure_set_value", None, Pointer, Text, Value)
structure_get = declare(gst, "gst_structure_get_value", Value, Pointer, Text)
structure_fields = declare(gst, "gst_structure_n_fields", ctypes.c_int, Pointer)
structure_field_name = declare(gst, "gst_structure_nth_field_name", Text, Pointer, ctypes.c_uint)
structure_to_string = declare(gst, "gst_structure_to_string", Pointer, Pointer)
structure_serialize = declare(gst, "gst_structure_serialize", Pointer, Pointer, ctypes.c_int)
structure_from_string = declare(gst, "gst_structure_from_string", Pointer, Text, Pointer)
caps_from_string = declare(gst, "gst_caps_from_string", Pointer, Text)
caps_to_string = declare(gst, "gst_caps_to_string", Pointer, Pointer)
caps_structure = declare(gst, "gst_caps_get_structure", Pointer, Pointer, ctypes.c_uint)
mini_object_unref = declare(gst, "gst_mini_object_unref", None, Pointer)


def take_text(address: object) -> str:
    assert isinstance(address, int)
    try:
        return ctypes.string_at(address).decode()
    finally:
        g_free(address)


def gtype_of(value: Scalar) -> int:
    """Return the type that the SDK writes for a value: gint for an int of 32 bits, otherwise gint64."""
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INT if -(2**31) <= value < 2**31 else INT64
    return {float: DOUBLE, str: STRING, Fraction: FRACTION}[type(value)]


def to_gvalue(value: FieldValue, gtype: int | None = None) -> GValue:
    result = GValue()
    if isinstance(value, (list, tuple)):
        container = LIST if isinstance(value, list) else ARRAY
        g_value_init(result, container)
        item_type = INT64 if any(gtype_of(each) == INT64 for each in value) else None
        for each in value:
            element = to_gvalue(each, item_type)
            append[container](result, element)
            g_value_unset(element)
        return result
    gtype = gtype or gtype_of(value)
    g_value_init(result, gtype)
    if isinstance(value, Fraction):
        set_fraction(result, value.numerator, value.denominator)
    else:
        value_set[gtype](result, value.encode() if isinstance(value, str) else value)
    return result


def from_gvalue(value: GValue) -> tuple[str, object]:
    """Return the type's name and the Python value of a GValue."""
    gtype = value.g_type
    if gtype in (LIST, ARRAY):
        items = [from_gvalue(item[gtype](value, index).contents) for index in range(size[gtype](value))]
        types = {name for name, _ in items}
        plain = [each for _, each in items]
        return "/".join(sorted(types)), plain if gtype == LIST else tuple(plain)
    if gtype == FRACTION:
        return "GstFraction", Fraction(numerator(value), denominator(value))
    plain = value_get[gtype](value)
    plain = plain.decode() if isinstance(plain, bytes) else bool(plain) if gtype == BOOLEAN else plain
    return g_type_name(gtype).decode(), plain


def walk(structure: object) -> Iterator[tuple[str, str, object]]:
    """Yield name, type and value of each field of a GstStructure."""
    for index in range(structure_fields(structure)):
        name = structure_field_name(structure, index)
        yield (name.decode(), *from_gvalue(structure_get(structure, name).contents))


def gstreamer_reads(text: str) -> tuple[str, list[tuple[str, str, object]]]:
    structure = structure_from_string(text.encode(), None)
    assert structure, f"GStreamer does not read {text!r}"
    try:
        return structure_name(structure).decode(), list(walk(structure))
    finally:
        structure_free(structure)


def gstreamer_writes(name: str, fields: dict[str, FieldValue]) -> str:
    structure = structure_new(name.encode())
    try:
        for field, value in fields.items():
            gvalue = to_gvalue(value)
            structure_set(structure, field.encode(), gvalue)
            g_value_unset(gvalue)
        return take_text(structure_to_string(structure))
    finally:
        structure_free(structure)


def expected_type(value: FieldValue) -> str:
    items = value if isinstance(value, (list, tuple)) else [value]
    names = {g_type_name(gtype_of(each)).decode() for each in items}
    return "gint64" if names == {"gint", "gint64"} else "/".join(names)


VECTORS = load("meta")
COMPARABLE = (
    "no semicolon at the end",
    "white space in other places",
    "a comma at the end",
    "other names of the same types",
    "other words for true and false",
    "a small number of type gint64",
    "quotes that were not needed, escapes that were not needed",
    "bytes beyond ASCII inside quotes, unescaped",
    "the last of two fields of one name counts",
    "a fraction that can be reduced",
)
"""Cases that GStreamer and the SDK read alike. In the other cases the SDK is deliberately stricter."""

WORDS = ["", "NULL", "0", "1", "-5", "1/2", "0x10", "true", "nan", "inf", "max", "1e5", "\\", '"', "\\012", "a;b", "é"]
AWKWARD = st.one_of(
    st.text(st.characters(exclude_characters="\0*", exclude_categories=["Cs"]), max_size=20),
    st.text('"\\;,=(){}[]<>\n\t\x01\x7f é😀0179NUL.:-+/', max_size=12),
    st.sampled_from(WORDS),
)
EDGES = [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63)]
FRACTIONS = st.builds(Fraction, st.integers(-(2**31) + 1, 2**31 - 1), st.integers(1, 2**31 - 1))
SCALARS = [
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1) | st.sampled_from(EDGES),
    # printf writes the sign of a NaN, the SDK does not.
    st.floats().map(lambda number: math.nan if math.isnan(number) else number),
    AWKWARD,
    FRACTIONS,
]
LISTS = [st.lists(scalar, max_size=4) for scalar in SCALARS]
VALUES = st.one_of(*SCALARS, *LISTS, *(each.map(tuple) for each in LISTS))
FIELDS = st.dictionaries(st.from_regex(r"[A-Za-z0-9_\-+/:.]{1,8}", fullmatch=True), VALUES, max_size=5)
ODD: dict[str, FieldValue] = {
    "nan": math.nan,
    "inf": -math.inf,
    "zero": -0.0,
    "tiny": 5e-324,
    "words": WORDS,
    "edges": tuple(EDGES),
    "none": [],
    "no": (),
}


@given(FIELDS)
@example(ODD)
def test_gstreamer_writes_the_same_text_as_we_do(fields):
    assert write_structure("FrameInfo", fields) == gstreamer_writes("FrameInfo", fields)


@given(FIELDS)
@example(ODD)
def test_gstreamer_reads_the_values_and_types_that_we_wrote(fields):
    name, read = gstreamer_reads(write_structure("FrameInfo", fields))
    assert name == "FrameInfo"
    assert same({field: value for field, _, value in read}, fields)
    assert [kind for _, kind, _ in read] == [expected_type(value) for value in fields.values()]


@given(FIELDS)
@example(ODD)
def test_we_read_the_values_that_gstreamer_wrote(fields):
    name, read = read_structure(gstreamer_writes("FrameInfo", fields))
    assert name == "FrameInfo"
    assert same(read, fields)


@pytest.mark.parametrize("case", [c for c in VECTORS["custom"] if "text" in c], ids=lambda case: case["name"])
def test_gstreamer_gives_the_vectors_back_letter_by_letter(case):
    structure = structure_from_string(case["text"].encode(), None)
    assert structure
    # Without flags, nested structures are written in brackets, as in gst_meta_serialize().
    assert in_the_words_of_1_22(take_text(structure_serialize(structure, 0))) == case["text"]
    structure_free(structure)


def in_the_words_of_1_22(text: str) -> str:
    """Undo two changes of later releases: an asterisk without a backslash, and `caps` instead of `GstCaps`."""
    return re.sub(r"(?<!\\)\*", r"\\*", text).replace("(caps)", "(GstCaps)")


@pytest.mark.parametrize("case", [c for c in VECTORS["custom_decode_only"] if c["name"] in COMPARABLE])
def test_gstreamer_agrees_on_what_other_spellings_mean(case):
    _, read = gstreamer_reads(case["text"].rstrip())
    assert same({field: value for field, _, value in read}, fields_of(case))


def test_an_asterisk_is_read_by_every_gstreamer():
    _, read = gstreamer_reads(write_structure("FrameInfo", {"a": "x*y"}))
    assert read == [("a", "gchararray", "x*y")]


@pytest.mark.parametrize("case", load("caps")["write"], ids=lambda case: case["text"])
def test_gstreamer_writes_our_caps_letter_by_letter(case):
    caps = caps_from_string(case["text"].encode())
    assert caps
    assert take_text(caps_to_string(caps)) == case["text"]
    mini_object_unref(caps)


@given(AWKWARD, st.integers(0, 2**31 - 1), FRACTIONS)
def test_gstreamer_reads_caps_as_we_wrote_them_and_we_read_its_own(text, number, ratio):
    written = video_caps(text, number, number, ratio, note=text)
    caps = caps_from_string(written.encode())
    assert caps
    expected = {"format": text, "width": number, "height": number, "framerate": ratio, "note": text}
    assert {name: value for name, _, value in walk(caps_structure(caps, 0))} == expected
    assert take_text(caps_to_string(caps)) == written
    assert parse_caps(written).fields == expected
    mini_object_unref(caps)


# --- whole records: gst_meta_serialize() and gst_meta_deserialize() exist since GStreamer 1.24 ---

serialises = pytest.mark.skipif(
    not hasattr(gst, "gst_meta_serialize_simple"), reason="GStreamer before 1.24 does not serialise metas"
)


class GByteArray(ctypes.Structure):
    """The public part of a GByteArray."""

    _fields_ = (("data", Pointer), ("len", ctypes.c_uint))


class GstReferenceTimestampMeta(ctypes.Structure):
    """Flags and info of a GstMeta, then the public fields, of which the last exists since 1.28."""

    _fields_ = (
        ("flags", ctypes.c_int),
        ("meta_info", Pointer),
        ("reference", Pointer),
        ("timestamp", ctypes.c_uint64),
        ("duration", ctypes.c_uint64),
        ("info", Pointer),
    )


gst_version = [ctypes.c_uint() for _ in range(4)]
declare(gst, "gst_version", None, *[Pointer] * 4)(*(ctypes.byref(part) for part in gst_version))
has_info = gst_version[1].value >= 28

buffer_new = declare(gst, "gst_buffer_new", Pointer)
add_reference = declare(
    gst,
    "gst_buffer_add_reference_timestamp_meta",
    ctypes.POINTER(GstReferenceTimestampMeta),
    *(Pointer, Pointer, ctypes.c_uint64, ctypes.c_uint64),
)
add_custom = declare(gst, "gst_buffer_add_custom_meta", Pointer, Pointer, Text)
custom_structure = declare(gst, "gst_custom_meta_get_structure", Pointer, Pointer)


def gst_meta_serialize(meta: object) -> bytes:
    array = declare(glib, "g_byte_array_new", ctypes.POINTER(GByteArray))()
    assert declare(gst, "gst_meta_serialize_simple", ctypes.c_int, Pointer, Pointer)(meta, array)
    record = ctypes.string_at(array.contents.data, array.contents.len)
    declare(glib, "g_byte_array_unref", None, Pointer)(array)
    return record


def gst_meta_deserialize(buffer: object, record: bytes) -> object:
    consumed = ctypes.c_uint32()
    arguments = Pointer, Text, ctypes.c_size_t, Pointer
    meta = declare(gst, "gst_meta_deserialize", Pointer, *arguments)(
        buffer, record, len(record), ctypes.byref(consumed)
    )
    assert consumed.value == len(record)
    return meta


@pytest.fixture(scope="module")
def custom_meta() -> str:
    """Register the custom meta once. A second time would be a critical warning."""
    declare(gst, "gst_meta_register_custom_simple", Pointer, Text)(b"FrameInfo")
    return "FrameInfo"


@serialises
@given(FIELDS)
@example(ODD)
@pytest.mark.proves("C4")
def test_gstreamer_serialises_a_custom_meta_to_our_record_and_reads_it_back(custom_meta, fields):
    buffer = buffer_new()
    structure = custom_structure(add_custom(buffer, custom_meta.encode()))
    for field, value in fields.items():
        gvalue = to_gvalue(value)
        structure_set(structure, field.encode(), gvalue)
        g_value_unset(gvalue)
    mine = CustomMeta(custom_meta, fields)
    record = gst_meta_serialize(first_meta(buffer))
    assert record == encode_meta(mine)
    received = gst_meta_deserialize(buffer, record)
    assert same({field: value for field, _, value in walk(custom_structure(received))}, fields)
    mini_object_unref(buffer)


@serialises
@pytest.mark.parametrize("case", VECTORS["reference_timestamp"], ids=lambda case: case["name"])
def test_gstreamer_serialises_a_reference_timestamp_to_our_record_and_reads_it_back(case):
    if case["info"] is not None and not has_info:
        pytest.skip("reference timestamps have an info structure since GStreamer 1.28")
    buffer = buffer_new()
    caps = caps_from_string(case["reference"].encode())
    duration = 2**64 - 1 if case["duration"] is None else case["duration"]
    meta = add_reference(buffer, caps, case["timestamp"], duration)
    if case["info"] is not None:
        meta.contents.info = structure_from_string(case["info"].encode(), None)
    mine = ReferenceTimestamp(case["reference"], case["timestamp"], case["duration"], case["info"])
    assert gst_meta_serialize(meta) == encode_meta(mine)
    received = ctypes.cast(gst_meta_deserialize(buffer, encode_meta(mine)), type(meta)).contents
    assert (received.timestamp, received.duration) == (case["timestamp"], duration)
    assert take_text(caps_to_string(received.reference)) == case["reference"]
    if has_info:
        assert bool(received.info) == (case["info"] is not None)
    mini_object_unref(caps)
    mini_object_unref(buffer)


def first_meta(buffer: object) -> object:
    state = Pointer()
    return declare(gst, "gst_buffer_iterate_meta", Pointer, Pointer, Pointer)(buffer, ctypes.byref(state))
