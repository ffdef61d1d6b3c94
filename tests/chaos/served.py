"""Participants of streams on demand: the supervisor, and readers that know each picture of its sources."""

from __future__ import annotations

import time
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.errors import ClosedError
from gst_iceoryx2.feed.pattern import TestPattern
from gst_iceoryx2.serve import Rendition, RenditionName, Supervisor, load
from gst_iceoryx2.serve.converter import Converter, SourceShape
from gst_iceoryx2.video import VideoFrame, VideoFrameSubscriber
from tests.chaos.pattern import Bytes, TornFrameError
from tests.chaos.role import Report, Role
from tests.chaos.tally import FaultError

STREAMS: Final = Path(__file__).with_name("streams.toml")
_WAIT_MS: Final = 100
_NS: Final = 1_000_000_000


class Server(Role):
    """Serves the streams of streams.toml. The conductor kills and stops its processes."""

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        super().__init__(spec, report)
        self._supervisor: Supervisor | None = None

    def live(self) -> None:
        self.phase("opening")
        self._supervisor = Supervisor(load(STREAMS))
        if self.stop.is_set():
            # `stop` was set before there was a supervisor to stop.
            self._supervisor.stop()
        self.phase("idle")
        status = self._supervisor.run()
        if refused := [
            stream.served.error for stream in status.streams if "already serves" in str(stream.served.error)
        ]:
            raise FaultError(f"the streams were refused: {refused}")

    def interrupt(self) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()


class Reader(Role):
    """Reads a rendition, and compares every byte with the picture of that number."""

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        super().__init__(spec, report)
        self._expected = Expected(self.service)
        self._kept: list[tuple[float, int, Bytes, VideoFrame]] = []
        self._subscriber: VideoFrameSubscriber | None = None
        self._last: tuple[int | None, int] = (None, 0)

    def live(self) -> None:
        self.phase("opening")
        left = self.lifetime(20.0)
        # A new subscriber may receive the newest frame again.
        self._last = None, 0
        with VideoFrameSubscriber(full_name(self.service)) as subscriber:
            self._subscriber = subscriber
            try:
                while not self.stop.is_set() and left > 0:
                    self.phase("waiting", again=False)
                    frame = subscriber.receive_blocking(_WAIT_MS)
                    self._look_at_kept()
                    if frame is not None:
                        self.phase("working")
                        self._check(frame)
                        left -= 1
                        del frame
            except ClosedError:
                if not self.stop.is_set():
                    raise
            finally:
                self._subscriber = None
            self._look_at_kept(everything=True)
            self.phase("closing")

    def interrupt(self) -> None:
        if (subscriber := self._subscriber) is not None:
            subscriber.close()

    def _check(self, frame: VideoFrame) -> None:
        if frame.is_eos():
            raise FaultError(f"{self.service!r} ended, but its source has no end")
        rendition = Rendition.of(frame)
        if rendition is None or rendition.service != self._expected.source or frame.pts is None:
            raise FaultError(f"a frame of {self.service!r} does not tell its source: {rendition}, {frame.metas}")
        number = self._expected.number(frame.pts)
        publisher, last = self._last
        if rendition.publisher == publisher and number <= last:
            raise FaultError(f"number {number} of {self.service!r} came after number {last}")
        self._last = rendition.publisher, number
        pixels = np.frombuffer(frame.pixels, np.uint8)
        self._expected.compare(pixels, number)
        self.counters["frames"] += 1
        self.counters["checked"] += len(pixels)
        if self.rng.random() < 0.1 and len(self._kept) < 3:
            self._kept.append((time.monotonic() + self.rng.uniform(0.0, 2.0), number, pixels, frame))

    def _look_at_kept(self, *, everything: bool = False) -> None:
        """Check and release frames whose time is over."""
        now = time.monotonic()
        for until, number, pixels, _ in self._kept:
            if until <= now or everything:
                self._expected.compare(pixels, number)
                self.counters["held"] += 1
        self._kept = [] if everything else [kept for kept in self._kept if kept[0] > now]


class Expected:
    """The pictures of a rendition, computed without any transport.

    Args:
        name: Short name of a rendition of a stream in streams.toml.

    Attributes:
        source: Full name of the source.
    """

    def __init__(self, name: str) -> None:
        parsed = RenditionName.parse(name)
        assert parsed is not None
        self.source: Final = full_name(parsed.source)
        self._name = name
        (stream,) = (stream for stream in load(STREAMS).streams if stream.name == parsed.source)
        assert stream.size is not None
        assert stream.format is not None
        self._fps = Fraction(stream.fps or 30)
        self._pattern = TestPattern(*stream.size, stream.format, self._fps)
        shape = self._pattern.shape
        self._shape = parsed.shape(shape.width, shape.height, shape.format)
        self._converter = Converter(self._shape, SourceShape(shape.width, shape.height, shape.format))
        self._picture = _Picture(shape.format, shape.width, shape.height)
        self.compute = lru_cache(maxsize=8)(self._compute)

    def number(self, pts: int) -> int:
        """Return the number of the picture with this timestamp."""
        return round(pts * self._fps / _NS)

    def compare(self, pixels: Bytes, number: int) -> None:
        """Compare every byte with picture `number`.

        Raises:
            TornFrameError: A byte differs.
        """
        expected = self.compute(number)
        if np.array_equal(pixels, expected):
            return
        wrong = np.flatnonzero(pixels != expected) if pixels.shape == expected.shape else np.arange(len(pixels))
        others = [
            near for near in range(max(0, number - 40), number + 40) if np.array_equal(pixels, self.compute(near))
        ]
        raise TornFrameError(
            f"number {number} of {self._name!r}: {len(wrong)} of {len(expected)} bytes are different, first at "
            f"{wrong[0] if len(wrong) else None}; it is picture {others}"
        )

    def _compute(self, number: int) -> Bytes:
        self._pattern.draw(self._picture.planes, number)
        target = _Picture(self._shape.format, self._shape.width, self._shape.height)
        # The converter needs nothing else of a frame and a loan.
        self._converter.fill(self._picture, target)  # type: ignore[arg-type]
        return target.pixels


class _Picture(SimpleNamespace):
    """A picture in private memory, with what a converter reads of a frame or a loan."""

    def __init__(self, format: str, width: int, height: int) -> None:
        known = get_format(format)
        layout = known.tight_layout(width, height)
        pixels = np.zeros(layout.size, np.uint8)
        header = SimpleNamespace(stride=layout.strides, plane_offsets=layout.offsets)
        planes = known.views(pixels, width, height, layout.strides, layout.offsets)
        super().__init__(format=format, width=width, height=height, pixels=pixels, header=header, planes=planes)

    def bytes(self) -> Bytes:
        pixels: Bytes = self.pixels
        return pixels
