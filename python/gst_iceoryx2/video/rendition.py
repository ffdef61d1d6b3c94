"""Maps coordinates between a rendition and its source (SPEC.md section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from .._wire.clock import INT64_MAX, id_in, time_in
from .._wire.header import MAX_DIMENSION
from .._wire.metas import CustomMeta, encode_structure
from .._wire.rendition import Rect, RenditionShape
from .._wire.stamp import Stamp, boot_id, read_stamp
from .._wire.text import write_structure, write_value
from .._wire.value import FieldValue
from .frame import VideoFrame

RENDITION_META: Final = "Iox2Rendition"
"""Name of the meta that each frame of a rendition carries."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels."""

_NO_BOOT: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Rendition:
    """Which frame of which source a frame of a rendition was made from, and how coordinates map between both.

    Attributes:
        service: Name of the source's service.
        publisher: Random 64-bit ID of the source's publisher; None = unknown.
        sequence: Sequence number of the source's frame (`VideoFrame.sequence`); None = unknown.
        captured_at: Capture time of the source's frame in nanoseconds of CLOCK_MONOTONIC; None = unknown.
        due_at: Time to display the source's frame in nanoseconds of CLOCK_MONOTONIC; None = unknown.
        source_size: Width and height of the source in pixels.
        source_rect: x, y, width and height of the part of the source that is shown.
        rect: x, y, width and height of the part of the rendition that shows it; the rest is black.

    Example:
        Find the part of a 1920x1080 source in the top left quarter of its 640x640 rendition:

            >>> from gst_iceoryx2.serve import Rendition
            >>> whole = (0, 0, 1920, 1080)
            >>> shown = Rendition("video/cam0/frame/v2", None, 5, None, None, (1920, 1080), whole, (0, 140, 640, 360))
            >>> shown.to_source_box((0, 0, 320, 320))
            (0.0, 0.0, 960.0, 540.0)
    """

    service: str
    publisher: int | None
    sequence: int | None
    captured_at: int | None
    due_at: int | None
    source_size: tuple[int, int]
    source_rect: Rect
    rect: Rect

    @classmethod
    def of(cls, frame: VideoFrame) -> Rendition | None:
        """Return how a frame was made.

        Returns:
            How it shows its source, also for a frame that a pipeline received and published again. None if the frame
            has no source, if its source belongs to another boot or another machine, or if the meta contradicts the
            frame's size. Invalid content never raises an error.
        """
        metas = [meta for meta in frame.metas if isinstance(meta, CustomMeta) and meta.name == RENDITION_META]
        return cls._read(metas[-1].fields, frame.width, frame.height) if metas else None

    @classmethod
    def _read(cls, fields: Mapping[str, FieldValue], width: int, height: int) -> Rendition | None:
        service, boot = fields.get("service"), boot_id()
        size, source_rect, rect = (_numbers(fields.get(name)) for name in ("source-size", "source-rect", "rect"))
        if boot == _NO_BOOT or fields.get("boot-id") != boot.hex() or not isinstance(service, str) or len(size) != 2:
            return None
        if not (max(size) <= MAX_DIMENSION and _is_inside(source_rect, *size) and _is_inside(rect, width, height)):
            return None
        return cls(
            service,
            id_in(fields.get("publisher")),
            id_in(fields.get("sequence")),
            time_in(fields.get("capture")),
            time_in(fields.get("due")),
            (size[0], size[1]),
            (source_rect[0], source_rect[1], source_rect[2], source_rect[3]),
            (rect[0], rect[1], rect[2], rect[3]),
        )

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """Return the coordinates in the source of a pixel in the rendition.

        Coordinates are those of the middle of a pixel: (0, 0) is the middle of the pixel at the top left. Coordinates
        outside `rect` give coordinates outside `source_rect`.
        """
        x, y = _mapped(x + 0.5, y + 0.5, self.rect, self.source_rect)
        return x - 0.5, y - 0.5

    def from_source(self, x: float, y: float) -> tuple[float, float]:
        """Return the coordinates in the rendition of a pixel in the source; the opposite of `to_source`."""
        x, y = _mapped(x + 0.5, y + 0.5, self.source_rect, self.rect)
        return x - 0.5, y - 0.5

    def to_source_box(self, box: Box) -> Box | None:
        """Return the box in the source of a box in the rendition.

        Args:
            box: Left, top, right and bottom edge. The edges of the whole picture are 0, 0, width and height.

        Returns:
            The part of the box inside `source_rect`; None if no part of it is inside.
        """
        return _mapped_box(box, self.rect, self.source_rect)

    def from_source_box(self, box: Box) -> Box | None:
        """Return the box in the rendition of a box in the source; the opposite of `to_source_box`.

        Returns:
            The part of the box inside `rect`; None if no part of it is inside.
        """
        return _mapped_box(box, self.source_rect, self.rect)


