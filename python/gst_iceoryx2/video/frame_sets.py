"""Iterate over the frames of several cameras that belong together."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from .._wire.numbers import real
from ..errors import FormatError
from ._joint import END, JointReader
from ._matching import Matching
from .frame import VideoFrame
from .subscriber import VideoFrameSubscriber

# Longest time that `latest` skips sets, in seconds. It is limited because cameras may be faster than the loop.
_LONGEST_SKIP: Final = 0.1


class FrameSetStats(NamedTuple):
    """Counters of one camera of `FrameSets`.

    Attributes:
        matched: Frames given out in a set, or skipped with one.
        unmatched: Frames without a set within the tolerance.
        absent: Frames without a set because another camera sent nothing, or was too late.
        unordered: Frames that were not captured after the previous one of their camera, and those that waited when a
            restarted publisher began with earlier capture times.
        waiting: Frames that wait for partners.
        copied: Frames that were copied, because more had to wait than may be borrowed.
        skipped: Frames in sets that `latest` skipped.
    """

    matched: int
    unmatched: int
    absent: int
    unordered: int
    waiting: int
    copied: int
    skipped: int


class FrameSet(Mapping[str, VideoFrame]):
    """Frames that belong together: one of each camera, by the name of the camera.

    Frames are borrowed, and may be released one by one. `release()` or leaving a `with` block releases all of them.

    Sets come from `FrameSets`; programs do not create them.

    Attributes:
        skew: Seconds between the earliest and the latest capture.
    """

    __slots__ = ("_frames", "skew")

    def _fill(self, frames: dict[str, VideoFrame], skew: float) -> FrameSet:
        """Fill a new set and return it. Used instead of a constructor, because programs must not create sets."""
        self._frames = frames
        self.skew = skew
        return self

    def __getitem__(self, name: str) -> VideoFrame:
        return self._frames[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def release(self) -> None:
        """Release all frames. Arrays made from them stay valid. Idempotent."""
        for frame in self._frames.values():
            frame.release()

    def __enter__(self) -> FrameSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<FrameSet of {', '.join(self._frames)}, skew {self.skew * 1000:.3f} ms>"


class FrameSets(JointReader[FrameSet]):
    """Iterates over sets of frames that several cameras captured at the same time.

    A set has one frame of each camera. Its skew, the time between the earliest and the latest capture, is at most
    `tolerance`. Each frame is in at most one set. Which sets exist depends only on the capture times
    (`VideoFrame.captured_at`), not on how late frames arrive:

    - With a reference camera, each of its frames gives at most one set: the one with the smallest skew. With two
      cameras, this is the nearest frame of the other camera.
    - Without a reference, the slowest camera takes this part. More precisely, the latest one of the cameras' next
      frames does, so lost frames do not matter.

    A set is given out when no better partner can come any more. Usually, this is when its last frame arrives. If the
    tolerance is larger than half of a camera's frame interval, a set may wait for that camera's next frame.

    Frames are borrowed from shared memory. Waiting frames use at most half of the frames that a subscriber may hold
    (`Qos.borrowed_max`). If more have to wait, they are copied and counted in `stats`. While a camera sends nothing,
    frames of the other cameras are dropped instead. Sets continue when the camera comes back, even with another size.

    The iteration ends with the stream of any camera, after its last set, or after `close`. It works with `for` and with
    `async for`, in one thread at a time. The loop variable holds its frames until the next set arrives.

    Args:
        names: Cameras: short names such as "left", or full names of services such as "video/left/frame/v2". They are
            also the keys of each set.
        tolerance: Largest skew of a set in seconds. 0 = only equal capture times. Less than half of the shortest frame
            interval is a good choice.
        reference: Name of the reference camera; None = no reference.
        wait: Seconds of capture time by which a camera may be behind the newest frame. Frames that wait longer are
            dropped and counted. Also the longest wait for other cameras after the end of a stream.

    Attributes:
        subscribers: The subscriber of each camera by its name, for its `stats`. Do not receive frames from it.
        has_ended: Whether a stream has ended, and all sets were given out.

    Raises:
        ValueError: Fewer than two names, the same camera twice, `reference` is not one of the names, or `tolerance` or
            `wait` is out of range.
        TypeError: `names` is a str, or `tolerance` or `wait` is not a number.
        InvalidServiceNameError: A name cannot be used as a service name.
        ServiceError: A service exists but cannot be opened; the subclass and the message say why.
        FormatError: While iterating: the frames of a camera have no capture times.
        BorrowLimitError: While iterating: you hold as many frames of a camera as its service allows.

    Example:
        Print the brightness of pairs of two cameras:

            from gst_iceoryx2.video import FrameSets

            for pair in FrameSets(["cam0", "cam1"], tolerance=0.05):
                print(pair["cam0"].numpy_view().mean(), pair["cam1"].numpy_view().mean(), pair.skew)
    """

    def __init__(
        self, names: Iterable[str], *, tolerance: float, reference: str | None = None, wait: float = 0.5
    ) -> None:
        self._names = _checked(names)
        if reference is not None and reference not in self._names:
            raise ValueError(f"reference is {reference!r}, but must be one of {', '.join(map(repr, self._names))}")
        tolerance, self._wait = real(tolerance, "tolerance", "seconds"), real(wait, "wait", "seconds")
        if not 0 <= tolerance < self._wait < math.inf:
            raise ValueError(
                f"tolerance is {tolerance}, but must be at least 0 seconds and less than wait, which is {self._wait}"
            )
        position = None if reference is None else self._names.index(reference)
        self._matching: Matching[VideoFrame] = Matching(
            len(self._names), round(tolerance * 1e9), round(self._wait * 1e9), position
        )
        self._copied = [0] * len(self._names)
        self._skipped = 0
        self._ended_at: float | None = None
        self.has_ended = False
        with contextlib.ExitStack() as stack:
            self.subscribers = {
                name: stack.enter_context(VideoFrameSubscriber(_service_of(name))) for name in self._names
            }
            stack.pop_all()
        super().__init__(tuple(self.subscribers.values()))

    def receive_blocking(self, block_ms: float | None = None) -> FrameSet | None:
        """Wait for the next set and return it.

        Args:
            block_ms: Maximum wait in milliseconds. None or infinity = wait indefinitely.

        Returns:
            A set of borrowed frames. None if no set was complete in time, or after the end of a stream (`has_ended`).

        Raises:
            FormatError: The frames of a camera have no capture times.
            BorrowLimitError: You hold as many frames of a camera as its service allows.
            ClosedError: A subscriber is closed.
            ValueError: `block_ms` is NaN.
            TypeError: `block_ms` is not a number.

        Example:
            Do something else while no set arrives:

                with FrameSets(["cam0", "cam1"], tolerance=0.05) as sets:
                    while not sets.has_ended:
                        pair = sets.receive_blocking(block_ms=500)
                        print("no pair for half a second" if pair is None else pair.skew)
        """
        seconds = math.inf if block_ms is None else real(block_ms, "block_ms", "milliseconds") / 1000
        deadline = time.monotonic() + seconds
        while not self.has_ended:
            item = self._step()
            if item is END:
                break
            if item is not None:
                return item  # type: ignore[no-any-return]
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            self._watching().wait(min(remaining, self._pause()))
        return None

    def latest(self, timeout: float | None = 0.0) -> FrameSet | None:
        """Return the newest set and skip older ones.

        Args:
            timeout: Maximum wait for a set in seconds. None or infinity = wait indefinitely.

        Returns:
            A set of borrowed frames. None if no set was complete within `timeout`, or after the end of a stream
            (`has_ended`).

        Raises:
            FormatError: The frames of a camera have no capture times.
            BorrowLimitError: You hold as many frames of a camera as its service allows.
            ClosedError: A subscriber is closed.
            ValueError: `timeout` is NaN.
            TypeError: `timeout` is not a number.

        Example:
            Process only the newest pair when processing is slower than the cameras:

                with FrameSets(["cam0", "cam1"], tolerance=0.05) as sets:
                    while (pair := sets.latest(timeout=5)) is not None:
                        print(pair.skew, sets.stats["cam0"].skipped)
        """
        seconds = math.inf if timeout is None else real(timeout, "timeout", "seconds")
        deadline, skip_until = time.monotonic() + seconds, math.inf
        newest: FrameSet | None = None
        while not self.has_ended and time.monotonic() < skip_until:
            item = self._step()
            if item is None:
                remaining = deadline - time.monotonic()
                if newest is not None or remaining <= 0:
                    return newest
                self._watching().wait(min(remaining, self._pause()))
            elif item is not END:
                if newest is None:
                    skip_until = time.monotonic() + _LONGEST_SKIP
                else:
                    newest.release()
                    self._skipped += 1
                newest = item
        return newest

    @property
    def stats(self) -> dict[str, FrameSetStats]:
        """Counters of each camera so far, by its name."""
        return {
            name: FrameSetStats(
                camera.matched,
                camera.unmatched,
                camera.absent,
                camera.unordered,
                len(camera.frames),
                copied,
                self._skipped,
            )
            for name, camera, copied in zip(self._names, self._matching.cameras, self._copied, strict=True)
        }

    @property
    def nearest_miss(self) -> float | None:
        """Smallest known skew of frames that were too far apart for a set, in seconds; None if there were none.

        If no sets arrive, this tells how large the tolerance must be.
        """
        miss = self._matching.nearest_miss
        return None if miss is None else miss / 1e9

    def close(self) -> None:
        """End the iteration, and close the subscribers. Frames that wait for partners count as absent.

        Call it from the thread that iterates, or close one of `subscribers` from another thread. Idempotent.
        """
        super().close()
        for subscriber in self.subscribers.values():
            subscriber.close()
        for camera in self._matching.cameras:
            camera.absent += camera.drop(len(camera.frames))

    def __repr__(self) -> str:
        return f"<FrameSets of {', '.join(self._names)}, {self._matching.cameras[0].matched} sets>"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _step(self) -> Any:
        while True:
            taken = self._matching.take()
            if taken is not None:
                return FrameSet()._fill(dict(zip(self._names, taken[1], strict=True)), taken[0] / 1e9)
            deadline = self._deadline()
            if self._matching.is_over or (deadline is not None and time.monotonic() >= deadline):
                self.has_ended = True
                return END
            # Make room only after the newest frames had their chance to leave in a set.
            for position in range(len(self._names)):
                self._make_room(position)
            received = [self._receive(position) for position in range(len(self._names))]
            if not any(received) and not self._drain():
                return None

    def _deadline(self) -> float | None:
        return None if self._ended_at is None else self._ended_at + self._wait

    def _receive(self, position: int) -> bool:
        """Receive a frame of a camera; return whether there was one."""
        camera, subscriber = self._matching.cameras[position], self.subscribers[self._names[position]]
        if camera.has_ended:
            return False
        if subscriber._intake.ledger.is_full and subscriber._has_waiting():
            self._copy_beyond(position, 0)
        frame = subscriber.receive()
        if frame is None:
            return False
        if frame.is_eos():
            camera.has_ended = True
            self._ended_at = self._ended_at or time.monotonic()
            return True
        stamp = frame.stamp
        if stamp.capture is None:
            raise FormatError(
                f"cannot align frames of {subscriber.service_name!r}: they have no capture times of this machine's "
                "clock; publish them with aux_bytes > 0, or through a bridge if they come from another machine"
            )
        camera.add(frame, stamp.capture, stamp.publisher)
        return True

    def _make_room(self, position: int) -> None:
        """Let at most half of the frames that a subscriber may hold wait in shared memory."""
        camera, subscriber = self._matching.cameras[position], self.subscribers[self._names[position]]
        most = subscriber._intake.ledger.limit // 2
        if len(camera.frames) <= most:
            return
        if self._matching.is_paused:
            camera.absent += camera.drop(len(camera.frames) - max(1, most))
        self._copy_beyond(position, most)

    def _copy_beyond(self, position: int, most: int) -> None:
        """Copy the waiting frames of a camera that are borrowed, except for the first few."""
        frames = self._matching.cameras[position].frames
        borrowed = [at for at, frame in enumerate(frames) if frame._ledger is not None]
        for at in borrowed[most:]:
            frame, frames[at] = frames[at], copy.copy(frames[at])
            frame.release()
            self._copied[position] += 1


def _service_of(name: str) -> str:
    return f"video/{name}/frame/v2" if isinstance(name, str) and name and "/" not in name else name


def _checked(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the cameras, if there are several, and all differ."""
    if isinstance(names, str):
        raise TypeError(f"names is {names!r}, but must be a list of names, such as ['left', 'right']")
    checked = tuple(names)
    if len(checked) < 2:
        raise ValueError(
            f"a set needs at least 2 cameras, but names has {len(checked)}; use VideoFrameSubscriber for one"
        )
    services = [_service_of(name) for name in checked]
    twice = next((name for name, service in zip(checked, services, strict=True) if services.count(service) > 1), None)
    if twice is not None:
        raise ValueError(f"names has {twice!r} more than once, but each camera can be in a set only once")
    return checked
