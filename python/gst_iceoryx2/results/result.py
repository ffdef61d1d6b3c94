"""A received result: what a detector found in one frame."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .._wire.auxblob import parse_aux
from .._wire.result_payload import RESULTS_META, read_results
from .._wire.result_tables import NONE_U32, Tables
from .._wire.results import VideoResultsHeader
from .._wire.stamp import Stamp, monotonic_ns
from ..errors import FormatError
from ..video.frame import VideoFrame
from ..video.rendition import Rendition
from .boxes import Boxes
from .key import FrameKey
from .parts import Classification, Keypoint, Mask, Tensor


class Results:
    """What a detector found in one frame. It owns its data, so you can keep it.

    All coordinates are in pixels of the source's frame, also if the detector analysed a rendition of it.

    Results come from a `ResultsSubscriber`, or from a frame that carries them (`Results.of`); programs do not create
    them.

    Attributes:
        detector: Name of the detector.
        boxes: The detected objects.

    Example:
        Print the persons in each frame:

            with ResultsSubscriber("cam0", "yolo") as subscriber:
                for results in subscriber:
                    for box in results.boxes:
                        if box.label == "person":
                            print(results.sequence, box.score, box.x, box.y, box.width, box.height)
    """

    __slots__ = ("_header", "_payload", "_stamp", "_tables", "boxes", "detector")

    detector: str
    boxes: Boxes

    def _fill(self, detector: str, header: VideoResultsHeader, tables: Tables, payload: bytes = b"") -> Results:
        """Fill a new object and return it. Used instead of a constructor, because programs must not create results."""
        self.detector = detector
        self._header = header
        self._tables = tables
        # The tables refer to it, so it takes no memory of its own. A bridge forwards it.
        self._payload = payload
        self._stamp = header.stamp.here()
        self.boxes = Boxes._made(tables.boxes, tables.labels)
        return self

    @classmethod
    def of(cls, frame: VideoFrame) -> Results | None:
        """Return what a pipeline found in a frame and sent with it.

        `iceoryx2sink` sends the boxes and classes of GstAnalyticsRelationMeta and GstVideoRegionOfInterestMeta in the
        frame itself.

        Args:
            frame: A received frame. The results are a copy, so you can release it.

        Returns:
            The results. Their coordinates are in pixels of a picture of `width` x `height`: this frame, or its source
            if that has another size. `detector` is "". None if the frame carries no results, or no stamp.

        Example:
            Count the boxes that a pipeline found:

                from gst_iceoryx2.results import Results
                from gst_iceoryx2.video import VideoFrameSubscriber

                with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
                    for frame in subscriber:
                        results = Results.of(frame)
                        print(frame.sequence, 0 if results is None else len(results.boxes), "boxes")
        """
        if RESULTS_META.encode() not in bytes(frame.aux):
            return None
        found = next(filter(None, map(read_results, parse_aux(frame.aux).metas)), None)
        if found is None or not _is_known(found[0], found[1], frame):
            return None
        width, height, tables = found
        try:
            key = FrameKey.of(frame)
        except FormatError:
            return None
        header = VideoResultsHeader(width=width, height=height, entries=0)
        header.stamp = key.stamp
        return cls()._fill("", header, tables)

    def is_eos(self) -> bool:
        """Return False: a stream of results has no end."""
        return False

    def release(self) -> None:
        """Do nothing: results own their data. Frames and packets have a method of this name."""

    # -- identity ----------------------------------------------------------------------------------------------------

    @property
    def stream(self) -> int:
        """Random 64-bit ID of the publisher of results; 0 if the frame carried them."""
        return self._header.stream

    @property
    def number(self) -> int:
        """Number of results that the publisher of results had sent before this one."""
        return self._header.sequence

    @property
    def stamp(self) -> Stamp:
        """Stamp of the source's frame that the results belong to: its identity and times."""
        return self._stamp

    @property
    def publisher(self) -> int:
        """Random 64-bit ID of the publisher of this frame."""
        return self._header.frame_publisher

    @property
    def sequence(self) -> int:
        """Sequence of this frame, as in `VideoFrame.sequence`."""
        return self._header.frame_sequence

    @property
    def captured_at(self) -> int | None:
        """Capture time of this frame in nanoseconds of CLOCK_MONOTONIC; None = unknown."""
        return self._stamp.capture

    @property
    def age(self) -> float | None:
        """Seconds since `captured_at`; None = unknown."""
        captured = self._stamp.capture
        return None if captured is None else (monotonic_ns() - captured) / 1e9

    @property
    def width(self) -> int:
        """Width of this frame in pixels."""
        return self._header.width

    @property
    def height(self) -> int:
        """Height of this frame in pixels."""
        return self._header.height

    # -- content -----------------------------------------------------------------------------------------------------

    @property
    def keypoints(self) -> list[Keypoint]:
        """The keypoints."""
        return [
            Keypoint(self._label(label), x, y, score, _none(box))
            for box, label, x, y, score, _ in self._tables.keypoints.tolist()
        ]

    @property
    def classifications(self) -> list[Classification]:
        """The classes of objects and of the whole picture."""
        return [
            Classification(self._label(label), score, _none(box))
            for box, label, score, _ in self._tables.classifications.tolist()
        ]

    @property
    def masks(self) -> list[Mask]:
        """The masks. `Mask.pixels` expands one."""
        masks, start = [], 0
        for box, label, x, y, width, height, columns, rows, runs, _ in self._tables.masks.tolist():
            part = self._tables.runs[start : start + runs]
            start += runs
            masks.append(Mask(self._label(label), x, y, width, height, columns, rows, part, _none(box)))
        return masks

    @property
    def tensor(self) -> Tensor | None:
        """The tensor, whose array is read-only; None = none."""
        tensor = self._tables.tensor
        return None if tensor is None else Tensor(*tensor)

    @property
    def json(self) -> Any:
        """The value of the JSON text; None if there is none.

        Raises:
            FormatError: The text is not JSON.
        """
        if self._tables.json is None:
            return None
        try:
            return json.loads(self._tables.json)
        except (ValueError, RecursionError) as exc:
            raise FormatError(f"the JSON text of {self!r} cannot be read: {exc}") from exc

    def as_dict(self) -> dict[str, Any]:
        """Return the results as a value that `json.dumps` writes. Masks are runs; of a tensor, only the form is there.

        Raises:
            FormatError: The JSON text is not JSON.
        """
        content: dict[str, Any] = {
            "detector": self.detector,
            "publisher": f"{self.publisher:016x}",
            "sequence": self.sequence,
            "captured_at": self.captured_at,
            "width": self.width,
            "height": self.height,
            "boxes": [_plain(box._asdict()) for box in self.boxes],
        }
        if keypoints := self.keypoints:
            content["keypoints"] = [_plain(keypoint._asdict()) for keypoint in keypoints]
        if classifications := self.classifications:
            content["classifications"] = [_plain(classification._asdict()) for classification in classifications]
        if masks := self.masks:
            content["masks"] = [_plain_mask(mask) for mask in masks]
        if self._tables.tensor is not None:
            name, data = self._tables.tensor
            content["tensor"] = {"name": name, "dtype": data.dtype.name, "shape": list(data.shape)}
        if self._tables.json is not None:
            content["json"] = self.json
        return content

    def _label(self, label: int) -> str | None:
        return None if label == NONE_U32 else self._tables.labels[label]

    def __repr__(self) -> str:
        return f"<Results {self.detector} #{self.number} of frame {self.sequence}, {len(self.boxes)} boxes>"


def _is_known(width: int, height: int, frame: VideoFrame) -> bool:
    """Return whether a size is that of a frame, or of its source."""
    if (width, height) == (frame.width, frame.height):
        return True
    rendition = Rendition.of(frame)
    return rendition is not None and (width, height) == rendition.source_size


def _none(number: int) -> int | None:
    return None if number == NONE_U32 else number


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields without those that are not set, and with floats as short as their 32 bits allow."""
    return {
        name: float(str(np.float32(value))) if isinstance(value, float) else value
        for name, value in fields.items()
        if value is not None
    }


def _plain_mask(mask: Mask) -> dict[str, Any]:
    names = ("label", "box", "x", "y", "width", "height", "columns", "rows")
    return {**_plain({name: getattr(mask, name) for name in names}), "runs": mask.runs.tolist()}