def rendition_meta(frame: VideoFrame, service: str, shape: RenditionShape) -> CustomMeta:
    """Return the meta for a frame of a rendition. It replaces an `Iox2Rendition` meta of the source's frame.

    Args:
        frame: The frame of the source that the rendition's frame is made from.
        service: Name of the source's service.
        shape: What the rendition makes of the source.
    """
    stamp = _stamp_of(frame)
    return CustomMeta(RENDITION_META, _lasting_fields(stamp, frame, service, shape) | _changing_fields(stamp))


class RenditionMetas:
    """Encodes the metas of a rendition as `rendition_meta` makes them.

    Writing all fields takes as long as all other work for a small frame, so those that do not change are kept as text.

    Args:
        service: Name of the source's service.
        shape: What the rendition makes of the source.
    """

    def __init__(self, service: str, shape: RenditionShape) -> None:
        self._service = service
        self._shape = shape
        self._known: object = None
        self._begin = ""

    def encode(self, frame: VideoFrame) -> bytes:
        """Return the meta for a frame of the source as one record."""
        stamp = _stamp_of(frame)
        known = stamp.boot_id, stamp.publisher, frame.width, frame.height
        if known != self._known:
            fields = _lasting_fields(stamp, frame, self._service, self._shape)
            self._begin, self._known = write_structure(RENDITION_META, fields).removesuffix(";"), known
        changing = [f", {name}={write_value(value)}" for name, value in _changing_fields(stamp).items()]
        return encode_structure(RENDITION_META, "".join((self._begin, *changing, ";")))


def _stamp_of(frame: VideoFrame) -> Stamp:
    stamp = read_stamp(frame.aux)
    # Without a boot ID, the source is on this machine, but its clock is unknown.
    return stamp if stamp.boot_id != _NO_BOOT else stamp.here()._replace(boot_id=boot_id())


def _lasting_fields(stamp: Stamp, frame: VideoFrame, service: str, shape: RenditionShape) -> dict[str, FieldValue]:
    """Return the fields that are the same for all frames of one publisher."""
    fields: dict[str, FieldValue] = {"service": service, "boot-id": stamp.boot_id.hex()}
    if stamp.publisher is not None:
        fields["publisher"] = f"{stamp.publisher:016x}"
    fields["source-size"] = (frame.width, frame.height)
    fields["source-rect"], fields["rect"] = shape.source_rect, shape.rect
    return fields


def _changing_fields(stamp: Stamp) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {}
    if stamp.sequence is not None:
        fields["sequence"] = f"{stamp.sequence:016x}"
    for name, time in (("capture", stamp.capture), ("due", stamp.due)):
        # A later time does not fit into a field.
        if time is not None and time <= INT64_MAX:
            fields[name] = time
    return fields


def _mapped(x: float, y: float, origin: Rect, target: Rect) -> tuple[float, float]:
    return (
        (x - origin[0]) * target[2] / origin[2] + target[0],
        (y - origin[1]) * target[3] / origin[3] + target[1],
    )


def _mapped_box(box: Box, origin: Rect, target: Rect) -> Box | None:
    left, top = _mapped(box[0], box[1], origin, target)
    right, bottom = _mapped(box[2], box[3], origin, target)
    x, y, width, height = map(float, target)
    left, top = max(left, x), max(top, y)
    right, bottom = min(right, x + width), min(bottom, y + height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _numbers(value: object) -> tuple[int, ...]:
    """Return the whole numbers of a list or an array; nothing if it is anything else."""
    if isinstance(value, (list, tuple)) and all(type(item) is int for item in value):
        return tuple(value)
    return ()


def _is_inside(rect: tuple[int, ...], width: int, height: int) -> bool:
    if len(rect) != 4:
        return False
    x, y, wide, high = rect
    return min(x, y) >= 0 and min(wide, high) >= 1 and x + wide <= width and y + high <= height
