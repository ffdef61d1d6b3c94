"""One stream of a recording: from its subscriber into its track."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from .._thinning import Thinning
from .._wire.stamp import monotonic_ns
from .._work import Stop
from ..discovery import short_name
from ..video.frame import VideoFrame
from ..video.subscriber import VideoFrameSubscriber
from .encoder import Encoder
from .errors import NotLosslessError
from .target import Target
from .timeline import Timeline

End: TypeAlias = Literal["running", "end of stream", "limit", "stopped", "silent", "changed"]

_LOOK_MS: Final = 100.0
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TrackReport:
    """What became of one stream.

    Attributes:
        service: Name of the service.
        width: Pixels of the track; 0 before the first frame.
        height: Rows of the track.
        format: GStreamer's name of what came first.
        pixel_format: FFmpeg's name of what is encoded.
        frames: Frames in the file.
        dropped: Frames that the publisher sent during the recording and that did not arrive, because this end was too
            slow; None = unknown, the publisher counts nothing.
        skipped: Frames left out because of `max_fps`.
        invalid: Frames refused because they are unsound.
        seconds: From the first frame in the file to the last.
        resized: Whether frames of another size came and were scaled.
        end: Why it ended: "end of stream", "limit" (duration or number of frames), "stopped" (by the caller), "silent"
            (its publisher has gone, or sent nothing for too long), "changed" (see `complaint`); "running" before that.
        complaint: What went wrong, as a sentence; "" where nothing did.
    """

    service: str
    width: int
    height: int
    format: str
    pixel_format: str
    frames: int
    dropped: int | None
    skipped: int
    invalid: int
    seconds: float
    resized: bool
    end: End
    complaint: str


@dataclass(frozen=True, slots=True)
class Limits:
    """When a track ends by itself.

    Attributes:
        duration: Seconds of the stream; None = none.
        frames: Number of frames; None = none.
        max_fps: Frames a second at most; None = all.
        timeout: Seconds without a frame after which its publisher counts as gone.
    """

    duration: float | None
    frames: int | None
    max_fps: float | None
    timeout: float


class Track:
    """Receives one stream and encodes it.

    Args:
        service: Full name of the service.
        limits: When it ends.
        is_shared: Whether other streams go into the same file.

    Attributes:
        service: The service.
        first_moment: Moment of the first frame; None before it.
    """

    def __init__(self, service: str, limits: Limits, *, is_shared: bool) -> None:
        self.service = service
        self._limits = limits
        self._subscriber = VideoFrameSubscriber(service)
        self._timeline = Timeline(is_shared=is_shared)
        self._thinning = Thinning(limits.max_fps)
        self._first: VideoFrame | None = None
        self._encoder: Encoder | None = None
        self._what = (0, 0, "", "")
        self._resized = False
        self._frames = 0
        self._began = self._last = 0
        self._dropped_before = 0
        self._end: End = "running"
        self._complaint = ""
        self.first_moment: int | None = None

    @property
    def name(self) -> str:
        """Short name of the service."""
        return short_name(self.service)

    def await_first(self, timeout: float, *, newest: bool = False) -> bool:
        """Wait for a frame to begin with, for so many seconds; keep it. An end of stream is waited past.

        Args:
            timeout: Seconds.
            newest: Whether to pass over frames that have been waiting.

        Returns:
            Whether one came.
        """
        self._first = None
        subscriber = self._subscriber
        frame = subscriber.latest(timeout) if newest else subscriber.receive_blocking(timeout * 1000)
        if frame is None or frame.is_eos():
            return False
        self._first = frame
        return True

    def prepare(self, container: Any, target: Target) -> None:
        """Add a track to the container for the frame that was waited for; errors as `Encoder`."""
        first = self._first
        assert first is not None
        self._encoder = encoder = Encoder(container, first, target)
        self._what = (first.width, first.height, first.format, encoder.pixel_format)
        self._dropped_before = self._subscriber.stats.dropped or 0
        self.first_moment = self._timeline.moment(first, monotonic_ns())

    def run(self, began: int, write: Callable[[Any], None], stop: Stop) -> None:
        """Encode until the stream ends, a limit is reached, or somebody says stop; then what the encoder still has.

        Args:
            began: The moment at which the file begins.
            write: Writes packets into the container.
            stop: Ends it.
        """
        first, self._first = self._first, None
        encoder, moment = self._encoder, self.first_moment
        assert first is not None
        assert encoder is not None
        assert moment is not None
        self._began, self._last = began, moment
        self._thinning.takes(moment)
        write(encoder.encode(first, moment - began))
        del first
        self._frames = 1
        try:
            self._end = self._follow(encoder, write, stop)
        except NotLosslessError as exc:
            self._end, self._complaint = "changed", f"{self.name}: {exc}"
        write(encoder.finish())

    def _follow(self, encoder: Encoder, write: Callable[[Any], None], stop: Stop) -> End:
        limits = self._limits
        heard = monotonic_ns()
        while not stop.is_set():
            if limits.frames is not None and self._frames >= limits.frames:
                return "limit"
            frame = self._subscriber.receive_blocking(_LOOK_MS)
            arrived = monotonic_ns()
            if frame is None:
                if arrived - heard >= limits.timeout * _NS:
                    self._complaint = f"{self.name} stopped without an end of stream: nothing for {limits.timeout:g} s"
                    return "silent"
                # Time passes for a stream that pauses, too.
                if limits.duration is not None and arrived - heard >= limits.duration * _NS:
                    return "limit"
                continue
            heard = arrived
            if frame.is_eos():
                return "end of stream"
            moment = self._timeline.moment(frame, arrived)
            if limits.duration is not None and moment - self._began >= limits.duration * _NS:
                return "limit"
            if self._thinning.takes(moment):
                write(encoder.encode(frame, moment - self._began))
                self._last = moment
                self._resized = encoder.resized
                self._frames += 1
            frame.release()
        return "stopped"

    def report(self) -> TrackReport:
        """What became of it so far."""
        stats, first = self._subscriber.stats, self.first_moment
        return TrackReport(
            self.service,
            *self._what,
            self._frames,
            None if stats.dropped is None else stats.dropped - self._dropped_before,
            self._thinning.skipped,
            stats.invalid,
            0.0 if first is None else (self._last - first) / _NS,
            self._resized,
            self._end,
            self._complaint,
        )

    def close(self) -> None:
        """Leave the service; no frame is held afterwards, whatever still refers to this object."""
        self._first = self._encoder = None
        self._subscriber.close()
