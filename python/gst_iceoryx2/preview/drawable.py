"""What the page draws of a result: bounded, whatever a detector publishes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._wire.header import NONE_U64
from .._wire.result_tables import NONE_U32, Rows, Tables
from ..errors import printable
from ..results import Results

# Most entries of each table. Chromium draws these boxes in about 10 ms.
_MAX_BOXES: Final = 2000
_MAX_KEYPOINTS: Final = 4000
_MAX_CLASSIFICATIONS: Final = 100
_MAX_MASKS: Final = 200
# Most columns and rows of a mask, and most cells of all masks. Larger masks are drawn with fewer cells.
_MAX_SIDE: Final = 256
_MAX_CELLS: Final = 1 << 20
_MAX_LABEL: Final = 40
# Coordinates beyond this are as good as infinite on a page.
_FAR: Final = 1e6


def drawable(results: Results) -> tuple[dict[str, object], bytes]:
    """Return what the page needs to draw a result.

    Returns:
        A value that `json.dumps` writes, and the cells of the masks: one bit each, row by row, with whole bytes for
        each mask. `left` is the number of entries that are not drawn.
    """
    # The tables and not the objects, because these would take seconds to create from the largest result.
    tables = results._tables
    words = _Words(tables.labels)
    boxes, points = tables.boxes[:_MAX_BOXES], tables.keypoints[:_MAX_KEYPOINTS]
    classes = tables.classifications[:_MAX_CLASSIFICATIONS]
    masks, cells = _masks(tables)
    ends = zip(boxes["label"].tolist(), boxes["score"].tolist(), boxes["track"].tolist(), strict=True)
    entries = sum(map(len, (tables.boxes, tables.keypoints, tables.classifications, tables.masks)))
    about: dict[str, object] = {
        "size": [results.width, results.height],
        "boxes": [
            [*rect, words.number(label), round(score, 3), None if track == NONE_U64 else str(track)]
            for rect, (label, score, track) in zip(_rects(boxes), ends, strict=True)
        ],
        "points": [
            [_none(box), *point] for box, point in zip(points["box"].tolist(), _columns(points, "x", "y"), strict=True)
        ],
        "classes": [[_none(box), words.number(label), round(score, 3)] for box, label, score, _ in classes.tolist()],
        "masks": [
            [*rect, *cells[at].shape[::-1], _none(int(masks["box"][at])), words.number(int(masks["label"][at]))]
            for at, rect in enumerate(_rects(masks))
        ],
        "left": entries - sum(map(len, (boxes, points, classes, masks))),
    }
    return about | {"labels": words.texts()}, b"".join(np.packbits(each).tobytes() for each in cells)


class _Words:
    """The labels that are drawn, each once."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._numbers: dict[int, int] = {}

    def number(self, label: int) -> int | None:
        """Return the position of a label in `texts`; None = none."""
        return None if label == NONE_U32 else self._numbers.setdefault(label, len(self._numbers))

    def texts(self) -> list[str]:
        return [_short(self._labels[label]) for label in self._numbers]


def _short(label: str) -> str:
    text = printable(label[: _MAX_LABEL + 1])
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


def _rects(rows: Rows) -> list[list[float]]:
    return _columns(rows, "x", "y", "width", "height")


def _columns(rows: Rows, *names: str) -> list[list[float]]:
    """Return some columns as short numbers."""
    table = np.stack([rows[name].astype(np.float64) for name in names], axis=1)
    plain: list[list[float]] = np.round(table.clip(-_FAR, _FAR), 2).tolist()
    return plain


def _none(number: int) -> int | None:
    return None if number == NONE_U32 else number


def _masks(tables: Tables) -> tuple[Rows, list[npt.NDArray[np.bool_]]]:
    """Return the masks that are drawn, and their cells."""
    masks = tables.masks[:_MAX_MASKS]
    cells: list[npt.NDArray[np.bool_]] = []
    start = total = 0
    for columns, rows, runs in zip(*(masks[name].tolist() for name in ("columns", "rows", "runs")), strict=True):
        total += min(columns, _MAX_SIDE) * min(rows, _MAX_SIDE)
        if total > _MAX_CELLS:
            break
        cells.append(_cells(columns, rows, tables.runs[start : start + runs]))
        start += runs
    return masks[: len(cells)], cells


def _cells(columns: int, rows: int, runs: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return the cells of a mask, or some of them, spread evenly, if it has many."""
    if max(columns, rows) <= _MAX_SIDE:
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rows, columns)
    across, down = (_spread(side) for side in (columns, rows))
    places = down[:, None] * columns + across
    # The number of runs that end at or before a cell.
    is_on: npt.NDArray[np.bool_] = np.searchsorted(np.cumsum(runs, dtype=np.int64), places, side="right") % 2 == 1
    return is_on


def _spread(side: int) -> npt.NDArray[np.int64]:
    count = min(side, _MAX_SIDE)
    return (2 * np.arange(count, dtype=np.int64) + 1) * side // (2 * count)
