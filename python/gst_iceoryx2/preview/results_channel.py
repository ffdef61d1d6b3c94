"""The results of one detector for one stream of a preview. They are received only while a page wants them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from .._wire.results import results_service
from ..discovery.watched import Newest, Watched
from ..results import Results, ResultsSubscriber
from .drawable import drawable
from .frame_name import of_results
from .status import DetectorStatus
from .websocket import page_message

# Results that are kept for pages that join, and for pictures that are sent later.
_MAX_KEPT: Final = 64
# Pictures of a page for which results may still arrive.
_MAX_PICTURES: Final = 256


class ResultsMessage(NamedTuple):
    """One result, shared by all viewers.

    Attributes:
        number: Number of the result, counted by the channel from 0 without gaps.
        frames: Names of the frame that it belongs to.
        message: WebSocket message, see `page_message`.
    """

    number: int
    frames: tuple[str, ...]
    message: bytes


class ResultsChannel(Watched[Results]):
    """Receives the results of a detector while viewers want them, and keeps the newest ones.

    Args:
        source: Name of the stream, or of a rendition of it.
        detector: Name of the detector.
        index: Number of the stream, sent with each result.
    """

    def __init__(self, source: str, detector: str, index: int) -> None:
        super().__init__(results_service(source, detector))
        self._source, self._detector, self._index = source, detector, index
        self._viewers: dict[object, Callable[[], None]] = {}
        self._kept: deque[ResultsMessage] = deque(maxlen=_MAX_KEPT)
        self._number = 0
        self.rest()
        self._start()

    def want(self, viewer: object, wake: Callable[[], None] | None) -> None:
        """Register whether a viewer wants the results.

        Args:
            viewer: The viewer.
            wake: Called in the channel's thread for each result; must not block. None means that the viewer does not
                want results.
        """
        with self._lock:
            if wake is None:
                self._viewers.pop(viewer, None)
            else:
                self._viewers[viewer] = wake
            if self._viewers:
                self.resume()
            else:
                self.rest()

    def since(self, number: int) -> list[ResultsMessage]:
        """Return the results from a number on."""
        with self._lock:
            return [one for one in self._kept if one.number >= number]

    def status(self) -> DetectorStatus:
        """Return the current state."""
        received, dropped, invalid = self.counts()
        return DetectorStatus(self._detector, self.is_connected, self.problem, received, dropped or 0, invalid)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _subscribe(self) -> ResultsSubscriber:
        return ResultsSubscriber(self._source, self._detector)

    def _describe(self, frame: Results) -> tuple[Newest, int]:
        return Newest("results", frame.width, frame.height, None), 0

    def _take(self, frame: Results, *, is_new: bool) -> None:
        frames = of_results(frame)
        about, cells = drawable(frame)
        about |= {"stream": self._index, "detector": self._detector, "frames": frames}
        with self._lock:
            self._kept.append(ResultsMessage(self._number, frames, page_message(about, cells)))
            self._number += 1
            wakers = list(self._viewers.values())
        for wake in wakers:
            wake()


class ResultsFlow:
    """Gives a viewer the results of the pictures that it was sent, once each.

    A page that is sent few pictures is therefore sent few results.

    Args:
        channels: The detectors of one stream.
    """

    def __init__(self, channels: Sequence[ResultsChannel]) -> None:
        self._channels = channels
        self._next = [0] * len(channels)
        self._pictures: OrderedDict[str, None] = OrderedDict()
        # Results for pictures that were not sent yet, or never will be.
        self._early: deque[ResultsMessage] = deque(maxlen=_MAX_KEPT * len(channels))

    def note(self, frame: str | None) -> None:
        """Note that the viewer is sent the picture of a frame."""
        if frame is not None and self._channels:
            self._pictures[frame] = None
            self._pictures.move_to_end(frame)
            if len(self._pictures) > _MAX_PICTURES:
                self._pictures.popitem(last=False)

    def take(self) -> list[ResultsMessage]:
        """Return the results to send now."""
        for place, channel in enumerate(self._channels):
            for found in channel.since(self._next[place]):
                self._next[place] = found.number + 1
                self._early.append(found)
        ready = [one for one in self._early if not self._pictures.keys().isdisjoint(one.frames)]
        for one in ready:
            self._early.remove(one)
        return ready
