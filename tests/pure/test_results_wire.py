"""The record of results: code, data, specification and vectors say the same."""

from __future__ import annotations

import ctypes
import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire.fault import Fault
from gst_iceoryx2._wire.result_payload import decode_tables, encode_tables
from gst_iceoryx2._wire.result_tables import (
    BOX,
    CLASSIFICATION,
    KEYPOINT,
    MASK,
    NONE_U32,
    SECTIONS,
    TENSOR_TYPES,
    Tables,
)
from gst_iceoryx2._wire.results import (
    RESULTS_HEADER_SIZE,
    RESULTS_HEADER_TYPE_NAME,
    VideoResultsHeader,
    parse_results_service,
    results_service,
    validate_results,
)
from gst_iceoryx2.contract import contract
from gst_iceoryx2.errors import InvalidServiceNameError
from tests.damage import damages, examples
from tests.vectors.notation import load, text_of, unhex

LAYOUT = contract("layout")["results"]
VECTORS = load("results")
CTYPES = {"u64": ctypes.c_uint64, "u32": ctypes.c_uint32, "u8": ctypes.c_uint8}
NONE_U64 = (1 << 64) - 1


# -- header ----------------------------------------------------------------------------------------------------------


def header_of(fields: dict[str, Any]) -> VideoResultsHeader:
    header = VideoResultsHeader()
    for name, value in fields.items():
        if name == "boot_id_hex":
            header.boot_id[:] = list(bytes.fromhex(value))
        else:
            setattr(header, name, value)
    return header


def test_the_structure_is_laid_out_as_the_data_say() -> None:
    assert ctypes.sizeof(VideoResultsHeader) == LAYOUT["size"] == RESULTS_HEADER_SIZE
    assert ctypes.alignment(VideoResultsHeader) == LAYOUT["align"]
    assert VideoResultsHeader.type_name() == LAYOUT["type_name"] == RESULTS_HEADER_TYPE_NAME
    kinds = {name: kind for name, kind in VideoResultsHeader._fields_}  # noqa: C416 - typeshed's tuples are not pairs
    assert list(kinds) == [field["name"] for field in LAYOUT["fields"]]
    end = 0
    for field in LAYOUT["fields"]:
        member, kind = getattr(VideoResultsHeader, field["name"]), kinds[field["name"]]
        assert (member.offset, member.size) == (field["offset"], field["size"]) == (end, field["size"]), field["name"]
        assert kind is CTYPES[field["type"]] if field["count"] == 1 else kind == CTYPES[field["type"]] * field["count"]
        end += field["size"]
    assert end == LAYOUT["size"]


