"""The track of one stream in a file: encodes frames and counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..results.key import id_of
from ..video.frame import VideoFrame
from .following import NS
from .results_log import ResultsLog, Written


class FrameEncoder(Protocol):
    """Turns the frames of one track into what its file contains.

    Attributes:
        pixel_format: Name of the pixel format in the file, as in `TrackReport`.
    """

    pixel_format: str

    @property
    def resized(self) -> bool:
        """Whether a frame of a different size was scaled."""

    @property
    def time(self) -> float:
        """Time of the latest frame in the file, in seconds."""

    def convert(self, frame: VideoFrame) -> Any:
        """Return the picture of a frame, to pass it to `encode_picture`. The frame is released.

        Raises:
            NotLosslessError: The frame has another size or format, and the codec is lossless.
        """

    def encode_picture(self, picture: Any, moment: int) -> Sequence[Any]:
        """Return what to write for a picture, whose time is `moment` nanoseconds from the start of the file."""

    def finish(self) -> Sequence[Any]:
        """Return the last things to write."""


class Converted(NamedTuple):
    """A picture that is ready to be encoded.

    Attributes:
        picture: The picture, as the encoder needs it.
        id: Publisher and sequence of its frame; None = unknown, or not needed.
        captured_at: Capture time of its frame in nanoseconds of CLOCK_MONOTONIC; None = unknown.
    """

    picture: Any
    id: tuple[int, int] | None
    captured_at: int | None


class EncodedTrack:
    """Encodes the frames of one stream.

    Args:
        logs: Logs of the results of detectors.

    Attributes:
        what: Width, height, format and pixel format of the track, as in `TrackReport`.
        frames: Frames in the file.
        first_moment: Timestamp of the first frame, in nanoseconds; None before `prepare`.
    """

    def __init__(self, logs: Sequence[ResultsLog] = ()) -> None:
        self._logs = logs
        self._encoder: FrameEncoder | None = None
        self._path = Path()
        self._began = self._last = 0
        self._resized = False
        self.what = (0, 0, "", "")
        self.frames = 0
        self.first_moment: int | None = None

    def prepare(self, encoder: FrameEncoder, path: Path, first: VideoFrame, moment: int) -> None:
        """Set the encoder.

        Args:
            encoder: The encoder.
            path: The file.
            first: The first frame, which is not yet encoded.
            moment: Timestamp of the first frame, in nanoseconds.
        """
        self._encoder = encoder
        self._path = path
        self.what = (first.width, first.height, first.format, encoder.pixel_format)
        self.first_moment = self._last = moment

    def begin(self, began: int) -> None:
        """Set the time at which the file starts, in nanoseconds."""
        self._began = began

    def encode(self, frame: VideoFrame, moment: int, write: Callable[[Any], None]) -> None:
        """Encode a frame with this timestamp, and release it.

        Raises:
            NotLosslessError: The frame has another size or format, and the codec is lossless.
        """
        self.put(self.convert(frame), moment, write)

    def convert(self, frame: VideoFrame) -> Converted:
        """Return the picture of a frame, to pass it to `put`, and release the frame.

        Raises:
            NotLosslessError: The frame has another size or format, and the codec is lossless.
        """
        assert self._encoder is not None
        id_ = id_of(frame) if self._logs else None
        captured_at = frame.captured_at
        return Converted(self._encoder.convert(frame), id_, captured_at)

    def put(self, converted: Converted, moment: int, write: Callable[[Any], None]) -> None:
        """Encode a picture with this timestamp."""
        encoder = self._encoder
        assert encoder is not None
        write(encoder.encode_picture(converted.picture, moment - self._began))
        for log in self._logs:
            log.note(Written(self._path, 0, encoder.time, converted.id, converted.captured_at))
        self._last = moment
        self._resized = encoder.resized
        self.frames += 1

    def finish(self, write: Callable[[Any], None]) -> None:
        """Write the encoder's last packets."""
        assert self._encoder is not None
        write(self._encoder.finish())

    @property
    def seconds(self) -> float:
        """Time from the first frame in the file to the last one."""
        return 0.0 if self.first_moment is None else (self._last - self.first_moment) / NS

    @property
    def resized(self) -> bool:
        """Whether frames of a different size were scaled."""
        return self._resized

    def close(self) -> None:
        """Release all pictures. Idempotent."""
        self._encoder = None
