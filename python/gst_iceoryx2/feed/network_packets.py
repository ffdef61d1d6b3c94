"""Receives the packets of a camera or server on the network that encodes in real time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .._extras.av import av
from .._wire.stamp import monotonic_ns
from .background import Background
from .encoded import EncodedPicture
from .errors import SourceError
from .network import Connection, packets_of

_NS: Final = 1_000_000_000
# Packets that wait for the feed. If there are more, the server waits.
_WAITING_MAX: Final = 256
# Converts length-prefixed H.264 and H.265, and does nothing to byte-streams.
_FILTERS: Final = {"h264": "h264_mp4toannexb", "h265": "hevc_mp4toannexb"}
_OUR_CODECS: Final = {"h264": "h264", "hevc": "h265", "av1": "av1"}
# Longest time from the first picture of an RTSP stream, which has no timestamp, to the second one.
_FIRST_GAP_MAX: Final = _NS


def codec_of_connection(connection: Connection) -> str | None:
    """Return the codec of packets that can be published as they come; None if the video must be decoded.

    Recordings and HLS arrive faster than they are due, so their packets cannot be published as they come.
    """
    tracks = connection.container.streams.video
    if not connection.is_live or not tracks:
        return None
    return _OUR_CODECS.get(tracks[0].codec_context.codec.canonical_name)


class NetworkPackets:
    """The packets of the first video track of a connection.

    The capture time of a packet is the time when it arrived, because a server's clock may be wrong.

    Args:
        connection: A connection for which `codec_of_connection` returns a codec.

    Attributes:
        codec: "h264", "h265" or "av1".
        extradata: Parameter sets outside the packets.
        size: Width and height in pixels; zeros if unknown.
        framerate: Frames per second; None = variable or unknown.
    """

    def __init__(self, connection: Connection) -> None:
        codec = codec_of_connection(connection)
        assert codec is not None
        self.codec = codec
        self._connection = connection
        self._stream = stream = connection.container.streams.video[0]
        context = stream.codec_context
        self.extradata = context.extradata
        self.size = context.width, context.height
        self.framerate = stream.average_rate or stream.guessed_rate
        self._background: Background[EncodedPicture] | None = None

    @property
    def about(self) -> str:
        """Where the packets come from, in words."""
        return f"stream {self._connection.what}"

    def packets(self) -> Iterator[EncodedPicture | None]:
        """Yield the packets; None if none arrived for 0.1 s.

        Raises:
            SourceError: The server is gone or silent, or has ended the stream.
        """
        self._background = Background(self._received(), _WAITING_MAX, self._connection.container.close)
        yield from self._background

    def close(self) -> None:
        """Close the connection. If the server is silent, this takes up to five seconds more in the background."""
        if self._background is None:
            self._connection.container.close()
        else:
            self._background.close()

    def _received(self) -> Iterator[EncodedPicture]:
        times = _Times()
        filter_of = _FILTERS.get(self.codec)
        converter = None if filter_of is None else av.BitStreamFilterContext(filter_of, self._stream)
        last = 0
        for packet in packets_of(self._connection, self._stream):
            if not packet.size:
                continue
            # Each packet has a time of its own, by which its frame can be found.
            last = arrived = max(monotonic_ns(), last + 1)
            is_keyframe = packet.is_keyframe
            pts, dts = times.of(packet, arrived)
            duration = int(packet.duration * packet.time_base * _NS) if packet.duration else None
            try:
                converted = [packet] if converter is None else converter.filter(packet)
            except av.FFmpegError:
                # Nothing in it that a decoder could read.
                continue
            for one in converted:
                yield EncodedPicture(bytes(one), is_keyframe, pts, dts, duration, arrived)
        raise SourceError(f"the server has ended {self._connection.what}")


class _Times:
    """Turns the timestamps of a server into nanoseconds from the start."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._count = 0
        # Latest timestamp, and the time of its arrival.
        self._last: tuple[int, int] | None = None

    def of(self, packet: Any, arrived: int) -> tuple[int | None, int | None]:
        """Return the presentation and the decoding timestamp."""
        pts, dts = (None if time is None else int(time * packet.time_base * _NS) for time in (packet.pts, packet.dts))
        first = pts if dts is None else dts
        if first is None:
            self._offset = None
            self._last = (0 if self._last is None else self._last[0] + arrived - self._last[1]), arrived
            self._count += 1
            return self._last[0], None
        if self._offset is None:
            self._offset = self._begin(first, arrived)
        self._count += 1
        pts, dts = (None if time is None else max(0, time + self._offset) for time in (pts, dts))
        self._last = (pts if dts is None else dts) or 0, arrived
        return pts, dts

    def _begin(self, first: int, arrived: int) -> int:
        if self._last is None:
            return -first
        # FFmpeg counts an RTSP stream from its first picture, but does not state a time for it.
        if self._count == 1 and 0 < first <= _FIRST_GAP_MAX:
            return 0
        return self._last[0] + arrived - self._last[1] - first