@pytest.mark.parametrize("vector", VECTORS["headers"], ids=lambda vector: vector["name"])
def test_a_header_is_decoded_and_encoded(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    assert bytes(header_of(vector["fields"])) == raw == bytes(VideoResultsHeader.from_buffer_copy(raw))


@pytest.mark.parametrize("case", VECTORS["validate"], ids=lambda case: case["name"])
def test_the_first_rule_that_a_header_breaks_is_named(case: dict[str, Any]) -> None:
    fault = validate_results(header_of(case["header"]), case["payload_size"])
    assert (None if fault is None else fault.rule) == case["rule"]
    assert fault is None or (fault.startswith(f"{case['rule']}: ") and "\n" not in fault)


# -- tables ----------------------------------------------------------------------------------------------------------


def label_of(row: dict[str, Any]) -> str | None:
    return None if row.get("label", "") is None else text_of(row, "label")


def tables_of(case: dict[str, Any]) -> Tables:
    """Return the content of a case of `exact`."""
    labels = [unhex(text).decode() for text in case.get("labels_hex", ())] or case.get("labels", [])

    def rows(name: str, kind: np.dtype[Any]) -> np.ndarray[Any, Any]:
        table = np.zeros(len(case.get(name, ())), kind)
        for index, row in enumerate(case.get(name, ())):
            label = label_of(row)
            given = {**row, "label": NONE_U32 if label is None else labels.index(label), "reserved": 0}
            if "box" in kind.names:
                given["box"] = NONE_U32 if row["box"] is None else row["box"]
            if name == "boxes":
                given["track"] = NONE_U64 if row["track"] is None else row["track"]
            if name == "masks":
                given["runs"] = len(row["runs"])
            table[index] = tuple(given[field] for field in kind.names)
        return table

    tensor = case.get("tensor")
    return Tables(
        tuple(labels),
        rows("boxes", BOX),
        rows("keypoints", KEYPOINT),
        rows("classifications", CLASSIFICATION),
        rows("masks", MASK),
        np.array([run for mask in case.get("masks", ()) for run in mask["runs"]], "<u4"),
        None if tensor is None else (tensor["name"], tensor_of(tensor)),
        case.get("json"),
    )


def tensor_of(tensor: dict[str, Any]) -> np.ndarray[Any, Any]:
    kind = contract("layout")["constants"]["TENSOR_TYPES"].split().index(tensor["dtype"])
    return np.frombuffer(unhex(tensor["data"]), TENSOR_TYPES[kind]).reshape(tensor["shape"])


def as_text(tables: Tables) -> str:
    """Return all of a content, for comparisons."""
    tensor = tables.tensor and (tables.tensor[0], tables.tensor[1].dtype.str, tables.tensor[1].tolist())
    arrays = [tables.boxes, tables.keypoints, tables.classifications, tables.masks, tables.runs]
    return repr((tables.labels, [array.tolist() for array in arrays], tensor, tables.json))


@pytest.mark.parametrize("case", VECTORS["exact"], ids=lambda case: case["name"])
def test_a_content_is_encoded_and_decoded(case: dict[str, Any]) -> None:
    payload = unhex(case["payload"])
    tables = tables_of(case)
    assert encode_tables(tables) == (payload, case["entries"])
    decoded = decode_tables(payload, case["entries"])
    assert isinstance(decoded, Tables)
    assert as_text(decoded) == as_text(tables)
    assert not decoded.boxes.flags.writeable or not len(decoded.boxes)


@pytest.mark.parametrize("case", VECTORS["decode"], ids=lambda case: case["name"])
@pytest.mark.proves("R6")
def test_the_first_rule_that_a_payload_breaks_is_named(case: dict[str, Any]) -> None:
    decoded = decode_tables(unhex(case["payload"]), case["entries"])
    assert (decoded.rule if isinstance(decoded, Fault) else None) == case["rule"]
    if isinstance(decoded, Fault):
        assert decoded.startswith(f"{case['rule']}: ")
        assert "\n" not in decoded


def test_every_rule_of_a_payload_has_a_vector() -> None:
    assert {case["rule"] for case in VECTORS["decode"]} == {None, "sections", *SECTIONS}


EXACT = [unhex(case["payload"]) for case in VECTORS["exact"]]


def read_all(payload: bytes, entries: int) -> None:
    """What a subscriber does with a payload."""
    decoded = decode_tables(payload, entries)
    if isinstance(decoded, Fault):
        assert decoded.rule in ("sections", *SECTIONS)
        return
    again = encode_tables(decoded)
    assert not isinstance(again, Fault)
    copy = decode_tables(*again)
    assert isinstance(copy, Tables)
    assert as_text(copy) == as_text(decoded)


@examples(500)
@given(damages(EXACT) | st.binary(max_size=300), st.integers(0, 8) | st.integers(0, 2**32 - 1))
@pytest.mark.proves("H2")
@pytest.mark.proves("R6")
def test_any_payload_is_read(payload: bytes, entries: int) -> None:
    read_all(payload, entries)


@examples(200)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 4) | st.integers(0, 2**32 - 1), st.binary(max_size=100)),
        max_size=4,
    )
)
@pytest.mark.proves("H2")
@pytest.mark.proves("R6")
def test_sections_of_any_content_are_read(sections: list[tuple[int, int, bytes]]) -> None:
    """Heads that are sound lead into the checks of the tables."""
    payload = b"".join(
        kind.to_bytes(4, "little")
        + count.to_bytes(4, "little")
        + len(body).to_bytes(8, "little")
        + body
        + bytes(-len(body) % 8)
        for kind, count, body in sections
    )
    read_all(payload, len(sections))


@examples(50)
@given(damages(EXACT), st.integers(0, 70))
@pytest.mark.proves("H2")
@pytest.mark.proves("R6")
def test_reading_a_payload_costs_memory_in_proportion(payload: bytes, entries: int) -> None:
    tracemalloc.start()
    try:
        decode_tables(payload, entries)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(payload) + 200_000


