"""The payload of a result: its tables as bytes, and back (SPEC.md section 11)."""

from __future__ import annotations

import math
import struct
from typing import Final

import numpy as np

from ..contract import limit
from .fault import Fault
from .metas import split_record
from .result_tables import (
    CHECKS,
    MASK,
    MAX_DIMENSIONS,
    MAX_JSON,
    MAX_LABEL,
    MAX_TENSOR_NAME,
    SECTIONS,
    TENSOR_TYPES,
    Rows,
    Tables,
    bad_label,
    bad_value,
    check_masks,
    check_rows,
    check_shape,
    check_tables,
)
from .results import MAX_RESULTS_BYTES, RESULTS_VERSION

RESULTS_META: Final = "Iox2Results"
"""Name of the meta record with which a frame carries what was found in it."""

_RECORD: Final = struct.Struct("<4I")
_SECTION: Final = struct.Struct("<IIQ")
_TENSOR: Final = struct.Struct("<4I")
_MAX_SECTIONS: Final = limit("max_results_sections")
# Kinds of sections with a single entry: tensor and JSON text.
_SINGLE: Final = (6, 7)


def encode_tables(tables: Tables) -> tuple[bytes, int] | Fault:
    """Return the payload and the number of its sections.

    Returns:
        The payload; a fault if the tables break rule 5 or 7 of SPEC.md section 11.
    """
    fault = check_tables(tables)
    if fault is not None:
        return fault
    sections = []
    if tables.labels:
        texts = [label.encode() for label in tables.labels]
        sections.append((1, len(texts), struct.pack(f"<{len(texts)}I", *map(len, texts)) + b"".join(texts)))
    for kind, rows in ((2, tables.boxes), (3, tables.keypoints), (4, tables.classifications)):
        if len(rows):
            sections.append((kind, len(rows), rows.tobytes()))
    if len(tables.masks):
        sections.append((5, len(tables.masks), tables.masks.tobytes() + tables.runs.tobytes()))
    if tables.tensor is not None:
        sections.append((6, 1, _encode_tensor(*tables.tensor)))
    if tables.json is not None:
        sections.append((7, 1, tables.json.encode()))
    parts = [
        part
        for kind, count, body in sections
        for part in (_SECTION.pack(kind, count, len(body)), body, bytes(-len(body) % 8))
    ]
    payload = b"".join(parts) or bytes(8)
    if len(payload) > MAX_RESULTS_BYTES:
        return Fault.of("results_bytes", payload=len(payload), most=MAX_RESULTS_BYTES)
    return payload, len(sections)


def _encode_tensor(name: str, data: Rows) -> bytes:
    text = name.encode()
    code = TENSOR_TYPES.index(data.dtype.newbyteorder("<")) + 1
    head = _TENSOR.pack(code, data.ndim, len(text), 0) + struct.pack(f"<{data.ndim}Q", *data.shape) + text
    return head + bytes(-len(head) % 8) + data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()


# -- decoding ----------------------------------------------------------------------------------------------------------


def decode_tables(payload: bytes, entries: int) -> Tables | Fault:
    """Return the content of a payload, which any process may have written. The arrays refer to `payload`.

    Args:
        payload: A private copy of the payload.
        entries: Number of sections in the header.

    Returns:
        The content; a fault if the payload breaks rule 6 or 7 of SPEC.md section 11.
    """
    sections = _sections(payload, entries)
    if isinstance(sections, Fault):
        return sections
    tables = Tables()
    for kind in sorted(sections):
        fault = _DECODERS[kind - 1](tables, payload, *sections[kind])
        if fault is not None:
            return fault
    return tables


def read_results(record: bytes) -> tuple[int, int, Tables] | None:
    """Read the record `Iox2Results` of a frame.

    Returns:
        Width and height of the picture whose pixels the coordinates mean, and the tables. None if the record is of
        another kind, or breaks a rule of SPEC.md section 11.
    """
    name, version, content = split_record(record)
    if name != RESULTS_META.encode() or version != RESULTS_VERSION or len(content) < _RECORD.size:
        return None
    width, height, entries, _ = _RECORD.unpack_from(content)
    tables = decode_tables(content[_RECORD.size :], entries)
    return None if isinstance(tables, Fault) else (width, height, tables)


def _sections(payload: bytes, entries: int) -> dict[int, tuple[int, int, int]] | Fault:
    """Return the count, the position and the size of each section of a known kind, by kind."""
    if entries > _MAX_SECTIONS:
        return _bad_section(entries, entries, 0, 0, 0, len(payload))
    found: dict[int, tuple[int, int, int]] = {}
    at = 0
    for number in range(1, entries + 1):
        body = at + _SECTION.size
        if body > len(payload):
            return _bad_section(number, entries, 0, 0, 0, max(0, len(payload) - at))
        kind, count, size = _SECTION.unpack_from(payload, at)
        left = len(payload) - body
        if size > left or kind in found or (kind in _SINGLE and count != 1):
            return _bad_section(number, entries, kind, count, size, left)
        if 1 <= kind <= len(SECTIONS):
            found[kind] = count, body, size
        # The padding of the last section may be missing.
        at = body + size + -size % 8
    return found


