"""Converts the frames of one stream to all renditions of it that somebody reads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .._iox2 import binding
from .._wire.caps import parse_caps
from .._wire.formats import get_format
from .._wire.header import BUFFER_FLAGS
from .._wire.metas import CustomMeta
from .._wire.rendition import RenditionName, RenditionShape
from .._wire.value import FieldValue
from ..discovery.names import full_name
from ..errors import FormatError, Iox2VideoError
from ..video.frame import VideoFrame
from ..video.loan import LoanedFrame
from ..video.publisher import VideoFramePublisher
from ..video.rendition import RENDITION_META, RenditionMetas
from ..video.subscriber import VideoFrameSubscriber
from ..work import Stop
from .converter import Converter, SourceShape

if TYPE_CHECKING:
    from .worker import Commands, Reporter

# Longest wait for a frame before the commands are read, in milliseconds.
_WAIT_MS: Final = 50
_NS: Final = 1_000_000_000
_FIELDS: Final = sum(BUFFER_FLAGS[name] for name in ("INTERLACED", "TFF", "RFF", "ONEFIELD"))


class _Output:
    """One rendition and its publisher.

    Attributes:
        name: Its short name.
        error: Why it cannot be published; None if it can.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: str | None = None
        self.shape: RenditionShape | None = None
        self._is_transient = False
        self._wanted = RenditionName.parse(name)
        self._publisher: VideoFramePublisher | None = None
        self._due: int | None = None

    @property
    def may_recover(self) -> bool:
        """Whether another attempt may succeed, such as after another publisher has gone."""
        return self.error is not None and self._is_transient

    def prepare(self, picture: SourceShape, fields: Mapping[str, FieldValue], source: str) -> None:
        """Create the publisher.

        Args:
            picture: Format and size of the source's frames.
            fields: Fields of their caps.
            source: Full name of the source.
        """
        self.close()
        self.error, self.shape, self._is_transient = None, None, False
        try:
            if self._wanted is None:
                raise FormatError(f"{self.name!r} is not the name of a rendition")
            aspect = fields.get("pixel-aspect-ratio")
            shape = self._wanted.shape(
                picture.width, picture.height, picture.format, aspect if isinstance(aspect, Fraction) else Fraction(1)
            )
            rate = fields.get("framerate")
            if shape.fps is not None and not (isinstance(rate, Fraction) and 0 < rate < shape.fps):
                rate = shape.fps
            size = get_format(shape.format).tight_layout(shape.width, shape.height).size
            name = full_name(self.name)
            self._publisher = VideoFramePublisher(
                name,
                iox2_node=binding.create_node_for(name, about=f"rendition of {source}"),
                max_bytes=size,
                framerate=rate if isinstance(rate, Fraction) else None,
                caps=Converter(shape, picture).caps,
            )
            self.shape = shape
        except Iox2VideoError as exc:
            self.fail(exc)

    def fail(self, exc: Exception) -> None:
        """Stop publishing, and note the reason."""
        self.close()
        self.shape, self.error = None, " ".join(str(exc).split()) or type(exc).__name__
        self._is_transient = not isinstance(exc, FormatError)

    def is_due(self, captured_at: int) -> bool:
        """Return whether a frame that was captured at this time is part of the rendition."""
        if self._publisher is None or self.shape is None:
            return False
        fps = self.shape.fps
        if fps is None:
            return True
        interval = int(_NS / fps)
        if self._due is not None and captured_at < self._due - 2 * interval:
            # The source has started again with another clock.
            self._due = None
        # A frame that is a little early counts, because capture times are not exact.
        if self._due is not None and captured_at < self._due - interval // 8:
            return False
        late = self._due is None or captured_at - self._due > interval
        self._due = captured_at + interval if late or self._due is None else self._due + interval
        return True

    def loan(self) -> LoanedFrame:
        """Return a frame to fill."""
        assert self._publisher is not None
        assert self.shape is not None
        return self._publisher.loan(self.shape.width, self.shape.height, self.shape.format)

    def end(self) -> None:
        """End the stream, because its source has ended. Later readers wait for the next start."""
        if self._publisher is not None:
            self._publisher.end_of_stream()
        self.close()

    def close(self) -> None:
        """Leave the service without ending the stream, because readers wait for the next start."""
        publisher, self._publisher = self._publisher, None
        self._due = None
        if publisher is not None:
            publisher.close()


class _Conversion:
    """The conversion to one shape.

    Attributes:
        shape: The shape.
        converter: Its converter.
        metas: Its metas.
        outputs: The renditions of this shape.
    """

    def __init__(self, shape: RenditionShape, picture: SourceShape, source: str) -> None:
        self.shape = shape
        self.converter = Converter(shape, picture)
        self.metas = RenditionMetas(source, shape)
        self.outputs: list[_Output] = []


