"""Participants without GStreamer, which use `VideoFramePublisher` and `VideoFrameSubscriber` in all ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from gst_iceoryx2._wire.formats import get_format
from gst_iceoryx2.errors import BorrowLimitError, ClosedError
from gst_iceoryx2.video import FrameParams, VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.chaos.pattern import check, fill
from tests.chaos.role import Numbering, Pace, Report, Role, Shape
from tests.chaos.tally import Count, FaultError, Tally

# Timeout of `receive_blocking`, so that held pixels and `stop` are checked.
_WAIT_MS: Final = 100


class Publisher(Role):
    """Publishes numbered pictures by loan, array and bytes; changes their size; closes and reopens."""

    def live(self) -> None:
        self.phase("opening")
        most = self.rng.choice((0, 1 << 20))
        with VideoFramePublisher(self.service, max_bytes=most) as publisher:
            self._publish(publisher)
            if self.rng.random() < 0.5:
                self.phase("sending")
                publisher.end_of_stream()
            self.phase("closing")

    def _publish(self, publisher: VideoFramePublisher) -> None:
        numbering, pace, shape = Numbering(self.rng), Pace(self.rate), self.other_shape()
        lost = 0
        for _ in range(self.lifetime()):
            if self.rng.random() < 0.01:
                shape = self.other_shape()
            self.phase("sending")
            self._send(publisher, shape, numbering, lost)
            self.counters["frames"] += 1
            lost = publisher.stats.dropped
            self.phase("idle")
            pace.wait(self.stop)
            if self.stop.is_set():
                return

    def _send(self, publisher: VideoFramePublisher, shape: Shape, numbering: Numbering, lost: int) -> None:
        format, width, height = shape
        size = shape.size
        way = self.rng.randrange(3)
        if way == 0:
            with publisher.loan(width, height, format) as frame:
                stamp = numbering.next(size, lost)
                fill(frame.bytes(), stamp)
                frame.offset = stamp.number
            return
        pixels = np.empty(size, np.uint8)
        stamp = numbering.next(size, lost)
        fill(pixels, stamp)
        if way == 1:
            publisher.publish_frame(pixels, FrameParams(width, height, format, offset=stamp.number, pts=stamp.filled))
        else:
            layout = get_format(format).tight_layout(width, height)
            planes = get_format(format).views(pixels, width, height, layout.strides, layout.offsets)
            publisher.publish(planes, format=format, offset=stamp.number)


class Subscriber(Role):
    """Receives as its habit says, checks every byte, holds some frames and checks them again."""

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        super().__init__(spec, report)
        self._subscriber: VideoFrameSubscriber | None = None
        self._tally = Tally()
        self._left = 0

    def live(self) -> None:
        self.phase("opening")
        self._tally = Tally()
        self._left = self.lifetime()
        # Frames held from an earlier subscriber stay valid and are checked later.
        with VideoFrameSubscriber(self.service) as subscriber:
            self._subscriber = subscriber
            if self.stop.is_set():
                # `stop` was set before there was a subscriber to interrupt.
                return
            try:
                if self.habit == "async":
                    asyncio.run(self._receive_async(subscriber))
                else:
                    self._receive(subscriber, self._manner(subscriber))
            except ClosedError:
                if not self.stop.is_set():
                    raise
            finally:
                self._subscriber = None
            self.phase("closing")

    def interrupt(self) -> None:
        if (subscriber := self._subscriber) is not None:
            subscriber.close()

    def _manner(self, subscriber: VideoFrameSubscriber) -> Callable[[], VideoFrame | None]:
        if self.habit == "latest":
            return lambda: subscriber.latest(_WAIT_MS / 1000)
        if self.habit == "iterate":
            # Starts again after each end of stream; no variable holds a frame.
            return lambda: next(iter(subscriber), None)
        if self.habit == "poll":
            return lambda: self._poll(subscriber)
        return lambda: subscriber.receive_blocking(_WAIT_MS)

    def _poll(self, subscriber: VideoFrameSubscriber) -> VideoFrame | None:
        if (frame := subscriber.receive()) is None:
            self.stop.wait(0.005)
        return frame

    def _receive(self, subscriber: VideoFrameSubscriber, manner: Callable[[], VideoFrame | None]) -> None:
        waiting_since = time.monotonic_ns()
        while not self.stop.is_set() and self._left > 0:
            self.phase("waiting", again=False)
            self.look_at_held()
            try:
                frame = manner()
            except BorrowLimitError:
                if subscriber.stats.held < subscriber.stats.limit:
                    raise
                self.look_at_held(everything=True)
                continue
            if frame is None:
                continue
            self._take(subscriber, frame, waiting_since)
            del frame
            self._dawdle()
            waiting_since = time.monotonic_ns()

    async def _receive_async(self, subscriber: VideoFrameSubscriber) -> None:
        waiting_since = time.monotonic_ns()
        self.phase("waiting")
        async for frame in subscriber:
            self._take(subscriber, frame, waiting_since)
            del frame
            self.look_at_held()
            self._dawdle()
            self._left -= 1
            if self._left <= 0 or self.stop.is_set():
                return
            waiting_since = time.monotonic_ns()
            self.phase("waiting")

    def _take(self, subscriber: VideoFrameSubscriber, frame: VideoFrame, waiting_since: int) -> None:
        if frame.is_eos():
            return
        received = time.monotonic_ns()
        self.phase("working")
        pixels = np.frombuffer(frame.pixels, np.uint8)
        stamp = check(pixels)
        stats = subscriber.stats
        count = Count(stats.dropped or 0, stats.skipped)
        is_new = self._tally.note(stamp, count)
        if frame.sequence != stamp.number - stamp.lost:
            raise FaultError(f"number {stamp.number}, {stamp.lost} lost before it, has the sequence {frame.sequence}")
        if self.lossless and count.dropped > self._tally.late:
            missing = count.dropped - self._tally.late
            raise FaultError(f"{missing} frames of a lossless publisher are missing before number {stamp.number}")
        if stats.invalid:
            raise FaultError(f"{stats.invalid} frames were refused")
        if waiting_since < stamp.filled:
            self.delays.append(received - stamp.filled)
        if is_new and waiting_since < stamp.born:
            self.report({"resumed": (received - stamp.born) / 1e9, "number": stamp.number})
        self.counters["frames"] += 1
        self.counters["checked"] += len(pixels)
        self.counters["dropped"], self.counters["skipped"] = count
        self._left -= 1
        if self.rng.random() < 0.1 and self.holding < 3:
            # Only the view holds the pixels.
            frame.release()
            self.hold(self.rng.uniform(0.0, 2.0), pixels, stamp)

    def _dawdle(self) -> None:
        if self.habit == "lag" and self.rng.random() < 0.03:
            self.rest(self.rng.uniform(0.2, 1.5))
        elif self.habit == "hoard" and self.rng.random() < 0.02:
            self._hoard()

    def _hoard(self) -> None:
        """Hold as many frames as possible."""
        subscriber = self._subscriber
        self.phase("idle")
        deadline = time.monotonic() + self.rng.uniform(0.5, 3.0)
        while subscriber is not None and time.monotonic() < deadline and not self.stop.is_set():
            try:
                frame = subscriber.receive()
            except BorrowLimitError:
                self.stop.wait(deadline - time.monotonic())
                break
            except ClosedError:
                break
            if frame is None or frame.is_eos():
                self.stop.wait(0.02)
                continue
            pixels = np.frombuffer(frame.pixels, np.uint8)
            stamp = check(pixels)
            stats = subscriber.stats
            self._tally.note(stamp, Count(stats.dropped or 0, stats.skipped))
            self.counters["frames"] += 1
            self.counters["checked"] += len(pixels)
            self.hold(60.0, pixels, stamp, frame)
            del frame, pixels
        self.look_at_held(everything=True)
