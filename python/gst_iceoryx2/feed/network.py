"""Receives pictures from a camera or server on the network, with PyAV."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from .._extras.av import av, open_media
from .._wire.stamp import monotonic_ns
from ..errors import without_passwords
from .background import Background
from .decoder import Decoded
from .errors import SettingError, SourceError
from .source import Lend, Picture, Shape

_NS: Final = 1_000_000_000
SCHEMES: Final = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "rtp", "udp", "tcp")
# Longest wait for the connection, for data, and for a picture while data arrive, in seconds.
_OPEN_MAX: Final = 10.0
_SILENCE_MAX: Final = 5.0
BLIND_MAX: Final = 10.0
# Decoded pictures that wait for the feed. A live stream replaces the oldest one, so that delays do not add up.
_WAITING_MAX: Final = 4
_ARRIVALS_MAX: Final = 64
# FFmpeg reads twenty pictures to find the frame rate, which delays the first frame by 0.7 s at 30 fps.
_OPTIONS: Final = {"fpsprobesize": "2"}
# UDP loses packets of large pictures, and firewalls block it.
_RTSP: Final = {"rtsp_transport": "tcp"}

# FFmpeg keeps 32 KiB of a file. To go back further, it needs a server that accepts range requests.
_INDEX_AT_THE_END: Final = (
    "if this is an MP4 file, its index may be at its end, and this server cannot send parts of a file; "
    "write the index first, with `ffmpeg -i clip.mp4 -c copy -movflags faststart other.mp4`"
)


class Connection(NamedTuple):
    """A connection to a server.

    Attributes:
        container: PyAV's container.
        what: The address without passwords.
        is_live: Whether the server sends in real time.
    """

    container: Any
    what: str
    is_live: bool


def connect(url: str) -> Connection:
    """Connect to a server.

    Raises:
        SourceError: The server cannot be reached, refuses the request, or does not answer for 10 s.
        SettingError: The address is not a URL of a known protocol.
    """
    shown = without_passwords(url)
    scheme, is_url, _ = url.partition("://")
    scheme = scheme.lower()
    if not is_url or scheme not in SCHEMES:
        raise SettingError(f"{shown!r} is not the address of a stream; begin it with {'://, '.join(SCHEMES)}://")
    container = _opened(url, scheme, shown)
    is_recording = container.duration is not None and not scheme.startswith("rtsp")
    return Connection(container, shown, not is_recording and "hls" not in container.format.name)


def packets_of(connection: Connection, stream: Any, is_blind: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Yield the packets of a track; the last one is empty.

    Args:
        connection: The connection.
        stream: The track.
        is_blind: Whether the packets have shown no picture for a long time.

    Raises:
        SourceError: The server is gone or silent, or the packets show nothing.
    """
    packets = connection.container.demux(stream)
    is_first = True
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as exc:
            failure = explained(connection.what, exc)
            if is_first and not connection.is_live and exc.errno == errno.EIO:
                failure = SourceError(f"{failure}; {_INDEX_AT_THE_END}")
            # Not "from exc", because its text has the password.
            raise failure from None
        is_first = False
        if packet is None:
            return
        if is_blind():
            raise SourceError(f"{connection.what} sends data, but no complete picture for {BLIND_MAX:.0f} s")
        yield packet


def explained(what: str, exc: Any) -> SourceError:
    """Return the error of a connection, in a sentence without passwords."""
    if isinstance(exc, av.error.ExitError):
        return SourceError(f"{what} sends no data any more; its server does not answer")
    return SourceError(f"cannot continue to read {what}: {exc.strerror or exc}")


class NetworkStream(Decoded):
    """The first video track of a network camera or server: RTSP, HTTP, RTMP, SRT and other protocols of FFmpeg.

    RTSP uses TCP. The capture time of a frame is the time when its data arrived, because a server's clock may be wrong.
    HLS, and recordings, whose duration is known, are played in real time instead.

    Passwords in the address do not appear in `about` and in errors.

    Args:
        url: The address, such as "rtsp://user:password@192.168.1.20/stream1"; or an open connection, from `connect`.
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

    def __init__(
        self, url: str | Connection, *, format: str | None = None, size: tuple[int, int] | None = None
    ) -> None:
        self._connection = connect(url) if isinstance(url, str) else url
        self.is_live = self._connection.is_live
        self._arrivals: dict[int | None, int] = {}
        self._pictured_at = time.monotonic()
        self._background: Background[Picture] | None = None
        super().__init__(self._connection.container, self._connection.what, format, size)

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
        self._background = Background(self._received(), _WAITING_MAX, super().close, keeps_up=self.is_live)
        for picture in self._background:
            self.lost = self._background.lost
            yield picture

    def close(self) -> None:
        """Close the connection. If the server is silent, this takes up to ten seconds more in the background."""
        if self._background is None:
            super().close()
        else:
            self._background.close()

    # -- in the receiving thread -------------------------------------------------------------------------------------

    def _received(self) -> Iterator[Picture]:
        """Receive and decode pictures until the connection ends."""
        start = last = last_arrived = 0
        was_timed: bool | None = None
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
            yield Picture(last, fill, captured_at, flags=flags)
            self._pictured_at = time.monotonic()
            del picture, fill
        if self.is_live:
            raise SourceError(f"the server has ended {self._what}")

    def _packets(self) -> Iterator[Any]:
        for packet in packets_of(self._connection, self._stream, self._is_blind):
            if len(self._arrivals) >= _ARRIVALS_MAX:
                self._arrivals.clear()
            self._arrivals[packet.pts] = monotonic_ns()
            yield packet

    def _is_blind(self) -> bool:
        return time.monotonic() - self._pictured_at > BLIND_MAX

    def _explained(self, exc: Any) -> SourceError:
        return explained(self._what, exc)


def _opened(url: str, scheme: str, shown: str) -> Any:
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