def test_a_mask_of_the_most_cells_costs_nothing_until_it_is_expanded() -> None:
    case = next(case for case in VECTORS["decode"] if case["name"] == "a mask of the most cells")
    tracemalloc.start()
    try:
        assert isinstance(decode_tables(unhex(case["payload"]), 1), Tables)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


# -- what a publisher refuses ----------------------------------------------------------------------------------------


def boxes(*rows: tuple[float, ...]) -> np.ndarray[Any, Any]:
    table = np.zeros(len(rows), BOX)
    for index, row in enumerate(rows):
        table[index] = (*row, NONE_U32, NONE_U64)
    return table


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (Tables(boxes=boxes((0, 0, 1, 1, 1), (0, math.nan, 1, 1, 1))), "boxes: y of entry 1 is nan, but must be a fin"),
        (Tables(boxes=boxes((0, 0, 1, -2, 1))), "boxes: height of entry 0 is -2.0, but must be at least 0"),
        (Tables(labels=("x" * 4097,)), "labels: size of entry 0 is 4097, but must be at most 4096 bytes"),
        (Tables(labels=("a", "\ud800")), r"labels: text of entry 1 is '\ud800', but must be UTF-8 without NUL"),
        (Tables(labels=("a\0" + 50 * "b",)), r"labels: text of entry 0 is 'a\x00" + 38 * "b" + r"\u2026', but must be"),
        (Tables(json="\ud800"), r"json: text of entry 0 is '\ud800', but must be UTF-8"),
        (
            Tables(tensor=("t" * 256, np.zeros(1))),
            "tensor: length of the name of entry 0 is 256, but must be at most 255",
        ),
        (Tables(tensor=("t\0", np.zeros(1))), r"tensor: name of entry 0 is 't\x00', but must be UTF-8 without NUL"),
        (Tables(json="x" * 1048577), "json: size of entry 0 is 1048577, but must be at most 1048576 bytes"),
        (Tables(tensor=("t", np.zeros(3, bool))), "tensor: dtype of entry 0 is bool, but must be one of uint8, "),
        (Tables(tensor=("t", np.zeros((1,) * 9))), "tensor: dimensions of entry 0 is 9, but must be at most 8"),
        (Tables(tensor=("t", np.zeros(2_097_153))), "tensor: size of entry 0 is 16777224, but must be at most 1677721"),
        (Tables(tensor=("t", np.zeros(2_097_152))), "length: the result has 16777264 bytes, but must"),
    ],
)
@pytest.mark.proves("R8")
def test_a_content_that_breaks_a_rule_is_refused_with_its_numbers(tables: Tables, words: str) -> None:
    refused = encode_tables(tables)
    assert isinstance(refused, Fault)
    assert refused.startswith(words)


@pytest.mark.parametrize("order", "<>")
def test_a_tensor_of_any_byte_order_is_sent_in_little_endian(order: str) -> None:
    encoded = encode_tables(Tables(tensor=("t", np.arange(3, dtype=f"{order}f4"))))
    assert not isinstance(encoded, Fault)
    decoded = decode_tables(*encoded)
    assert isinstance(decoded, Tables)
    assert decoded.tensor is not None
    assert decoded.tensor[1].tolist() == [0, 1, 2]


def test_100_000_boxes_fit_into_a_result() -> None:
    encoded = encode_tables(Tables(boxes=large(100_000)))
    assert not isinstance(encoded, Fault)
    decoded = decode_tables(*encoded)
    assert isinstance(decoded, Tables)
    assert len(decoded.boxes) == 100_000


def large(count: int) -> np.ndarray[Any, Any]:
    table = np.zeros(count, BOX)
    table["label"] = NONE_U32
    return table


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["names"], ids=lambda case: json.dumps([case["source"], case["detector"][:9]]))
def test_a_stream_and_a_detector_have_a_service(case: dict[str, Any]) -> None:
    if case["service"] is None:
        with pytest.raises(InvalidServiceNameError):
            results_service(case["source"], case["detector"])
        return
    name = results_service(case["source"], case["detector"])
    assert name == case["service"]
    parsed = parse_results_service(name)
    assert parsed is not None
    assert results_service(*parsed) == name


@pytest.mark.parametrize("name", ["video/cam0/frame/v2", "video/cam0/results/y/v2", "video//results/y/v1", "y"])
def test_other_names_are_not_results(name: str) -> None:
    assert parse_results_service(name) is None
