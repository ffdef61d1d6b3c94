"""Foxglove's messages of frames, packets and results. MCAP files and Foxglove's live connection use the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._extras.foxglove_schemas import (
    CompressedVideo,
    ImageAnnotations,
    PointsAnnotation,
    RawImage,
    definition_of,
    name_of,
    set_time,
)
from .._wire.results import source_name
from ..errors import FormatError, InvalidServiceNameError, printable
from ..packets import Packet
from ..results import Box, Results
from ..video.frame import VideoFrame

VIDEO: Final = CompressedVideo
"""Type of `video_message`."""
IMAGE: Final = RawImage
"""Type of `image_message`."""
ANNOTATIONS: Final = ImageAnnotations
"""Type of `annotations_message`."""

# GStreamer's names for formats to Foxglove's, for formats with the same bytes in one plane.
_PACKED: Final = {
    "RGB": "rgb8",
    "BGR": "bgr8",
    "RGBA": "rgba8",
    "BGRA": "bgra8",
    "GRAY8": "mono8",
    "GRAY16_LE": "mono16",
    "UYVY": "uyvy",
    "YUY2": "yuyv",
}
# Most objects that are drawn. A detector may publish any number.
_MAX_DRAWN: Final = 1000
_MAX_LABEL: Final = 40
_FONT: Final = 14.0
_THICKNESS: Final = 2.0
_DOT: Final = 4.0
# Colours of classes, in order: red, green and blue from 0 to 1.
_COLOURS: Final = (
    (1.0, 0.35, 0.2),
    (0.2, 0.75, 1.0),
    (0.45, 0.9, 0.3),
    (1.0, 0.8, 0.1),
    (0.85, 0.45, 1.0),
    (0.2, 0.95, 0.75),
)


def b_frames_error(packet: Packet, topic: str, otherwise: str = "") -> FormatError:
    """Return the error for a stream whose packets are not in the order of their pictures, as Foxglove needs them.

    Args:
        packet: A packet of the stream.
        topic: Name of the stream.
        otherwise: What else the user can do, to add to the message.
    """
    return FormatError(
        f"{topic}@{packet.codec} has B-frames, which Foxglove's messages cannot have; "
        f"set its encoder to make none (bframes=0){otherwise}"
    )


def schema_of(kind: Any) -> tuple[str, bytes]:
    """Return the full name of a type of messages, and its definition as a serialised FileDescriptorSet."""
    return name_of(kind), definition_of(kind)


def results_topic(source: str, detector: str) -> str:
    """Return the topic of the results of a detector: "cam0/results/yolo".

    Raises:
        InvalidServiceNameError: The stream is a rendition. Its packets do not say where the source's boxes are in it.
    """
    original = source_name(source)
    if original != source:
        raise InvalidServiceNameError(
            f"boxes of {detector} cannot be drawn on {source} for Foxglove, because they are in pixels of {original}; "
            f"use {original}, or leave out --results"
        )
    return f"{source}/results/{detector}"


def video_message(topic: str, at: int, codec: str, data: bytes) -> bytes:
    """Return a `foxglove.CompressedVideo`.

    Args:
        topic: Name of the stream.
        at: Capture time in nanoseconds since 1970.
        codec: "h264", "h265" or "av1".
        data: One encoded picture. H.264 and H.265 in byte-stream format, with parameter sets before each keyframe, and
            without B-frames.
    """
    message = CompressedVideo(frame_id=topic, format=codec, data=data)
    set_time(message.timestamp, at)
    return bytes(message.SerializeToString())


def image_encoding(frame: VideoFrame) -> str:
    """Return Foxglove's name for the format of a frame in an `image_message`."""
    # Chroma of odd sizes has half a sample more, about which readers disagree.
    if frame.format in ("NV12", "I420") and frame.width % 2 == frame.height % 2 == 0:
        return "nv12"
    return _PACKED.get(frame.format, "rgb8")


