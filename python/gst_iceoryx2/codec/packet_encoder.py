"""Encodes the frames of a stream, and publishes the packets: once for all of their readers."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from .._extras.av import av, open_media
from .._iox2 import binding
from .._wire.rendition import codec_of
from .._wire.stamp import Stamp
from ..discovery.names import full_name, short_name
from ..errors import FormatError
from ..packets import PacketPublisher
from ..results.key import packet_stamp
from ..video.frame import VideoFrame
from ..video.subscriber import VideoFrameSubscriber
from .encoder import Encoder
from .settings import DEFAULT_PRESET

# Longest wait for a frame before the commands are read, in milliseconds.
_WAIT_MS: Final = 50
_DEFAULT_CRF: Final = 23
_DEFAULT_KEYINT: Final = 2.0
# Keyframes are made by time, not by the number of frames.
_NO_GOP: Final = 1 << 20


class _Settings:
    """H.264 that is sent at once: each frame gives its packet, without B-frames and look-ahead."""

    codec = "x264"
    tick = Fraction(1, 1_000_000)
    is_lossless = False
    keeps_pixel_aspect_ratio = True

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self._settings = settings

    def codec_options(self, pixel_format: str) -> dict[str, str]:
        """Return the options for x264."""
        options = {"preset": self._settings.get("preset", DEFAULT_PRESET), "tune": "zerolatency", "forced-idr": "1"}
        bitrate = self._settings.get("bitrate")
        if bitrate is None:
            return options | {"crf": str(self._settings.get("crf", _DEFAULT_CRF))}
        # The buffer of one second limits the size of keyframes.
        return options | {"b": str(bitrate), "maxrate": str(bitrate), "bufsize": str(bitrate)}


class PacketEncoder:
    """Encodes each frame of a stream, and publishes the packets.

    Args:
        name: Short name of the encoded stream: "cam0@h264".
        settings: Settings of the encoder in the file: `preset`, `crf`, `bitrate` (bits per second), `keyint` (seconds).
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self._codec = codec_of(name)
        self._source = full_name(name.rpartition("@")[0])
        self._service = full_name(name)
        self._settings = settings
        self._keyint = int(settings.get("keyint", _DEFAULT_KEYINT) * 1e9)
        self._subscriber = VideoFrameSubscriber(self._source)
        self._picture: object = None
        self._container: Any = None
        self._encoder: Encoder | None = None
        self._publisher: PacketPublisher | None = None
        self._begin = 0
        self._keyframe_at = 0
        self._pending: deque[tuple[Stamp, int | None, int | None]] = deque()
        self._sent = self._nanoseconds = 0
        self._since = time.monotonic()

    @property
    def is_publishing(self) -> bool:
        """Whether it has received a frame, and publishes packets since."""
        return self._publisher is not None

    def step(self) -> None:
        """Wait for a frame for a moment, and encode it."""
        frame = self._subscriber.receive_blocking(_WAIT_MS)
        if frame is None:
            return
        with frame:
            if not frame.is_eos():
                self._encode(frame)
            elif self._publisher is not None:
                self._publisher.end_of_stream()

    def report(self) -> dict[str, Any]:
        """Return rate and processor time since the last report."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        sent, spent = self._sent, self._nanoseconds
        self._sent = self._nanoseconds = 0
        return {"fps": sent / seconds, "ms": spent / sent / 1e6 if sent else None}

    def close(self) -> None:
        """Leave all services without ending the stream, because readers wait for the next start."""
        self._leave()
        self._subscriber.close()

    def _leave(self) -> None:
        publisher, self._publisher = self._publisher, None
        container, self._container = self._container, None
        self._encoder = None
        self._pending.clear()
        if publisher is not None:
            publisher.close()
        if container is not None:
            container.close()

    def _begin_anew(self, frame: VideoFrame, captured_at: int) -> None:
        """Create an encoder and a publisher for frames of this size and format."""
        self._leave()
        # The container only gives the encoder its form: packets of a raw H.264 file are a byte-stream.
        self._container = open_media(os.devnull, "w", format="h264")
        self._encoder = Encoder(self._container, frame, _Settings(short_name(self._service), self._settings))
        self._encoder.stream.codec_context.gop_size = _NO_GOP
        self._begin = self._keyframe_at = captured_at
        node = binding.create_node_for(self._service, about=f"packets of {self._source}")
        self._publisher = PacketPublisher(self._service, self._codec, frame.width, frame.height, iox2_node=node)

    def _encode(self, frame: VideoFrame) -> None:
        stamp = packet_stamp(frame)
        captured_at = stamp.capture or time.monotonic_ns()
        picture = frame.format, frame.width, frame.height, frame.caps
        if picture != self._picture:
            self._begin_anew(frame, captured_at)
            self._picture = picture
        encoder, publisher = self._encoder, self._publisher
        assert encoder is not None
        assert publisher is not None
        # A publisher may set capture times that go back.
        is_keyframe = abs(captured_at - self._keyframe_at) >= self._keyint or publisher.is_keyframe_wanted
        self._pending.append((stamp, frame.pts, frame.duration))
        began = time.thread_time_ns()
        try:
            packets = encoder.encode(frame, max(0, captured_at - self._begin), is_keyframe=is_keyframe)
        except (av.FFmpegError, ValueError) as exc:
            raise FormatError(f"cannot encode {short_name(self._service)}: {exc}") from exc
        for packet in packets:
            # There are no B-frames, so packets are in the order of their frames.
            stamp, pts, duration = self._pending.popleft()
            if packet.is_keyframe:
                self._keyframe_at = captured_at
            publisher.publish(packet, is_keyframe=packet.is_keyframe, pts=pts, dts=pts, duration=duration, stamp=stamp)
            self._sent += 1
        self._nanoseconds += time.thread_time_ns() - began
