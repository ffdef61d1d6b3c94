"""The tables of a result and their checks: labels, boxes, keypoints, masks and others (SPEC.md section 11).

Checks work on whole tables, so the time per box is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..contract import contract, limit
from .fault import Fault
from .results import MAX_RESULTS_BYTES

_CONSTANTS: Final = contract("layout")["constants"]

SECTIONS: Final[tuple[str, ...]] = tuple(_CONSTANTS["RESULT_SECTIONS"].split())
"""Names of the sections; the kind of a section is its position, counted from 1."""

TENSOR_TYPES: Final = tuple(np.dtype(f"<{name[0]}{int(name[1:]) // 8}") for name in _CONSTANTS["TENSOR_TYPES"].split())
"""NumPy's types for the elements of tensors; the code of a type is its position, counted from 1."""

NONE_U32: Final = (1 << 32) - 1
"""Value that means "none" for a label and a box."""

BOX: Final = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("width", "<f4"),
        ("height", "<f4"),
        ("score", "<f4"),
        ("label", "<u4"),
        ("track", "<u8"),
    ]
)
KEYPOINT: Final = np.dtype(
    [("box", "<u4"), ("label", "<u4"), ("x", "<f4"), ("y", "<f4"), ("score", "<f4"), ("reserved", "<u4")]
)
CLASSIFICATION: Final = np.dtype([("box", "<u4"), ("label", "<u4"), ("score", "<f4"), ("reserved", "<u4")])
MASK: Final = np.dtype(
    [
        ("box", "<u4"),
        ("label", "<u4"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("width", "<f4"),
        ("height", "<f4"),
        ("columns", "<u4"),
        ("rows", "<u4"),
        ("runs", "<u4"),
        ("reserved", "<u4"),
    ]
)

# Characters of a text that an error shows.
_SHOWN: Final = 40

Rows = npt.NDArray[Any]

MAX_LABEL: Final = limit("max_label_bytes")
_MAX_CELLS: Final = limit("max_mask_cells")
_MAX_SIDE: Final = limit("max_dimension_pixels")
MAX_DIMENSIONS: Final = limit("max_tensor_dimensions")
MAX_TENSOR_NAME: Final = limit("max_tensor_name_bytes")
MAX_JSON: Final = limit("max_results_json_bytes")

# Fields that must be finite numbers, those of them that must not be negative, and references to labels and boxes.
CHECKS: Final[dict[str, tuple[np.dtype[Any], tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "boxes": (BOX, ("x", "y", "width", "height", "score"), ("width", "height"), ("label",)),
    "keypoints": (KEYPOINT, ("x", "y", "score"), (), ("label", "box")),
    "classifications": (CLASSIFICATION, ("score",), (), ("label", "box")),
    "masks": (MASK, ("x", "y", "width", "height"), ("width", "height"), ("label", "box")),
}


@dataclass(slots=True)
class Tables:
    """The content of one result. Arrays have one row per entry, with the fields of the table in SPEC.md section 11.

    Attributes:
        labels: The texts that the other tables refer to.
        boxes: Array of `BOX`.
        keypoints: Array of `KEYPOINT`.
        classifications: Array of `CLASSIFICATION`.
        masks: Array of `MASK`.
        runs: uint32 (N,): the runs of all masks.
        tensor: Name and array; None = no tensor.
        json: JSON text; None = no text.
    """

    labels: tuple[str, ...] = ()
    boxes: Rows = field(default_factory=partial(np.empty, 0, BOX))
    keypoints: Rows = field(default_factory=partial(np.empty, 0, KEYPOINT))
    classifications: Rows = field(default_factory=partial(np.empty, 0, CLASSIFICATION))
    masks: Rows = field(default_factory=partial(np.empty, 0, MASK))
    runs: Rows = field(default_factory=partial(np.empty, 0, "<u4"))
    tensor: tuple[str, Rows] | None = None
    json: str | None = None


def check_tables(tables: Tables) -> Fault | None:
    """Return the first part of rule 7 of SPEC.md section 11 that tables break; None if they break none."""
    for index, label in enumerate(tables.labels):
        length = _utf8_length(label)
        if length is None:
            return bad_value("labels", "text", index, _shown(label), "UTF-8 without NUL")
        if length > MAX_LABEL:
            return bad_label(index, length)
    for section in CHECKS:
        fault = check_rows(tables, section)
        if fault is not None:
            return fault
    fault = check_masks(tables)
    if fault is not None:
        return fault
    if tables.tensor is not None:
        fault = _check_tensor(*tables.tensor)
        if fault is not None:
            return fault
    if tables.json is not None:
        length = _utf8_length(tables.json, has_nul=True)
        if length is None:
            return bad_value("json", "text", 0, _shown(tables.json), "UTF-8")
        if length > MAX_JSON:
            return bad_value("json", "size", 0, length, f"at most {MAX_JSON} bytes")
    return None


def check_rows(tables: Tables, section: str) -> Fault | None:
    """Check the numbers and references of one table."""
    rows = getattr(tables, section)
    if not len(rows):
        return None
    kind, numbers, sizes, references = CHECKS[section]
    words = rows.view("<u4").reshape(len(rows), -1)
    # Floats lie side by side, so one view covers them.
    first = kind.fields[numbers[0]][1] // 4  # type: ignore[index]
    floats = words[:, first : first + len(numbers)].view("<f4")
    if not np.isfinite(floats).all():
        index, column = (int(at[0]) for at in np.nonzero(~np.isfinite(floats)))
        return bad_value(section, numbers[column], index, floats[index, column], "a finite number")
    if sizes:
        start = numbers.index(sizes[0])
        negative = floats[:, start : start + len(sizes)] < 0
        if negative.any():
            index, column = (int(at[0]) for at in np.nonzero(negative))
            return bad_value(section, sizes[column], index, rows[sizes[column]][index], "at least 0")
    for name in references:
        there = len(tables.labels if name == "label" else tables.boxes)
        # "None" becomes 0, and the others move up by one.
        above = rows[name] + np.uint32(1) > there
        if above.any():
            index = int(above.argmax())
            return bad_value(section, name, index, rows[name][index], f"less than {there}, or none")
    return None


def check_masks(tables: Tables) -> Fault | None:
    """Check the sizes and runs of the masks."""
    masks = tables.masks
    if not len(masks):
        return None
    columns, rows = masks["columns"].astype(np.uint64), masks["rows"].astype(np.uint64)
    for name, sides in (("columns", columns), ("rows", rows)):
        if sides.min() < 1 or sides.max() > _MAX_SIDE:
            index = int(((sides < 1) | (sides > _MAX_SIDE)).argmax())
            return bad_value("masks", name, index, sides[index], f"1 to {_MAX_SIDE}")
    cells = columns * rows
    if cells.max() > _MAX_CELLS:
        index = int(cells.argmax())
        return bad_value("masks", "columns × rows", index, cells[index], f"at most {_MAX_CELLS}")
    # The first element is a uint64, too: a signed one would turn the sums into floats.
    ends = np.cumsum(np.append(np.uint64(0), masks["runs"]), dtype=np.uint64).astype(np.intp)
    totals = np.cumsum(np.append(np.uint64(0), tables.runs), dtype=np.uint64)
    covered = totals[ends[1:]] - totals[ends[:-1]]
    if (covered != cells).any():
        index = int((covered != cells).argmax())
        return bad_value("masks", "sum of the runs", index, covered[index], str(cells[index]))
    return None


def _check_tensor(name: str, data: Rows) -> Fault | None:
    length = _utf8_length(name)
    if length is None:
        return bad_value("tensor", "name", 0, _shown(name), "UTF-8 without NUL")
    if length > MAX_TENSOR_NAME:
        return bad_value("tensor", "length of the name", 0, length, f"at most {MAX_TENSOR_NAME} bytes")
    if data.dtype.newbyteorder("<") not in TENSOR_TYPES:
        known = ", ".join(kind.name for kind in TENSOR_TYPES)
        return bad_value("tensor", "dtype", 0, data.dtype, f"one of {known}")
    if data.ndim > MAX_DIMENSIONS:
        return bad_value("tensor", "dimensions", 0, data.ndim, f"at most {MAX_DIMENSIONS}")
    return check_shape(data.shape, data.dtype)


def check_shape(shape: tuple[int, ...], kind: np.dtype[Any]) -> Fault | None:
    """Check that the elements of a tensor fit into a result."""
    # Without the zeros, because NumPy refuses large dimensions even if the array is empty.
    size = math.prod(filter(None, shape)) * kind.itemsize
    if size > MAX_RESULTS_BYTES:
        return bad_value("tensor", "size", 0, size, f"at most {MAX_RESULTS_BYTES} bytes")
    return None


def bad_label(index: int, length: int) -> Fault:
    """Return the fault of a label that is too long."""
    return bad_value("labels", "size", index, length, f"at most {MAX_LABEL} bytes")


def bad_value(section: str, field: str, index: int, value: object, expected: str) -> Fault:
    """Return the fault of one value of a section."""
    return Fault.in_section(section, "section_value", field=field, index=index, value=value, expected=expected)


def _shown(text: str) -> str:
    """Return the beginning of a text, with escapes."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _utf8_length(text: str, *, has_nul: bool = False) -> int | None:
    """Return the number of bytes in UTF-8; None if the text cannot be represented."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return None
    return None if b"\0" in raw and not has_nul else len(raw)
