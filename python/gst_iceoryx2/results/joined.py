"""Iterate over frames, each with the results that belong to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from .._wire.numbers import real
from ..video._joint import END, JointReader
from ..video.frame import VideoFrame
from ..video.subscriber import VideoFrameSubscriber
from ._pairing import Pairing
from .key import id_of

if TYPE_CHECKING:
    from .result import Results
    from .subscriber import ResultsSubscriber

_MAX_WAIT: Final = 3600.0

Row = TypeVar("Row")


class JoinStats(NamedTuple):
    """Counters of a `JoinedFrames` iterator.

    Attributes:
        joined: Frames given out with the results of all detectors.
        incomplete: Frames given out without the results of at least one detector.
        early: Those of them that were given out before their time, because the service allows no more borrowed frames.
        unkeyed: Frames without a stamp, for which results cannot exist.
        late: Results that arrived after their frame had been given out.
        unmatched: Results whose frame did not arrive, and results for a frame that already had some.
    """

    joined: int
    incomplete: int
    early: int
    unkeyed: int
    late: int
    unmatched: int


class JoinedFrames(JointReader[tuple[VideoFrame, Row]], Generic[Row]):
    """Iterates over frames, each with its results, in the order of the frames.

    An item is a tuple of a frame and the results of each detector; None if they were not there in time. Frames are
    borrowed from shared memory; no pixel is copied. A frame waits for its results at most `wait` seconds after its
    receipt, whether the detector is slow or dead. It waits less if frames arrive while the subscriber already holds as
    many as its service allows, minus one. A frame never gets the results of another one.

    The iteration ends with the stream of frames, or after `close`. It works with `for` and with `async for`, in one
    thread at a time.

    Iterators come from `ResultsSubscriber.joined`; programs do not create them.

    Attributes:
        frames: The subscriber of the frames, for its `stats`. Do not receive frames from it.
    """

    def __init__(self, results: Sequence[ResultsSubscriber], frames: str, wait: float) -> None:
        wait = real(wait, "wait", "seconds")
        if not wait >= 0:
            raise ValueError(f"wait is {wait}, but must be at least 0 seconds")
        self._results = tuple(results)
        for subscriber in self._results:
            _check_subscriber(subscriber, self._results)
        self._pairing: Pairing[VideoFrame, Results] = Pairing(len(self._results), min(wait, _MAX_WAIT))
        self._early = 0
        self._has_ended = False
        self.frames = VideoFrameSubscriber(frames)
        super().__init__((self.frames, *self._results))

    @property
    def stats(self) -> JoinStats:
        """Counters so far."""
        pairing = self._pairing
        return JoinStats(
            pairing.joined, pairing.incomplete, self._early, pairing.unkeyed, pairing.late, pairing.unmatched
        )

    def close(self) -> None:
        """End the iteration, and close the subscriber of the frames. The subscribers of results stay open.

        Call it from the thread that iterates, or close a subscriber of results from another thread. Idempotent.
        """
        self.frames.close()
        self._pairing = _counters_of(self._pairing)
        super().close()

    def __repr__(self) -> str:
        detectors = ", ".join(subscriber.detector for subscriber in self._results)
        return f"<JoinedFrames of {self.frames.service_name!r} with {detectors}, {self.stats}>"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _step(self) -> Any:
        """Return the next item, `END` at the end, or None if it is not there yet."""
        while True:
            must_leave = self._take_frames()
            self._take_results()
            before = self._pairing.incomplete
            now = time.monotonic()
            taken = self._pairing.take(now)
            if taken is None and must_leave:
                taken = self._pairing.take(now, must_leave=True)
                self._early += self._pairing.incomplete - before
            if taken is not None:
                return (taken[0], *taken[1])
            if self._has_ended and not self._pairing:
                return END
            if not self._drain():
                return None

    def _take_frames(self) -> bool:
        """Receive frames; return whether the first one must leave so that the next one can be received."""
        frames, ledger = self.frames, self.frames._intake.ledger
        while not self._has_ended:
            if self._pairing and ledger.held >= ledger.limit - 1:
                return frames._has_waiting()
            frame = frames.receive()
            if frame is None:
                return False
            if frame.is_eos():
                self._has_ended = True
            else:
                self._pairing.add_frame(frame, id_of(frame), time.monotonic())
        return False

    def _take_results(self) -> None:
        for position, subscriber in enumerate(self._results):
            while (results := subscriber.receive()) is not None:
                self._pairing.add_found(position, results, (results.publisher, results.sequence))

    def _deadline(self) -> float | None:
        return self._pairing.deadline


def _check_subscriber(subscriber: object, all_of_them: Sequence[ResultsSubscriber]) -> None:
    if not hasattr(subscriber, "detector"):
        raise TypeError(f"joined needs subscribers of results, not {type(subscriber).__name__}")
    if all_of_them.count(subscriber) > 1:
        raise ValueError(
            f"{subscriber!r} is given twice, but each result goes to one reader; give each detector once, or create "
            "another ResultsSubscriber"
        )


def _counters_of(pairing: Pairing[Any, Any]) -> Pairing[Any, Any]:
    """Return the counters without the frames."""
    empty: Pairing[Any, Any] = Pairing(0, 0)
    for name in ("joined", "incomplete", "unkeyed", "late", "unmatched"):
        setattr(empty, name, getattr(pairing, name))
    return empty
