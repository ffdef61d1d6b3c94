"""Turn what a program publishes into tables, and map coordinates to the source."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from .._wire.result_tables import CLASSIFICATION, KEYPOINT, MASK, NONE_U32, Rows, Tables
from ..errors import FormatError
from ..video.rendition import Rendition
from ._labels import Labels
from .boxes import Box, Boxes, rows_of
from .parts import Classification, Keypoint, Mask, Tensor

NO_VALUE: Final = object()
"""Stands for "no JSON value", because None is one."""


def tables_of(
    rendition: Rendition | None,
    boxes: Boxes | Iterable[Box],
    keypoints: Iterable[Keypoint],
    classifications: Iterable[Classification],
    masks: Iterable[Mask],
    tensor: Tensor | tuple[str, Any] | None,
    value: object,
) -> Tables:
    """Return the tables of one result.

    Args:
        rendition: How the analysed frame shows the source; None = coordinates are those of the source.
        boxes: Boxes.
        keypoints: Keypoints.
        classifications: Classifications.
        masks: Masks.
        tensor: Name and array.
        value: JSON value; `NO_VALUE` = none.

    Raises:
        FormatError: A value cannot be represented.
    """
    labels = Labels()
    tables = Tables(boxes=rows_of(boxes, labels))
    if keypoints:
        tables.keypoints = _rows(
            ((_none(box), labels.index(label), x, y, score, 0) for label, x, y, score, box in keypoints),
            KEYPOINT,
            "keypoint",
            "Keypoint(label, x, y, score, box)",
        )
    if classifications:
        tables.classifications = _rows(
            ((_none(box), labels.index(label), score, 0) for label, score, box in classifications),
            CLASSIFICATION,
            "classification",
            "Classification(label, score, box)",
        )
    if masks:
        runs: list[Rows] = []
        tables.masks = _rows((_mask_row(mask, labels, runs) for mask in masks), MASK, "mask", "Mask.of(array, x, y)")
        tables.runs = np.concatenate(runs or [tables.runs])
    if tensor is not None:
        tables.tensor = _tensor(tensor)
    if value is not NO_VALUE:
        tables.json = _json(value)
    tables.labels = tuple(labels.names)
    if rendition is not None:
        tables.boxes = _mapped(tables.boxes, rendition)
        tables.keypoints = _mapped(tables.keypoints, rendition)
        tables.masks = _mapped(tables.masks, rendition)
    return tables


def _mask_row(mask: Mask, labels: Labels, runs: list[Rows]) -> tuple[Any, ...]:
    """Return the row of a mask, and append its runs."""
    rect = mask.x, mask.y, mask.width, mask.height
    runs.append(np.asarray(mask.runs, "<u4"))
    return (_none(mask.box), labels.index(mask.label), *rect, mask.columns, mask.rows, len(mask.runs), 0)


def _rows(rows: Iterable[tuple[Any, ...]], kind: np.dtype[Any], name: str, form: str) -> Rows:
    try:
        return np.array(list(rows), kind)
    except (AttributeError, OverflowError, TypeError, ValueError) as exc:
        raise FormatError(f"a {name} cannot be represented ({exc}); use {form}") from exc


def _tensor(tensor: Tensor | tuple[str, Any]) -> tuple[str, Rows]:
    try:
        name, data = tensor
        array = np.ascontiguousarray(data).reshape(np.shape(data))
    except (TypeError, ValueError) as exc:
        raise FormatError(f"the tensor cannot be represented ({exc}); use Tensor(name, array)") from exc
    if not isinstance(name, str):
        raise FormatError(f"the name of a tensor must be a str, not {type(name).__name__}; use Tensor(name, array)")
    return name, array


def _none(box: int | None) -> int:
    return NONE_U32 if box is None else box


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as exc:
        raise FormatError(f"the value cannot be written as JSON: {exc}") from exc


def _mapped(rows: Rows, rendition: Rendition) -> Rows:
    """Return a copy of rows with the coordinates of the source."""
    if not len(rows):
        return rows
    rows = rows.copy()
    origin, target = rendition.rect, rendition.source_rect
    for axis, (name, size) in enumerate((("x", "width"), ("y", "height"))):
        # In 64 bits, so that only the result is rounded.
        wide = rows[name].astype(np.float64)
        rows[name] = (wide - origin[axis]) * target[axis + 2] / origin[axis + 2] + target[axis]
        if size in (rows.dtype.names or ()):
            rows[size] = rows[size].astype(np.float64) * target[axis + 2] / origin[axis + 2]
    return rows
