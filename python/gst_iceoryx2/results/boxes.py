"""Boxes of detected objects, as objects and as arrays."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from .._wire.header import NONE_U64
from .._wire.result_tables import BOX, NONE_U32, Rows
from ..errors import FormatError
from ._labels import Labels

_ROW: Final = struct.Struct("<5fIQ")


class Box(NamedTuple):
    """A detected object.

    Attributes:
        label: Name of its class; None = none.
        score: Confidence of the detector, usually from 0 to 1.
        x: Left edge in pixels.
        y: Top edge in pixels. (0, 0) is the top left corner of the top left pixel.
        width: Width in pixels, at least 0.
        height: Height in pixels, at least 0.
        track: A number that the object keeps from frame to frame, less than 2^64 - 1; None = none.
    """

    label: str | None
    score: float
    x: float
    y: float
    width: float
    height: float
    track: int | None = None


class Boxes(Sequence[Box]):
    """Boxes in order. Each one is created when you access it; arrays cover all of them.

    Example:
        Publish the arrays of a detector:

            >>> boxes = Boxes.of(xyxy=[[0, 0, 4, 2], [1, 1, 2, 2]], scores=[0.9, 0.5], labels=["person", "cat"])
            >>> boxes[0]
            Box(label='person', score=0.8999999761581421, x=0.0, y=0.0, width=4.0, height=2.0, track=None)
            >>> boxes.xyxy[1].tolist()
            [1.0, 1.0, 2.0, 2.0]
    """

    __slots__ = ("_names", "_rows")

    def __init__(self, boxes: Iterable[Box] = ()) -> None:
        labels = Labels()
        self._rows: Rows = _rows_of(boxes, labels)
        self._names: Sequence[str] = labels.names

    @classmethod
    def of(
        cls,
        *,
        xyxy: npt.ArrayLike | None = None,
        xywh: npt.ArrayLike | None = None,
        scores: npt.ArrayLike | None = None,
        labels: Sequence[str | None] | None = None,
        tracks: Sequence[int | None] | npt.NDArray[Any] | None = None,
    ) -> Boxes:
        """Create boxes from arrays with one row per box.

        Args:
            xyxy: (N, 4): left, top, right and bottom edge in pixels. Give either this or `xywh`.
            xywh: (N, 4): left and top edge, width and height in pixels.
            scores: (N,): confidences; None = 1.
            labels: N names of classes; None = none.
            tracks: N numbers of tracks; None = none.

        Raises:
            FormatError: The arrays have other shapes or different lengths, or contain something other than numbers.
        """
        given = xywh if xyxy is None else xyxy
        if given is None or (xyxy is not None and xywh is not None):
            raise FormatError("give either xyxy or xywh")
        edges = _numbers(given, "boxes")
        if edges.size == 0:
            edges = edges.reshape(0, 4)
        if edges.ndim != 2 or edges.shape[1] != 4:
            raise FormatError(f"boxes must have the shape (N, 4), not {edges.shape}")
        count = len(edges)
        sizes = edges[:, 2:] if xyxy is None else edges[:, 2:] - edges[:, :2]
        confidences = _numbers(1.0 if scores is None else scores, "scores")
        rows = np.empty(count, BOX)
        # Numbers that are too large become infinite, which `publish` refuses.
        with np.errstate(over="ignore"):
            rows["x"], rows["y"] = edges[:, 0], edges[:, 1]
            rows["width"], rows["height"] = sizes[:, 0], sizes[:, 1]
            rows["score"] = _column(confidences, count, "scores")
        if isinstance(labels, str):
            raise FormatError(f"labels must be one text per box, not a single text: [{labels!r}]")
        names = Labels()
        rows["label"] = NONE_U32 if labels is None else _column(list(map(names.index, labels)), count, "labels")
        rows["track"] = NONE_U64 if tracks is None else _column(_tracks(tracks), count, "tracks")
        return cls._made(rows, names.names)

    @classmethod
    def _made(cls, rows: Rows, names: Sequence[str]) -> Boxes:
        """Create boxes from rows of `BOX` whose labels are positions in `names`."""
        made = cls.__new__(cls)
        made._rows, made._names = rows, names
        return made

    def _labelled(self, labels: Labels) -> Rows:
        """Return the rows with the labels of another table, to which missing names are added."""
        if not self._names or not len(self._rows):
            return self._rows
        used, first, positions = np.unique(self._rows["label"], return_index=True, return_inverse=True)
        moved = np.full(len(used), NONE_U32, np.uint32)
        for at in np.argsort(first):
            if used[at] != NONE_U32:
                moved[at] = labels.index(self._names[used[at]])
        rows = self._rows.copy()
        rows["label"] = moved[positions]
        return rows

    # -- one by one ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Box: ...
    @overload
    def __getitem__(self, index: slice) -> Boxes: ...
    def __getitem__(self, index: int | slice) -> Box | Boxes:
        if isinstance(index, slice):
            return self._made(self._rows[index], self._names)
        return self._box(self._rows[index].item())

    def __iter__(self) -> Iterator[Box]:
        return map(self._box, self._rows.tolist())

    def _box(self, row: tuple[Any, ...]) -> Box:
        x, y, width, height, score, label, track = row
        name = None if label == NONE_U32 else self._names[label]
        return Box(name, score, x, y, width, height, None if track == NONE_U64 else track)

    # -- as arrays -------------------------------------------------------------------------------------------------

    @property
    def xyxy(self) -> npt.NDArray[np.float32]:
        """float32 (N, 4): left, top, right and bottom edges in pixels; a new array."""
        rows = self.xywh
        rows[:, 2:] += rows[:, :2]
        return rows

    @property
    def xywh(self) -> npt.NDArray[np.float32]:
        """float32 (N, 4): left and top edges, widths and heights in pixels; a new array."""
        rows = self._rows
        return np.stack([rows["x"], rows["y"], rows["width"], rows["height"]], axis=1).astype(np.float32, copy=False)

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """float32 (N,): confidences; a new array."""
        return self._rows["score"].astype(np.float32)

    @property
    def labels(self) -> list[str | None]:
        """N names of classes; None = none."""
        return [None if label == NONE_U32 else self._names[label] for label in self._rows["label"].tolist()]

    @property
    def tracks(self) -> list[int | None]:
        """N numbers of tracks; None = none."""
        return [None if track == NONE_U64 else track for track in self._rows["track"].tolist()]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (Boxes, list)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Boxes {list(self[:3])!r}{'' if len(self) <= 3 else f', {len(self)} in all'}>"


def rows_of(boxes: Boxes | Iterable[Box], labels: Labels) -> Rows:
    """Return boxes as rows of `BOX`, and add their labels to a table.

    Raises:
        FormatError: A value cannot be represented.
    """
    return boxes._labelled(labels) if isinstance(boxes, Boxes) else _rows_of(boxes, labels)


def _rows_of(boxes: Iterable[Box], labels: Labels) -> Rows:
    pack, index = _ROW.pack, labels.index
    try:
        # Twice as fast as an array of tuples.
        packed = [
            pack(x, y, width, height, score, index(label), NONE_U64 if track is None else track)
            for label, score, x, y, width, height, track in boxes
        ]
    except (struct.error, OverflowError, TypeError, ValueError) as exc:
        raise FormatError(f"a box cannot be represented ({exc}); use Box(label, score, x, y, width, height)") from exc
    return np.frombuffer(b"".join(packed), BOX)


def _numbers(values: Any, name: str) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as exc:
        raise FormatError(f"{name} must be an array of numbers ({exc})") from exc


def _column(values: Any, count: int, name: str) -> Any:
    column = np.asarray(values)
    if column.ndim and column.shape != (count,):
        raise FormatError(f"{name} must have the shape ({count},), like the boxes, not {column.shape}")
    return column


def _tracks(tracks: Any) -> npt.NDArray[np.uint64]:
    try:
        return np.array([NONE_U64 if track is None else int(track) for track in tracks], np.uint64)
    except (OverflowError, TypeError, ValueError) as exc:
        raise FormatError(f"a track must be a number from 0 to 2^64 - 2, or None ({exc})") from exc
