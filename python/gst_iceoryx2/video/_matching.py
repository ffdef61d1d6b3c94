"""Find the frames of several cameras that belong together. This module neither receives nor waits.

Which sets exist depends only on the capture times, not on the order of arrival. Sets are found one after the other:

1. The pivot is the first remaining frame of the reference camera. Without a reference, it is the latest one of the
   first remaining frames of all cameras, so the slowest camera sets the pace.
2. The set of the pivot has one frame of each camera, and the smallest possible skew. With two cameras, this is the
   frame nearest to the pivot. The earlier set wins if two have the same skew.
3. If the skew is at most the tolerance, the set exists. Its frames, and earlier ones of their cameras, are used up.
   Otherwise, the pivot is in no set.

A set is final when no frame that may still come could make it smaller. Capture times of a camera increase, so a frame
after the pivot settles its camera. Otherwise, the next frame is expected no sooner than the camera's shortest interval.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

Frame = TypeVar("Frame")

# The shortest of this many intervals is the shortest that is expected.
_INTERVALS: Final = 100
# With fewer known intervals, the next frame may come at any time.
_MIN_INTERVALS: Final = 8


class Camera(Generic[Frame]):
    """The frames of one camera that wait for partners, in the order of their capture times.

    Attributes:
        times: Capture times of the waiting frames in nanoseconds.
        frames: The waiting frames.
        newest: Capture time of the newest frame; None before the first one.
        has_ended: Whether no further frame comes.
        matched: Frames that left in a set.
        unmatched: Frames without a partner within the tolerance.
        absent: Frames that left because another camera sent nothing for too long.
        unordered: Frames that were not captured after the previous one, and those that a restart with earlier times cut
            off.
    """

    def __init__(self) -> None:
        self.times: list[int] = []
        self.frames: list[Frame] = []
        self.newest: int | None = None
        self.has_ended = False
        self.matched = self.unmatched = self.absent = self.unordered = 0
        self._publisher: int | None = None
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._shortest = 1

    def add(self, frame: Frame, time: int, publisher: int | None) -> bool:
        """Add a frame; return whether it was accepted."""
        if publisher != self._publisher:
            self._restart(time, publisher)
        if self.newest is not None:
            if time <= self.newest:
                self.unordered += 1
                return False
            self._intervals.append(time - self.newest)
            if len(self._intervals) >= _MIN_INTERVALS:
                self._shortest = min(self._intervals)
        self.newest = time
        self.times.append(time)
        self.frames.append(frame)
        return True

    def _restart(self, time: int, publisher: int | None) -> None:
        self._publisher = publisher
        if self.newest is not None and time <= self.newest:
            self.unordered += self.drop(len(self.times))
            self.newest = None
        self._intervals.clear()
        self._shortest = 1

    def drop(self, count: int) -> int:
        """Drop the first frames; return their number."""
        del self.times[:count], self.frames[:count]
        return count

    def earliest_next(self) -> int | None:
        """Return the earliest capture time that the next frame may have; None if no frame comes."""
        if self.has_ended:
            return None
        return 0 if self.newest is None else self.newest + self._shortest

    def earliest(self) -> int | None:
        """Return the earliest capture time that the first remaining frame may have; None if no frame remains."""
        return self.times[0] if self.times else self.earliest_next()


class Matching(Generic[Frame]):
    """Finds sets of frames; see the module.

    Args:
        count: Number of cameras.
        tolerance: Largest skew of a set in nanoseconds.
        wait: How far the camera behind may be behind the newest frame, in nanoseconds of capture time.
        reference: Position of the reference camera; None = no reference.

    Attributes:
        nearest_miss: Smallest known distance of frames without a set to later frames of another camera, in nanoseconds;
            None before the first one.
    """

    def __init__(self, count: int, tolerance: int, wait: int, reference: int | None = None) -> None:
        self.cameras: Final = tuple(Camera[Frame]() for _ in range(count))
        self._tolerance = tolerance
        self._wait = wait
        self._reference = reference
        self.nearest_miss: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether no further set can come, because a camera has ended and none of its frames remain."""
        return any(camera.earliest() is None for camera in self.cameras)

    @property
    def is_paused(self) -> bool:
        """Whether a camera has sent nothing yet, or is too far behind to give a set."""
        newest = [camera.newest for camera in self.cameras if not camera.has_ended]
        known = [time for time in newest if time is not None]
        return len(known) < len(newest) or (bool(known) and max(known) - min(known) > self._wait)

    def take(self) -> tuple[int, list[Frame]] | None:
        """Return the skew and the frames of the next set, if it is final; otherwise None."""
        while True:
            self._drop_hopeless()
            pivot = self._pivot()
            if pivot is None:
                return None
            times = [camera.times for camera in self.cameras]
            found = self._best(times, pivot)
            hoped = self._best([self._with_next(camera, pivot) for camera in self.cameras], pivot)
            if hoped is None:
                self.cameras[pivot].unmatched += self.cameras[pivot].drop(1)
            elif found is None or hoped[0] < found[0]:
                return None
            else:
                return found[0], [self._use(*chosen) for chosen in zip(self.cameras, found[1], strict=True)]

    def _pivot(self) -> int | None:
        """Return the camera of the pivot; None if that is not known yet."""
        if self._reference is not None:
            return self._reference if self.cameras[self._reference].times else None
        if not all(camera.times for camera in self.cameras):
            return None
        return max(range(len(self.cameras)), key=lambda number: self.cameras[number].times[0])

    def _with_next(self, camera: Camera[Frame], pivot: int) -> Sequence[int]:
        """Return a camera's capture times, and that of its next frame if it comes at the best time for the pivot."""
        following, moment = camera.earliest_next(), self.cameras[pivot].times[0]
        if following is None or (camera.times and camera.times[-1] >= moment):
            return camera.times
        return [*camera.times, max(following, moment)]

    def _best(self, times: Sequence[Sequence[int]], pivot: int) -> tuple[int, list[int]] | None:
        """Return the smallest skew of the pivot's sets, and the position of each frame; None if it is too large."""
        moment = times[pivot][0]
        starts = {time for one in times for time in one[bisect_left(one, moment - self._tolerance) :] if time <= moment}
        best: tuple[int, list[int]] | None = None
        limit = self._tolerance
        for start in sorted(starts):
            chosen = [0 if number == pivot else bisect_left(one, start) for number, one in enumerate(times)]
            if any(at == len(one) for at, one in zip(chosen, times, strict=True)):
                break
            members = [one[at] for at, one in zip(chosen, times, strict=True)]
            skew = max(members) - min(members)
            if skew < limit or (best is None and skew == limit):
                best, limit = (skew, chosen), skew
        return best

    @staticmethod
    def _use(camera: Camera[Frame], at: int) -> Frame:
        frame = camera.frames[at]
        camera.drop(at + 1)
        camera.unmatched += at
        camera.matched += 1
        return frame

    def _drop_hopeless(self) -> None:
        """Drop frames that are too early for every frame that remains, or that comes, of another camera."""
        earliest = [time for camera in self.cameras if (time := camera.earliest()) is not None]
        floor = max(earliest, default=0) - self._tolerance
        newest = max((camera.newest or 0 for camera in self.cameras), default=0) - self._wait
        latest = max((camera.times[0] for camera in self.cameras if camera.times), default=0)
        for camera in self.cameras:
            hopeless = bisect_left(camera.times, floor)
            if hopeless:
                self._note_miss(latest - camera.times[hopeless - 1])
            camera.unmatched += camera.drop(hopeless)
            if not all(other.times for other in self.cameras):
                camera.absent += camera.drop(bisect_left(camera.times, newest))

    def _note_miss(self, distance: int) -> None:
        # The floor may be that of a frame that has not arrived yet.
        if distance > self._tolerance and (self.nearest_miss is None or distance < self.nearest_miss):
            self.nearest_miss = distance
