"""Pair frames with results by the identity of the frame. This module neither receives nor waits."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, Generic, TypeVar

Frame = TypeVar("Frame")
Found = TypeVar("Found")
Id = tuple[int, int]

# Results that arrived before their frames, for each detector. A frame is usually there first.
_MAX_EARLY: Final = 64
# Frames that were given out without all results, so that late results can be counted as such.
_MAX_GIVEN: Final = 256


class _Waiting(Generic[Frame, Found]):
    __slots__ = ("deadline", "found", "frame", "id", "missing")

    def __init__(self, frame: Frame, id_: Id | None, deadline: float, found: list[Found | None]) -> None:
        self.frame = frame
        self.id = id_
        self.deadline = deadline
        self.found = found
        self.missing = 0 if id_ is None else found.count(None)


class Pairing(Generic[Frame, Found]):
    """Pairs frames with the results of some detectors.

    Frames leave in the order in which they came: when all of their results are there, when their time is up, or when
    they must make room.

    Args:
        detectors: Number of detectors.
        wait: Longest time that a frame waits, in seconds.

    Attributes:
        joined: Frames that left with all of their results.
        incomplete: Frames that left without some of their results.
        unkeyed: Frames without an identity, which have no results.
        late: Results for frames that had left.
        unmatched: Results whose frames did not come, and repeated results.
    """

    def __init__(self, detectors: int, wait: float) -> None:
        self._detectors = detectors
        self._wait = wait
        self._frames: deque[_Waiting[Frame, Found]] = deque()
        self._by_id: dict[Id, _Waiting[Frame, Found]] = {}
        self._early: list[OrderedDict[Id, Found]] = [OrderedDict() for _ in range(detectors)]
        self._given: OrderedDict[Id, list[bool]] = OrderedDict()
        self.joined = self.incomplete = self.unkeyed = self.late = self.unmatched = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def deadline(self) -> float | None:
        """Time at which the next frame leaves at the latest; None if no frame waits."""
        return self._frames[0].deadline if self._frames else None

    def add_frame(self, frame: Frame, id_: Id | None, now: float) -> None:
        """Add a frame with its identity; None = it has none. Times are those of one monotonic clock in seconds."""
        if id_ in self._by_id:
            # Two frames of a rendition may show the same frame of the source; the results go to the first one.
            id_ = None
        found = [None if id_ is None else early.pop(id_, None) for early in self._early]
        waiting = _Waiting(frame, id_, now + self._wait, found)
        self._frames.append(waiting)
        if id_ is not None:
            self._by_id[id_] = waiting

    def add_found(self, detector: int, found: Found, id_: Id) -> None:
        """Add the results of a detector, given by its position, for the frame with this identity."""
        waiting = self._by_id.get(id_)
        if waiting is not None:
            if waiting.found[detector] is not None:
                self.unmatched += 1
                return
            waiting.found[detector] = found
            waiting.missing -= 1
            return
        given = self._given.get(id_)
        if given is not None:
            self.late += given[detector]
            self.unmatched += not given[detector]
            given[detector] = False
            return
        early = self._early[detector]
        if id_ in early or len(early) >= _MAX_EARLY:
            self.unmatched += 1
            if id_ in early:
                return
            early.popitem(last=False)
        early[id_] = found

    def take(self, now: float, *, must_leave: bool = False) -> tuple[Frame, list[Found | None]] | None:
        """Return the next frame and its results, if it may leave, or must make room; otherwise None."""
        if not self._frames:
            return None
        first = self._frames[0]
        if first.missing and now < first.deadline and not must_leave:
            return None
        self._frames.popleft()
        if first.id is None:
            self.unkeyed += 1
            return first.frame, first.found
        del self._by_id[first.id]
        self._remember(first.id, [found is None for found in first.found])
        self.incomplete += first.missing > 0
        self.joined += not first.missing
        return first.frame, first.found

    def _remember(self, id_: Id, missing: list[bool]) -> None:
        self._given[id_] = missing
        if len(self._given) > _MAX_GIVEN:
            self._given.popitem(last=False)
