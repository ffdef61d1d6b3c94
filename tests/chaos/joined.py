"""A detector that reads the number in each picture, and a reader that checks that each result belongs to its frame."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gst_iceoryx2.errors import ClosedError
from gst_iceoryx2.results import Box, FrameKey, JoinedFrames, Results, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.video import VideoFrame, VideoFrameSubscriber
from tests.chaos.pattern import check
from tests.chaos.role import Report, Role
from tests.chaos.tally import FaultError

_DETECTOR: Final = "numbers"
_TIMEOUT: Final = 0.1
# A reader waits for less time than a detector that lags may take.
_WAIT: Final = 0.1
_LAG: Final = 0.3


class Detector(Role):
    """Publishes the number and the publisher that it reads from the pixels of each frame, as position and track."""

    def live(self) -> None:
        self.phase("opening")
        with VideoFrameSubscriber(self.service) as frames, ResultsPublisher(self.service, _DETECTOR) as out:
            for _ in range(self.lifetime()):
                self.phase("waiting", again=False)
                while not self.stop.is_set() and not self._detect(frames, out):
                    pass
                if self.stop.is_set():
                    break
            self.phase("closing")

    def _detect(self, frames: VideoFrameSubscriber, out: ResultsPublisher) -> bool:
        """Publish the results for the newest frame; return whether there was one."""
        frame = frames.latest(_TIMEOUT)
        if frame is None or frame.is_eos():
            return False
        self.phase("working")
        with frame:
            key, stamp = FrameKey.of(frame), check(np.frombuffer(frame.pixels, np.uint8))
        if self.habit == "lag":
            self.rest(self.rng.uniform(0.0, _LAG))
        self.phase("sending")
        out.publish(key, [Box("number", 1, stamp.number, 0, 1, 1, stamp.publisher)])
        self.counters["frames"] += 1
        return True


class JoinedReader(Role):
    """Reads frames with their results, and compares the results with the pixels."""

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        super().__init__(spec, report)
        self.counters |= {"joined": 0, "late": 0}
        self._subscriber: ResultsSubscriber | None = None
        self._last: tuple[int, int] | None = None

    def live(self) -> None:
        self.phase("opening")
        self._last = None
        with ResultsSubscriber(self.service, _DETECTOR) as subscriber:
            self._subscriber = subscriber
            try:
                # `stop` may have been set before there was a subscriber to close.
                if not self.stop.is_set():
                    with subscriber.joined(wait=_WAIT, frames=self.service) as joined:
                        self._read(joined)
            except ClosedError:
                if not self.stop.is_set():
                    raise
            finally:
                self._subscriber = None
            if not self.stop.is_set() and subscriber.stats.invalid:
                raise FaultError(f"{subscriber.stats.invalid} results were refused")
            self.phase("closing")

    def interrupt(self) -> None:
        if (subscriber := self._subscriber) is not None:
            # This ends the iteration.
            subscriber.close()

    def _read(self, joined: JoinedFrames[Results | None]) -> None:
        self.phase("waiting")
        left, late = self.lifetime(), self.counters["late"]
        for frame, results in joined:
            self.phase("working")
            with frame:
                self._compare(frame, results)
            self.counters["late"] = late + joined.stats.late
            left -= 1
            if left <= 0 or self.stop.is_set():
                return
            self.phase("waiting")

    def _compare(self, frame: VideoFrame, results: Results | None) -> None:
        stamp = check(np.frombuffer(frame.pixels, np.uint8))
        name = f"number {stamp.number} of publisher {stamp.publisher:x}"
        if self._last is not None and self._last[0] == stamp.publisher and stamp.number <= self._last[1]:
            raise FaultError(f"{name} came after number {self._last[1]}")
        self._last = stamp.publisher, stamp.number
        self.counters["frames"] += 1
        self.counters["checked"] += frame.pixels.nbytes
        if results is None:
            return
        (box,) = results.boxes
        if (box.track, box.x) != (stamp.publisher, stamp.number):
            raise FaultError(f"{name} came with results of number {box.x:.0f} of publisher {box.track or 0:x}")
        self.counters["joined"] += 1