class RenditionWorker:
    """Converts each frame of a stream once per shape, and publishes it under every name that means this shape.

    Args:
        source: Name of the stream, short or in full.
    """

    def __init__(self, source: str) -> None:
        self._source = full_name(source)
        self._subscriber = VideoFrameSubscriber(self._source)
        self._outputs: dict[str, _Output] = {}
        # Outputs by shape, because hashing a shape takes as long as copying a small picture.
        self._conversions: list[_Conversion] = []
        self._picture: SourceShape | None = None
        self._caps: str | None = None
        self._fields: Mapping[str, FieldValue] = {}
        self._nanoseconds = 0
        self._sent: dict[str, int] = {}
        self._since = time.monotonic()

    def want(self, names: Iterable[str]) -> None:
        """Publish exactly these renditions from now on."""
        wanted = set(names)
        for name in self._outputs.keys() - wanted:
            self._outputs.pop(name).close()
        for name in wanted - self._outputs.keys():
            output = self._outputs[name] = _Output(name)
            if self._picture is not None:
                output.prepare(self._picture, self._fields, self._source)
        self._group()

    def retry(self) -> None:
        """Try again to publish what could not be published."""
        for output in self._outputs.values():
            if self._picture is not None and output.may_recover:
                output.prepare(self._picture, self._fields, self._source)
                self._group()

    def step(self) -> None:
        """Wait for a frame for a moment, and convert it."""
        frame = self._subscriber.receive_blocking(_WAIT_MS)
        if frame is None:
            return
        with frame:
            if frame.is_eos():
                for output in self._outputs.values():
                    output.end()
                self._picture = None
                return
            self._pass_on(frame)

    def report(self) -> dict[str, Any]:
        """Return the state of each rendition since the last report."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        sent, self._sent = self._sent, {}
        frames, spent = sum(sent.values()), self._nanoseconds
        self._nanoseconds = 0
        return {
            "renditions": {
                name: {
                    "fps": sent.get(name, 0) / seconds,
                    "error": output.error,
                    "format": output.shape and output.shape.format,
                    "size": output.shape and (output.shape.width, output.shape.height),
                }
                for name, output in self._outputs.items()
            },
            "ms": spent / frames / 1e6 if frames else None,
        }

    def close(self) -> None:
        """Leave all services."""
        for output in self._outputs.values():
            output.close()
        self._subscriber.close()

    def _pass_on(self, frame: VideoFrame) -> None:
        size = self._picture and (self._picture.format, self._picture.width, self._picture.height)
        if self._picture is None or (frame.format, frame.width, frame.height) != size or frame.caps != self._caps:
            self._picture, self._caps = SourceShape.of(frame), frame.caps
            self._fields = parse_caps(frame.caps).fields if frame.caps else {}
            self._conversions.clear()
            for output in self._outputs.values():
                output.prepare(self._picture, self._fields, self._source)
            self._group()
        captured_at = frame.captured_at
        now = captured_at or time.monotonic_ns()
        for conversion in self._conversions:
            due = [output for output in conversion.outputs if output.is_due(now)]
            if due:
                began = time.thread_time_ns()
                try:
                    self._publish(frame, captured_at, conversion, due)
                except Exception as exc:
                    # Other shapes go on.
                    for output in due:
                        output.fail(exc)
                self._nanoseconds += time.thread_time_ns() - began

    def _group(self) -> None:
        """Find the outputs of each shape. Conversions that are still wanted go on."""
        before = {conversion.shape: conversion for conversion in self._conversions}
        found: dict[RenditionShape, _Conversion] = {}
        for output in self._outputs.values():
            shape = output.shape
            if shape is None or self._picture is None:
                continue
            if shape not in found:
                found[shape] = before.get(shape) or _Conversion(shape, self._picture, self._source)
                found[shape].outputs = []
            found[shape].outputs.append(output)
        self._conversions = list(found.values())

    def _publish(
        self, frame: VideoFrame, captured_at: int | None, conversion: _Conversion, outputs: list[_Output]
    ) -> None:
        shape = conversion.shape
        loans = [output.loan() for output in outputs]
        conversion.converter.fill(frame, loans[0])
        for other in loans[1:]:
            for target, plane in zip(other.planes, loans[0].planes, strict=True):
                np.copyto(target, plane)
        kept = [meta for meta in frame.metas if not isinstance(meta, CustomMeta) or meta.name != RENDITION_META]
        metas = [*kept, conversion.metas.encode(frame)]
        # A scaled picture has no fields.
        flags = frame.flags if shape.rect[3] == shape.source_rect[3] else frame.flags & ~_FIELDS
        for output, loan in zip(outputs, loans, strict=True):
            loan.pts, loan.dts, loan.duration, loan.flags = frame.pts, frame.dts, frame.duration, flags
            if captured_at is not None:
                loan.captured_at = captured_at
            loan.metas = metas
            loan.send()
            self._sent[output.name] = self._sent.get(output.name, 0) + 1


def convert(commands: Commands, reporter: Reporter, stop: Stop) -> None:
    """Publish the renditions of the supervisor's newest line until it is gone.

    Raises:
        Iox2VideoError: The stream cannot be received.
    """
    line = commands.first()
    if line is None:
        return
    worker = RenditionWorker(json.loads(line)["source"])
    reporter.say(state="running")
    try:
        while not stop.is_set():
            if line is not None:
                worker.want(json.loads(line)["names"])
            worker.step()
            line = commands.newest()
            if reporter.is_due():
                worker.retry()
                reporter.say(**worker.report())
    finally:
        worker.close()