def image_message(topic: str, at: int, frame: VideoFrame) -> bytes:
    """Return a `foxglove.RawImage`, which owns its pixels.

    Args:
        topic: Name of the stream.
        at: Capture time in nanoseconds since 1970.
        frame: The frame. RGB, BGR, RGBA, BGRA, GRAY8, GRAY16_LE, UYVY, YUY2 and NV12 are stored as they are, I420 as
            NV12 with the same samples, and other formats as 8-bit RGB.

    Raises:
        UnsupportedViewError: The format is tiled or uses a palette.
    """
    encoding = image_encoding(frame)
    rows = _rows(frame, encoding)
    step = rows.shape[1]
    message = RawImage(
        frame_id=topic, width=frame.width, height=frame.height, encoding=encoding, step=step, data=rows.tobytes()
    )
    set_time(message.timestamp, at)
    return bytes(message.SerializeToString())


def _rows(frame: VideoFrame, encoding: str) -> npt.NDArray[np.uint8]:
    """Return the bytes of all rows as an array of shape (rows, bytes)."""
    if encoding == "nv12":
        return _nv12(frame)
    if frame.format not in _PACKED:
        return frame.to_rgb().reshape(frame.height, 3 * frame.width)
    return _bytes_of(frame.planes[0], frame.height)


def _bytes_of(plane: npt.NDArray[Any], height: int) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(plane).reshape(height, -1).view(np.uint8)


def _nv12(frame: VideoFrame) -> npt.NDArray[np.uint8]:
    width, height = frame.width, frame.height
    rows = np.empty((height * 3 // 2, width), np.uint8)
    rows[:height] = _bytes_of(frame.planes[0], height)
    chroma = rows[height:]
    if frame.format == "NV12":
        chroma[:] = _bytes_of(frame.planes[1], height // 2)
    else:
        for at in (0, 1):
            chroma[:, at::2] = frame.planes[1 + at]
    return rows


def annotations_message(at: int, results: Results) -> bytes:
    """Return a `foxglove.ImageAnnotations`: outlines of boxes with labels, keypoints, and classes of the whole picture.

    Masks, tensors and JSON are left out. At most 1000 objects are drawn.

    Args:
        at: Capture time of the frame in nanoseconds since 1970, exactly as in the message of the frame.
        results: The results.
    """
    message = ImageAnnotations()
    set_time(message.timestamp, at)
    for box in results.boxes[:_MAX_DRAWN]:
        _add_box(message, at, box)
    points = [(point.x, point.y) for point in results.keypoints[:_MAX_DRAWN]]
    if points:
        _add_points(message, at, PointsAnnotation.POINTS, points, _COLOURS[0], _DOT)
    whole = [one for one in results.classifications[:_MAX_DRAWN] if one.box is None]
    for line, (label, score, _) in enumerate(whole):
        _add_text(message, at, 0.0, (line + 1) * 1.5 * _FONT, _text(label, score), _COLOURS[0])
    return bytes(message.SerializeToString())


def _add_box(message: Any, at: int, box: Box) -> None:
    colour = _COLOURS[sum((box.label or "").encode(errors="replace")) % len(_COLOURS)]
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    _add_points(message, at, PointsAnnotation.LINE_LOOP, corners, colour, _THICKNESS)
    _add_text(message, at, left, top, _text(box.label, box.score), colour)


def _add_points(
    message: Any,
    at: int,
    kind: Any,
    points: Iterable[tuple[float, float]],
    colour: tuple[float, float, float],
    thickness: float,
) -> None:
    added = message.points.add(type=kind, thickness=thickness)
    set_time(added.timestamp, at)
    for x, y in points:
        added.points.add(x=x, y=y)
    _set_colour(added.outline_color, colour)


def _add_text(message: Any, at: int, x: float, y: float, text: str, colour: tuple[float, float, float]) -> None:
    added = message.texts.add(text=text, font_size=_FONT)
    set_time(added.timestamp, at)
    added.position.x, added.position.y = x, y
    _set_colour(added.text_color, colour)
    _set_colour(added.background_color, (0.0, 0.0, 0.0), 0.6)


def _set_colour(target: Any, colour: tuple[float, float, float], alpha: float = 1.0) -> None:
    target.r, target.g, target.b = colour
    target.a = alpha


def _text(label: str | None, score: float) -> str:
    return f"{'object' if label is None else printable(label[:_MAX_LABEL])} {score:.2f}"