def _bad_section(number: int, entries: int, kind: int, count: int, size: int, left: int) -> Fault:
    return Fault.of(
        "sections",
        number=number,
        entries=entries,
        kind=kind,
        count=count,
        size=size,
        left=left,
        most=_MAX_SECTIONS,
    )


def _decode_labels(tables: Tables, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    if 4 * count > size:
        return Fault.in_section("labels", "section_bytes", count=count, needed=4 * count, size=size)
    lengths = struct.unpack_from(f"<{count}I", payload, at)
    needed = 4 * count + sum(lengths)
    if needed != size:
        return Fault.in_section("labels", "section_bytes", count=count, needed=needed, size=size)
    position, labels = at + 4 * count, []
    for index, length in enumerate(lengths):
        if length > MAX_LABEL:
            return bad_label(index, length)
        text = _text(payload[position : position + length])
        if text is None:
            return bad_value("labels", "text", index, "other bytes", "UTF-8 without NUL")
        labels.append(text)
        position += length
    tables.labels = tuple(labels)
    return None


def _decode_boxes(tables: Tables, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    return _decode_rows(tables, "boxes", payload, count, at, size)


def _decode_keypoints(tables: Tables, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    return _decode_rows(tables, "keypoints", payload, count, at, size)


def _decode_classifications(tables: Tables, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    return _decode_rows(tables, "classifications", payload, count, at, size)


def _decode_rows(tables: Tables, section: str, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    kind = CHECKS[section][0]
    if count * kind.itemsize != size:
        return Fault.in_section(section, "section_bytes", count=count, needed=count * kind.itemsize, size=size)
    setattr(tables, section, np.frombuffer(payload, kind, count, at))
    return check_rows(tables, section)


def _decode_masks(tables: Tables, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    needed = count * MASK.itemsize
    if needed <= size:
        rows = np.frombuffer(payload, MASK, count, at)
        runs = int(rows["runs"].sum(dtype=np.uint64))
        at, needed = at + needed, needed + 4 * runs
    if needed != size:
        return Fault.in_section("masks", "section_bytes", count=count, needed=needed, size=size)
    tables.masks, tables.runs = rows, np.frombuffer(payload, "<u4", runs, at)
    return check_rows(tables, "masks") or check_masks(tables)


def _decode_tensor(tables: Tables, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    if size < _TENSOR.size:
        return Fault.in_section("tensor", "section_bytes", count=count, needed=_TENSOR.size, size=size)
    code, dimensions, length, _ = _TENSOR.unpack_from(payload, at)
    if not 1 <= code <= len(TENSOR_TYPES):
        return bad_value("tensor", "dtype", 0, code, f"1 to {len(TENSOR_TYPES)}")
    if dimensions > MAX_DIMENSIONS:
        return bad_value("tensor", "dimensions", 0, dimensions, f"at most {MAX_DIMENSIONS}")
    if length > MAX_TENSOR_NAME:
        return bad_value("tensor", "length of the name", 0, length, f"at most {MAX_TENSOR_NAME}")
    head = _TENSOR.size + 8 * dimensions + length
    data = head + -head % 8
    if data > size:
        return Fault.in_section("tensor", "section_bytes", count=count, needed=data, size=size)
    shape = struct.unpack_from(f"<{dimensions}Q", payload, at + _TENSOR.size)
    name = _text(payload[at + head - length : at + head])
    if name is None:
        return bad_value("tensor", "name", 0, "other bytes", "UTF-8 without NUL")
    kind = TENSOR_TYPES[code - 1]
    fault = check_shape(shape, kind)
    if fault is not None:
        return fault
    needed = data + math.prod(shape) * kind.itemsize
    if needed != size:
        return Fault.in_section("tensor", "section_bytes", count=count, needed=needed, size=size)
    tables.tensor = name, np.frombuffer(payload, kind, math.prod(shape), at + data).reshape(shape)
    return None


def _decode_json(tables: Tables, payload: bytes, count: int, at: int, size: int) -> Fault | None:
    if size > MAX_JSON:
        return bad_value("json", "size", 0, size, f"at most {MAX_JSON} bytes")
    try:
        tables.json = payload[at : at + size].decode()
    except UnicodeDecodeError:
        return bad_value("json", "text", 0, "other bytes", "UTF-8")
    return None


_DECODERS: Final = (
    _decode_labels,
    _decode_boxes,
    _decode_keypoints,
    _decode_classifications,
    _decode_masks,
    _decode_tensor,
    _decode_json,
)


def _text(raw: bytes) -> str | None:
    """Return a text; None if it is not UTF-8 or contains NUL."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
