"""One stream of a recording: its subscriber and its track in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._wire.stamp import monotonic_ns
from ..codec.errors import NotLosslessError
from ..discovery import short_name
from ..discovery.thinning import Thinning
from ..video.frame import VideoFrame
from ..video.subscriber import VideoFrameSubscriber
from ..work import Stop
from .encoded_track import EncodedTrack, FrameEncoder
from .following import End, Limits, follow
from .results_log import ResultsLog
from .timeline import Timeline


@dataclass(frozen=True, slots=True)
class TrackReport:
    """Progress or result of one stream.

    Attributes:
        service: Full name of the service.
        width: Width of the track, in pixels; 0 before the first frame.
        height: Height of the track, in rows; 0 before the first frame.
        format: GStreamer's name for the first frame's pixel format; the codec of packets.
        pixel_format: FFmpeg's name for the encoded pixel format; Foxglove's name for raw pixels in an .mcap file.
        frames: Frames in the file.
        dropped: Frames that were sent during the recording but did not arrive; None means unknown. Of packets, also the
            frames that their encoder lost, or that a bridge left out on their way to this machine.
        skipped: Frames skipped because of `max_fps`.
        invalid: Frames that violated the wire contract.
        seconds: Time from the first frame in the file to the last one.
        resized: Whether frames of a different size were scaled.
        end: "running", or why the track ended: "end of stream", "limit" (`duration` or `frames`), "stopped" (by the
            caller), "silent" (no frame for too long), or "changed" (see `complaint`).
        complaint: The problem that occurred, as a sentence; empty if there was none.
        withheld: Packets that are not in the file, because packets were missing before them: up to the next keyframe.
        restarts: How often another encoder went on with the stream.
        unmatched: With `sync`: frames without a partner within the tolerance.
        absent: With `sync`: frames without a partner because another stream sent nothing, or was too late.
        unordered: With `sync`: frames that were not captured after the previous frame of their stream.
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
    withheld: int = 0
    restarts: int = 0
    unmatched: int = 0
    absent: int = 0
    unordered: int = 0


class Track:
    """Receives one stream and encodes it.

    Args:
        service: Full name of the service.
        limits: Limits of the track.
        is_shared: Whether the file contains other streams.
        logs: Logs of the results of detectors.

    Attributes:
        service: Full name of the service.
        awaited: Full name of the stream that must exist.
    """

    def __init__(self, service: str, limits: Limits, *, is_shared: bool, logs: Sequence[ResultsLog] = ()) -> None:
        self.service = self.awaited = service
        self._limits = limits
        self._encoded = EncodedTrack(logs)
        self._subscriber = VideoFrameSubscriber(service)
        self._timeline = Timeline(is_shared=is_shared)
        self._thinning = Thinning(limits.max_fps)
        self._first: VideoFrame | None = None
        self._dropped_before = 0
        self._end: End = "running"
        self._complaint = ""

    @property
    def name(self) -> str:
        """Short name of the service."""
        return short_name(self.service)

    @property
    def first_moment(self) -> int | None:
        """Timestamp of the first frame, in nanoseconds; None before the first frame."""
        return self._encoded.first_moment

    def await_first(self, timeout: float, *, newest: bool = False) -> bool:
        """Wait for the first frame and keep it. An end of stream is ignored.

        Args:
            timeout: Maximum time to wait, in seconds.
            newest: Whether to skip older waiting frames.

        Returns:
            Whether a frame arrived.
        """
        self._first = None
        subscriber = self._subscriber
        frame = subscriber.latest(timeout) if newest else subscriber.receive_blocking(timeout * 1000)
        if frame is None or frame.is_eos():
            return False
        self._first = frame
        return True

    def unheard(self) -> list[Track]:
        """Return this track, whose stream has sent nothing so far."""
        return [self]

    def prepare(self, encoder_of: Callable[[VideoFrame], FrameEncoder], path: Path) -> None:
        """Create the encoder.

        Args:
            encoder_of: Returns an encoder for a stream, given its first frame.
            path: The file.

        Raises:
            NotLosslessError: The codec is lossless and cannot represent the pixels.
            UnsupportedViewError: The format is tiled or uses a palette.
        """
        first = self._first
        assert first is not None
        encoder, moment = encoder_of(first), self._timeline.moment(first, monotonic_ns())
        self._encoded.prepare(encoder, path, first, moment)
        self._dropped_before = self._subscriber.stats.dropped or 0

    def run(self, began: int, write: Callable[[Any], None], stop: Stop) -> None:
        """Encode frames until the stream ends, a limit is reached, or `stop` is set. Then finish the encoder.

        Args:
            began: Time at which the file starts, in nanoseconds.
            write: Function that writes what the encoder returns.
            stop: Set by the caller to end the track.
        """
        first, self._first = self._first, None
        moment = self.first_moment
        assert first is not None
        assert moment is not None
        self._encoded.begin(began)
        self._thinning.takes(moment)
        self._encoded.encode(first, moment, write)
        del first
        try:
            self._end = self._follow(began, write, stop)
        except NotLosslessError as exc:
            self._end, self._complaint = "changed", f"{self.name}: {exc}"
        self._encoded.finish(write)

    def _follow(self, began: int, write: Callable[[Any], None], stop: Stop) -> End:
        encoded, limits, receive = self._encoded, self._limits, self._subscriber.receive_blocking

        def take(frame: VideoFrame, moment: int) -> None:
            if self._thinning.takes(moment):
                encoded.encode(frame, moment, write)

        end = follow(receive, self._timeline.moment, take, limits, began, count=lambda: encoded.frames, stop=stop)
        if end == "silent":
            self._complaint = f"{self.name} did not end its stream, but sent no frame for {limits.timeout:g} s"
        return end

    def report(self) -> TrackReport:
        """Return the progress; after `run`, the result."""
        stats, encoded = self._subscriber.stats, self._encoded
        return TrackReport(
            self.service,
            *encoded.what,
            encoded.frames,
            None if stats.dropped is None else stats.dropped - self._dropped_before,
            self._thinning.skipped,
            stats.invalid,
            encoded.seconds,
            encoded.resized,
            self._end,
            self._complaint,
        )

    def close(self) -> None:
        """Close the subscriber and release all frames."""
        self._first = None
        self._encoded.close()
        self._subscriber.close()
