"""Receives pictures from a camera or server on the network, with PyAV."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from .._extras.av import av, open_media
from .._wire.stamp import monotonic_ns
from ..errors import without_passwords
from .decoder import Decoded
from .errors import SettingError, SourceError
from .source import Lend, Picture, Shape

_NS: Final = 1_000_000_000
SCHEMES: Final = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "rtp", "udp", "tcp")
# Longest wait for the connection, for data, and for a picture while data arrive, in seconds.
_OPEN_MAX: Final = 10.0
_SILENCE_MAX: Final = 5.0
_BLIND_MAX: Final = 10.0
# Longest wait for a picture before the feed looks whether it should stop, in seconds.
_STEP: Final = 0.1
# Decoded pictures that wait for the feed. A live stream replaces the oldest one, so that delays do not add up.
_WAITING_MAX: Final = 4
_ARRIVALS_MAX: Final = 64
# FFmpeg reads twenty pictures to find the frame rate, which delays the first frame by 0.7 s at 30 fps.
_OPTIONS: Final = {"fpsprobesize": "2"}
# UDP loses packets of large pictures, and firewalls block it.
_RTSP: Final = {"rtsp_transport": "tcp"}


class NetworkStream(Decoded):
    """The first video track of a network camera or server: RTSP, HTTP, RTMP, SRT and other protocols of FFmpeg.

    RTSP uses TCP. The capture time of a frame is the time when its data arrived, because a server's clock may be wrong.
    HLS, and recordings, whose duration is known, are played in real time instead.

    Passwords in the address do not appear in `about` and in errors.

    Args:
        url: The address, such as "rtsp://user:password@192.168.1.20/stream1".
        format: GStreamer's name for the format to publish; None selects the decoded format, or a similar one.
        size: Width and height to scale to; None means no scaling.

    Attributes:
        is_live: Whether pictures are published when they arrive, not when they are due.
        damaged: Number of packets that could not be decoded.
        lost: Number of pictures of a live stream that were left out because this process was too slow.

    Raises:
        SourceError: The server cannot be reached, refuses the request, does not answer for 10 s, or sends no video.
        SettingError: The address is not a URL of a known protocol, or the format cannot be produced.
    """

    # Decoding several pictures at once would delay each of them.
    _threads = "SLICE"

    def __init__(self, url: str, *, format: str | None = None, size: tuple[int, int] | None = None) -> None:
        shown = without_passwords(url)
        scheme, is_url, _ = url.partition("://")
        scheme = scheme.lower()
        if not is_url or scheme not in SCHEMES:
            raise SettingError(f"{shown!r} is not the address of a stream; begin it with {'://, '.join(SCHEMES)}://")
        self._arrivals: dict[int | None, int] = {}
        self._pictured_at = time.monotonic()
        self._lock = threading.Condition()
        self._waiting: deque[Picture] = deque()
        self._is_closed = False
        self._is_finished = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        container = _connect(url, scheme, shown)
        is_recording = container.duration is not None and not scheme.startswith("rtsp")
        self.is_live = not is_recording and "hls" not in container.format.name
        super().__init__(container, shown, format, size)

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""
        return self._shape(self._stream.average_rate or self._stream.guessed_rate)

    @property
    def about(self) -> str:
        """Where the pictures come from, in words."""
        return f"stream {self._what}"

    def pictures(self, lend: Lend) -> Iterator[Picture | None]:
        """Yield the pictures; None if none arrived for 0.1 s.

        Raises:
            SourceError: The server is gone or silent, or a live stream has ended.
        """
        self._thread = threading.Thread(target=self._receive, name="iox2-video network", daemon=True)
        self._thread.start()
        while True:
            with self._lock:
                if not self._waiting and not self._is_finished:
                    self._lock.wait(_STEP)
                picture = self._waiting.popleft() if self._waiting else None
                is_over = picture is None and self._is_finished
                self._lock.notify_all()
            if is_over and self._error is not None:
                raise self._error
            if is_over:
                return
            yield picture

    def close(self) -> None:
        """Close the connection. If the server is silent, this takes up to ten seconds more in the background."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            self._lock.notify_all()
        if self._thread is None:
            super().close()
        else:
            # Nothing can wake FFmpeg while it waits for data.
            self._thread.join(_STEP)

    # -- the receiving thread ----------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Receive and decode pictures until the connection ends or is closed."""
        start = last = last_arrived = 0
        was_timed: bool | None = None
        try:
            self._pictured_at = time.monotonic()
            begin, self._first = self._first, None
            for picture in chain([begin], self._pictures):
                arrived = self._arrivals.pop(picture.pts, None) or monotonic_ns()
                # The first pictures of an RTSP stream may have no timestamp.
                is_timed = picture.pts is not None
                moment = int(picture.pts * picture.time_base * _NS) if is_timed else arrived
                if is_timed is not was_timed:
                    start = moment - (0 if was_timed is None else last + arrived - last_arrived)
                last = moment - start if was_timed is None else max(moment - start, last + 1)
                was_timed, last_arrived = is_timed, arrived
                fill, flags = self._scaler.filler(picture), self._flags(picture)
                captured_at = arrived if self.is_live else None
                if not self._offer(Picture(last, fill, captured_at, flags=flags)):
                    return
                self._pictured_at = time.monotonic()
                del picture, fill
            if self.is_live:
                self._error = SourceError(f"the server has ended {self._what}")
        except Exception as exc:
            self._error = exc
        finally:
            super().close()
            with self._lock:
                self._is_finished = True
                self._lock.notify_all()

    def _offer(self, picture: Picture) -> bool:
        """Queue a picture for the feed; return False if the stream was closed."""
        with self._lock:
            while len(self._waiting) >= _WAITING_MAX and not self._is_closed:
                if self.is_live:
                    self._waiting.popleft()
                    self.lost += 1
                else:
                    self._lock.wait()
            self._waiting.append(picture)
            self._lock.notify_all()
            return not self._is_closed

    def _packets(self) -> Iterator[Any]:
        packets = super()._packets()
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as exc:
                # Not "from exc", because its text has the password.
                raise self._explained(exc) from None
            if packet is None:
                return
            if len(self._arrivals) >= _ARRIVALS_MAX:
                self._arrivals.clear()
            self._arrivals[packet.pts] = monotonic_ns()
            if time.monotonic() - self._pictured_at > _BLIND_MAX:
                raise SourceError(f"{self._what} sends data, but no complete picture for {_BLIND_MAX:.0f} s")
            yield packet

    def _explained(self, exc: Any) -> SourceError:
        if isinstance(exc, av.error.ExitError):
            return SourceError(f"{self._what} sends no data any more; its server does not answer")
        return super()._explained(exc)


def _connect(url: str, scheme: str, shown: str) -> Any:
    began = time.monotonic()
    options = _OPTIONS | (_RTSP if scheme.startswith("rtsp") else {})
    try:
        return open_media(url, options=options, timeout=(_OPEN_MAX, _SILENCE_MAX))
    except av.FFmpegError as exc:
        # FFmpeg reports some time-outs as invalid data.
        if time.monotonic() - began >= _OPEN_MAX:
            reason = f"the server does not answer within {_OPEN_MAX:.0f} s"
        else:
            reason = _REASONS.get(type(exc).__name__) or without_passwords(exc.strerror or str(exc))
        # Not "from exc", because its text has the password.
        raise SourceError(f"cannot open {shown}: {reason}") from None


_REASONS: Final = {
    "ConnectionRefusedError": "connection refused; no server listens on this port",
    "HTTPNotFoundError": "the server does not have this path",
    "HTTPUnauthorizedError": "the server refuses the user name or the password; write them as in rtsp://USER:PASSWORD@HOST/PATH",
    "HTTPForbiddenError": "the server forbids access",
    "InvalidDataError": "the server's answer is not a video that FFmpeg can read",
    "OSError": "the host cannot be reached, its name is unknown, or it closed the connection",
}
