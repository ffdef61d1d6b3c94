"""Receive the results of a detector, alone or joined with the frames that they belong to."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn, overload

from .._iox2.service_name import check_name
from .._iox2.types import Node
from .._wire.numbers import real
from .._wire.results import VideoResultsHeader, results_service, source_name
from ..video._receiver import Receiver
from ._intake import ResultsIntake
from .joined import JoinedFrames
from .result import Results


class ResultsSubscriberStats(NamedTuple):
    """Counters of a `ResultsSubscriber` since it was created.

    Attributes:
        received: Results received.
        dropped: Results that did not arrive, because the subscriber's buffer or the publisher's memory was full.
        invalid: Results rejected because their content is invalid.
    """

    received: int
    dropped: int
    invalid: int


class ResultsSubscriber(Receiver[Results]):
    """Receive the results of one detector, in the order in which it published them.

    You can start it before or after its publisher. At first, it receives up to 16 results that were published earlier.
    It reconnects when the detector restarts. You can call every method from any thread; each result goes to one caller.
    A subscriber cannot be used in a forked child, where it raises ForkedError: create a new one there.

    A `for` loop and an `async for` loop end when the subscriber is closed. `joined` gives the frames as well.

    Args:
        source: Name of the source: `cam0`, or `video/cam0/frame/v2`. The name of a rendition stands for its source.
        detector: Name of the detector.
        iox2_node: `iceoryx2.Node` to use, from `create_node()`; None creates one.

    Raises:
        InvalidServiceNameError: A name cannot be used.
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.

    Example:
        Print what a detector finds:

            with ResultsSubscriber("cam0", "yolo") as subscriber:
                for results in subscriber:
                    print(results.sequence, results.age, results.boxes)
    """

    def __init__(self, source: str, detector: str, *, iox2_node: Node | None = None) -> None:
        self._intake: ResultsIntake
        name = check_name(results_service(source, detector))
        self._source = source_name(source)
        self._detector = detector
        super().__init__(
            name,
            iox2_node,
            0.0,
            lambda is_local: ResultsIntake(name, detector, is_local=is_local),
            VideoResultsHeader,
        )

    # -- results -----------------------------------------------------------------------------------------------------

    def receive(self) -> Results | None:
        """Return the next results, without waiting for them.

        Returns:
            A copy of the results; None if no results are waiting.

        Raises:
            ClosedError: This subscriber is closed.
            ServiceError: The service was recreated and cannot be opened.

        Example:
            Poll from a loop that has other work:

                import time

                with ResultsSubscriber("cam0", "yolo") as subscriber:
                    while (results := subscriber.receive()) is None:
                        time.sleep(0.01)
                    print(results)
        """
        with self._lock:
            return self._next()

    def receive_blocking(self, block_ms: float | None = None) -> Results | None:
        """Wait for the next results and return them.

        Args:
            block_ms: Maximum wait in milliseconds. None or infinity = wait indefinitely, 0 or less = do not wait.
                Ctrl-C interrupts the wait with KeyboardInterrupt.

        Returns:
            A copy of the results; None if no results arrived within `block_ms`.

        Raises:
            ClosedError: This subscriber is closed, or was closed by another thread during the wait.
            ServiceError: The service was recreated and cannot be opened.
            ValueError: `block_ms` is NaN.
            TypeError: `block_ms` is not a number.

        Example:
            Wait at most a second:

                with ResultsSubscriber("cam0", "yolo") as subscriber:
                    print(subscriber.receive_blocking(1000))
        """
        return self._wait_for_next(None if block_ms is None else real(block_ms, "block_ms", "milliseconds") / 1000)

    @overload
    def joined(self, *, wait: float = 0.08, frames: str | None = None) -> JoinedFrames[Results | None]: ...
    @overload
    def joined(
        self, *others: ResultsSubscriber, wait: float = 0.08, frames: str | None = None
    ) -> JoinedFrames[Any]: ...
    def joined(self, *others: ResultsSubscriber, wait: float = 0.08, frames: str | None = None) -> JoinedFrames[Any]:
        """Return an iterator over the frames of the source, each with its results.

        Args:
            others: Subscribers of other detectors of the same source. They and this one must not be read elsewhere.
            wait: Longest time in seconds that a frame waits for its results, from its receipt.
            frames: Name of the service of the frames; None = the source. Give a rendition of the source to get its
                frames; coordinates of results are in pixels of the source nevertheless.

        Returns:
            An iterator; see `JoinedFrames`. Each item is a frame and its results, and then the results of `others` in
            their order; None if there were none in time.

        Raises:
            ValueError: `wait` is negative or NaN, or a subscriber is given twice.
            TypeError: `wait` is not a number, or one of `others` is not a `ResultsSubscriber`.
            ServiceError: The service of the frames exists but cannot be opened.

        Example:
            Show each frame with its own boxes:

                with ResultsSubscriber("cam0", "yolo") as yolo, yolo.joined(wait=0.1) as joined:
                    for frame, results in joined:
                        print(frame.sequence, None if results is None else results.boxes)

            Wait for two detectors:

                with ResultsSubscriber("cam0", "yolo") as yolo, ResultsSubscriber("cam0", "pose") as pose:
                    for frame, boxes, poses in yolo.joined(pose):
                        print(frame.sequence, boxes, poses)
        """
        return JoinedFrames((self, *others), frames or f"video/{self._source}/frame/v2", wait)

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """Short name of the source."""
        return self._source

    @property
    def detector(self) -> str:
        """Name of the detector."""
        return self._detector

    @property
    def stats(self) -> ResultsSubscriberStats:
        """Counters so far."""
        intake = self._intake
        with self._lock:
            return ResultsSubscriberStats(intake.received, intake.dropped, intake.invalid)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: create ResultsSubscriber({self._source!r}, {self._detector!r}) in the "
            "process that receives"
        )

    def __repr__(self) -> str:
        stats = self.stats
        state = ", closed" if self.is_closed else "" if self._link else ", waiting for a publisher"
        return (
            f"<ResultsSubscriber {self._name!r}, received {stats.received}, dropped {stats.dropped}, "
            f"invalid {stats.invalid}{state}>"
        )
