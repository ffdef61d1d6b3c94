"""The newest picture of a stream. Does not import LeRobot."""

from __future__ import annotations

import contextlib
import time
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gst_iceoryx2.discovery import require, short_name, streams
from gst_iceoryx2.discovery.details import details
from gst_iceoryx2.discovery.names import service_name, why_silent
from gst_iceoryx2.discovery.probe import stated_framerate
from gst_iceoryx2.errors import FormatError, ServiceError, ServiceNotFoundError
from gst_iceoryx2.serve import RenditionName
from gst_iceoryx2.video import VideoFrame, VideoFrameSubscriber

Picture = npt.NDArray[np.uint8]


class Shape(NamedTuple):
    """Size and frame rate of a stream, or what a user expects of them; None = unknown, or any.

    Attributes:
        width: Width in pixels.
        height: Height in rows.
        fps: Frames per second, rounded.
    """

    width: int | None = None
    height: int | None = None
    fps: int | None = None

    @classmethod
    def of(cls, frame: VideoFrame) -> Shape:
        """Return the shape of a frame. A frame without a fixed frame rate in its caps has none here."""
        rate = stated_framerate(frame.caps)
        return cls(frame.width, frame.height, None if rate is None else round(Fraction(rate)))

    def check(self, stream: str, actual: Shape) -> None:
        """Check a stream against the expected shape.

        Args:
            stream: Short name of the stream.
            actual: Its shape.

        Raises:
            RuntimeError: They differ. The message states both, and how to get the expected one.
        """
        width, height, fps = (mine or theirs for mine, theirs in zip(self, actual, strict=True))
        if (width, height) != actual[:2]:
            differ = f"sends {actual.width}x{actual.height}, but {width}x{height} is configured"
        elif actual.fps not in (None, fps):
            differ = f"sends {actual.fps} fps, but {fps} fps is configured"
        else:
            return
        raise RuntimeError(f"{stream} {differ}; {self._remedy(stream, actual)}")

    def _remedy(self, stream: str, actual: Shape) -> str:
        if self.fps is not None and actual.fps is not None and self.fps > actual.fps:
            return "configure at most the stream's frame rate"
        known = RenditionName.parse(stream)
        rate = Fraction(self.fps) if self.fps not in (None, actual.fps) else None
        wanted = RenditionName(known.source if known else stream, self.width, self.height, "RGB", rate)
        return f"remove this setting, or run `iox2-video serve` and set service to {wanted}"


