"""Publishes the packets of a source that encodes itself, and its decoded frames while somebody wants them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final, NamedTuple, Protocol

from .._iox2 import binding
from .._wire.packet import packet_service
from ..errors import FormatError
from ..packets import PacketPublisher
from ..work import Work
from .frame_decoder import FrameDecoder
from .units import ParameterSets, size_of

_log: Final = logging.getLogger("gst_iceoryx2")

# A source that sends no keyframe for so long has none, in seconds. Cameras send one every 10 s at least.
_KEYFRAME_MAX: Final = 20.0


class EncodedPicture(NamedTuple):
    """A packet as a camera or server sends it.

    Attributes:
        data: One encoded picture; H.264 and H.265 in byte-stream format.
        is_keyframe: Whether the source says that decoding can begin here.
        pts: Presentation timestamp in nanoseconds from the start; None = unknown.
        dts: Decoding timestamp in nanoseconds from the start; None = unknown.
        duration: Duration in nanoseconds; None = unknown.
        captured_at: Capture time, in nanoseconds of CLOCK_MONOTONIC.
    """

    data: bytes
    is_keyframe: bool
    pts: int | None
    dts: int | None
    duration: int | None
    captured_at: int


class EncodedSource(Protocol):
    """A live source of packets.

    Attributes:
        codec: "h264", "h265" or "av1".
        extradata: Parameter sets outside the packets, as FFmpeg has them; None if there are none.
        size: Width and height in pixels that belong to `extradata`; zeros if unknown.
        framerate: Frames per second; None = variable or unknown.
    """

    codec: str
    extradata: bytes | None
    size: tuple[int, int]
    framerate: Fraction | None

    @property
    def about(self) -> str:
        """Where the packets come from, in words."""

    def packets(self) -> Iterator[EncodedPicture | None]:
        """Yield the packets in decoding order; None if there is none at present."""

    def close(self) -> None:
        """Close the connection or device."""


class PacketsFed(NamedTuple):
    """Progress or result of a `PacketFeeder`.

    Attributes:
        service: Full name of the service of packets.
        sent: Number of packets that arrived.
        frames: Number of frames decoded and published.
        damaged: Number of packets that could not be published or decoded.
        seconds: Time since the start, in seconds.
    """

    service: str
    sent: int
    frames: int
    damaged: int
    seconds: float


class PacketFeeder(Work[PacketsFed]):
    """Publishes the packets of a source as they come, and its frames while `is_raw_wanted`.

    Packets begin at a keyframe. Parameter sets are inserted where they are missing. If the size of the pictures
    changes, a new publisher continues the stream. Stopping does not end the stream.

    A packet has no number of a frame, because frames may not exist. A frame that is decoded has the capture time and
    the timestamp of its packet.

    Args:
        name: Short name of the stream of frames. Packets are published as `NAME@CODEC`.
        source: The source. `run` closes it.
        format: GStreamer's name for the format of the frames; None = the decoded format, or a similar one.

    Attributes:
        is_raw_wanted: Whether to publish frames, too. It may be set at any time.
        codec: Codec of the packets; None if the source sends no keyframes, so that readers could not decode them.

    Raises:
        SettingError: The format cannot be produced.
    """

    def __init__(self, name: str, source: EncodedSource, *, format: str | None = None) -> None:
        super().__init__()
        self.is_raw_wanted = False
        self.codec: str | None = source.codec
        self._source = source
        self._service, self._codec = packet_service(name, source.codec)
        self._sets = ParameterSets(self._codec, source.extradata)
        self._size, self._size_is_of = source.size, self._sets.newest
        self._publisher: PacketPublisher | None = None
        # Whether a packet was left out, so that the next one must be a keyframe.
        self._is_broken = False
        self._sent = self._damaged = 0
        self._began = self._keyframe_at = time.monotonic()
        try:
            self._decoder = FrameDecoder(
                name, self._codec, format=format, framerate=source.framerate, about=source.about
            )
        except BaseException:
            source.close()
            raise

    @property
    def about(self) -> str:
        """Where the packets come from, in words."""
        return f"{self._source.about}, {self._codec} as it comes"

    def run(self, progress: Callable[[PacketsFed], None] | None = None) -> PacketsFed:
        """Publish until `stop` is called.

        Args:
            progress: Called with the progress ten times per second, in the thread that called `run`.

        Returns:
            The result.

        Raises:
            SourceError: The source failed, or has ended.
            Iox2VideoError: The packets or frames cannot be published, for example because somebody else does so.
        """
        self._began = self._keyframe_at = time.monotonic()
        try:
            for picture in self._source.packets():
                self._report_to(progress)
                if self._stop.is_set():
                    break
                self._decoder.is_wanted = self.is_raw_wanted
                if picture is not None:
                    self._take(picture)
        finally:
            self._source.close()
            self._decoder.close()
            if self._publisher is not None:
                self._publisher.close()
        return self.report()

    def report(self) -> PacketsFed:
        """Return the progress; after `run`, the result."""
        decoder = self._decoder
        damaged = self._damaged + decoder.damaged
        return PacketsFed(self._service, self._sent, decoder.sent, damaged, time.monotonic() - self._began)

    def _take(self, picture: EncodedPicture) -> None:
        self._sent += 1
        data, captured_at = picture.data, picture.captured_at
        is_keyframe = self._sets.is_keyframe(data, told=picture.is_keyframe)
        if is_keyframe or picture.is_keyframe:
            data = self._sets.completed(data)
        if self.codec is not None:
            self._publish(picture, data, is_keyframe=is_keyframe)
        self._decoder.take(
            data,
            is_keyframe=is_keyframe or picture.is_keyframe,
            pts=picture.pts,
            captured_at=captured_at,
            duration=picture.duration,
        )

    def _publish(self, picture: EncodedPicture, data: bytes, *, is_keyframe: bool) -> None:
        if is_keyframe:
            self._keyframe_at = time.monotonic()
            self._prepare(data)
        elif self._publisher is None and time.monotonic() - self._keyframe_at > _KEYFRAME_MAX:
            self.codec = None
            _log.warning("%s has sent no keyframe for %.0f s, so it is encoded anew", self.about, _KEYFRAME_MAX)
        if self._publisher is None or (self._is_broken and not is_keyframe):
            return
        try:
            self._publisher.publish(
                data,
                is_keyframe=is_keyframe,
                pts=picture.pts,
                dts=picture.dts,
                duration=picture.duration,
                captured_at=picture.captured_at,
                is_discont=self._is_broken,
            )
            self._is_broken = False
        except FormatError:
            # Readers could not decode what follows.
            self._is_broken = True
            self._damaged += 1

    def _prepare(self, keyframe: bytes) -> None:
        """Create a publisher if the size of the pictures is known and new."""
        if self._sets.newest != self._size_is_of or 0 in self._size:
            size = size_of(keyframe, self._codec)
            if size is None:
                # Nobody could decode what follows either.
                self._damaged += 1
                self._leave()
                return
            if size != self._size:
                self._leave()
            self._size, self._size_is_of = size, self._sets.newest
        if self._publisher is None:
            node = binding.create_node_for(self._service, about=self._source.about)
            self._publisher = PacketPublisher(self._service, self._codec, *self._size, iox2_node=node)

    def _leave(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()