class NewestPicture:
    """The newest picture of a stream, converted when it is asked for. It goes on when the publisher restarts.

    Args:
        service: Name of the stream, short or in full. The stream must exist, or be served on demand.
        expected: What its size and frame rate must be.
        is_bgr: Whether channels are in the order B, G, R instead of R, G, B.

    Attributes:
        name: Short name of the stream.
        shape: Size and frame rate; all None before the first picture.
        picture: The newest picture, uint8 (height, width, 3), a copy; None before the first one.

    Raises:
        ConnectionError: There is no such stream, or it cannot be opened; the message says why, and which streams exist.
    """

    def __init__(self, service: str, expected: Shape, *, is_bgr: bool = False) -> None:
        try:
            full = require(service_name(service))
            self._subscriber = VideoFrameSubscriber(full)
        except (ServiceError, ValueError) as exc:
            raise ConnectionError(str(exc)) from exc
        self.name = short_name(full)
        self.shape = Shape()
        self.picture: Picture | None = None
        self._captured_at: int | None = None
        self._expected, self._is_bgr = expected, is_bgr
        self._is_new = self._has_ended = False
        self._seen: tuple[int, int, str | None] | None = None

    def close(self) -> None:
        """Stop receiving."""
        self._subscriber.close()

    def skip(self) -> None:
        """Forget the frames that have arrived, so that `next` gives one that arrives later."""
        self._take(0)
        self._is_new = False

    def next(self, seconds: float) -> Picture:
        """Return the newest picture that this method has not returned yet, or wait for one.

        Raises:
            TimeoutError: No frame arrived in time; the message says why.
            RuntimeError: The shape of the stream is not the expected one, or its format cannot be converted.
        """
        if not self._take(0 if self._is_new else seconds) and not self._is_new:
            raise TimeoutError(f"no new frame of {self.name} within {seconds * 1000:.0f} ms: {self._why()}")
        self._is_new = False
        assert self.picture is not None
        return self.picture

    def latest(self, max_age_ms: float) -> Picture:
        """Return the newest picture, without waiting.

        Args:
            max_age_ms: Milliseconds that may have passed since its capture.

        Raises:
            TimeoutError: It is older; the message says how old, and why.
            RuntimeError: No frame has arrived yet, its age is unknown, the shape of the stream is not the expected one,
                or its format cannot be converted.
        """
        self._take(0)
        if self.picture is None:
            raise RuntimeError(f"no frame of {self.name} has arrived yet: {self._why()}")
        if self._captured_at is None:
            raise RuntimeError(
                f"the age of {self.name} is unknown, because its frames carry no capture time; "
                f"publish it without aux-bytes=0, or use async_read()"
            )
        age_ms = (time.monotonic_ns() - self._captured_at) / 1e6
        if age_ms > max_age_ms:
            raise TimeoutError(
                f"the newest frame of {self.name} is {age_ms:.0f} ms old, more than {max_age_ms:g} ms: {self._why()}"
            )
        return self.picture

    def _take(self, seconds: float) -> bool:
        """Convert the newest frame if one is waiting, or arrives within some time; return whether there was one."""
        end = time.monotonic() + seconds
        while (frame := self._subscriber.latest(max(0.0, end - time.monotonic()))) is not None:
            with frame:
                self._has_ended = frame.is_eos()
                if not self._has_ended:
                    self._convert(frame)
                    return True
        return False

    def _convert(self, frame: VideoFrame) -> None:
        seen = frame.width, frame.height, frame.caps
        if seen != self._seen:
            shape = Shape.of(frame)
            self._expected.check(self.name, shape)
            self._seen, self.shape = seen, shape
        try:
            self.picture = frame.to_bgr() if self._is_bgr else frame.to_rgb()
        except FormatError as exc:
            raise RuntimeError(f"{self.name} cannot be converted to RGB: {exc}") from exc
        self._captured_at, self._is_new = frame.captured_at, True

    def _why(self) -> str:
        if self._has_ended:
            return "the stream has ended; it goes on when its publisher starts again"
        if self._has_publisher():
            return "its publisher sends no frames"
        return why_silent(self.name) or "it has no publisher; it goes on when one starts"

    def _has_publisher(self) -> bool:
        # The subscriber only notices after some seconds that a publisher was killed.
        with contextlib.suppress(ServiceNotFoundError):
            return any(one.is_alive and "publisher" in one.roles for one in details(self.name, 0).participants)
        return False


def look(service: str, expected: Shape, seconds: float) -> Shape:
    """Return the shape of a stream. A stream on demand is started for this.

    Args:
        service: Name of the stream, short or in full.
        expected: What its size and frame rate must be.
        seconds: Maximum wait for its first frame.

    Returns:
        The shape. If the caps state no frame rate, it is measured; `fps` is None if too few frames arrive.

    Raises:
        ConnectionError: There is no such stream, or it cannot be opened; the message says why, and which streams exist.
        TimeoutError: No frame arrived in time; the message says why.
        RuntimeError: The shape is not the expected one, or the format cannot be converted to RGB.
    """
    newest = NewestPicture(service, expected)
    try:
        newest.next(seconds)
        shape = newest.shape
        if shape.fps is None:
            rates = [stream.fps for stream in streams() if stream.short_name == newest.name]
            shape = shape._replace(fps=round(rates[0]) if rates and rates[0] else None)
        return shape
    finally:
        newest.close()


def listing() -> list[dict[str, Any]]:
    """Return all streams, as LeRobot lists cameras. Streams that are off have no size yet."""
    return [
        {
            "name": f"iox2-video stream {stream.short_name}",
            "type": "iox2",
            "id": stream.short_name,
            "default_stream_profile": {
                "format": stream.format,
                "width": stream.width,
                "height": stream.height,
                "fps": float(Fraction(stream.framerate)) if stream.framerate else stream.fps,
            },
            "problem": stream.problem,
        }
        for stream in streams()
        if stream.kind == "iceoryx2"
    ]
