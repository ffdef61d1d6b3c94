"""Turns the frames and packets of a recording into messages of an MCAP file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .._extras.av import open_media
from ..codec.encoder import Encoder
from ..codec.foxglove import b_frames_error, image_encoding, image_message, video_message
from ..packets import Packet
from ..packets._stream_format import FormatReader, StreamFormat
from ..packets.picture_order import PictureOrder
from ..video.frame import VideoFrame
from ..video.wall_clock import WallClock
from .following import NS
from .target import Target


class Message(NamedTuple):
    """A message to write.

    Attributes:
        track: Index of its track.
        at: Time in nanoseconds since 1970.
        data: The message.
    """

    track: int
    at: int
    data: bytes


class VideoMessages:
    """Encodes the frames of one stream: H.264 without B-frames, so that each frame gives its message at once.

    Attributes:
        pixel_format: FFmpeg's name for the encoded pixel format.
    """

    def __init__(self, track: int, topic: str, clock: WallClock, first: VideoFrame, target: Target) -> None:
        self._track, self._topic, self._clock = track, topic, clock
        # The container only gives the encoder its form: packets of a raw H.264 file are a byte-stream.
        self._container = open_media(os.devnull, "w", format="h264")
        self._encoder = Encoder(self._container, first, target)
        self._times: deque[int] = deque()
        self.pixel_format = self._encoder.pixel_format

    @property
    def resized(self) -> bool:
        """Whether a frame of a different size was scaled."""
        return self._encoder.resized

    @property
    def time(self) -> float:
        """Time of the latest frame, in seconds from the start."""
        return self._encoder.time

    def convert(self, frame: VideoFrame) -> tuple[int, Any]:
        """Return the time and the picture of a frame, and release the frame."""
        return self._clock.time_of(frame), self._encoder.convert(frame)

    def encode_picture(self, picture: tuple[int, Any], moment: int) -> Sequence[Message]:
        """Encode a picture."""
        self._times.append(picture[0])
        return self._messages(self._encoder.encode_picture(picture[1], moment))

    def finish(self) -> Sequence[Message]:
        """Return the encoder's last messages."""
        messages = self._messages(self._encoder.finish())
        self._container.close()
        return messages

    def _messages(self, packets: Sequence[Any]) -> list[Message]:
        messages = []
        for packet in packets:
            at = self._times.popleft()
            messages.append(Message(self._track, at, video_message(self._topic, at, "h264", bytes(packet))))
        return messages


class ImageMessages:
    """Copies the pixels of the frames of one stream.

    Attributes:
        pixel_format: Foxglove's name for the format of the first frame.
        resized: Always False: each message has the size of its frame.
        time: Time of the latest frame, in seconds from the start.
    """

    resized = False

    def __init__(self, track: int, topic: str, clock: WallClock, first: VideoFrame) -> None:
        self._track, self._topic, self._clock = track, topic, clock
        self.pixel_format = image_encoding(first)
        self.time = 0.0

    def convert(self, frame: VideoFrame) -> Message:
        """Copy a frame, and release it."""
        at = self._clock.time_of(frame)
        data = image_message(self._topic, at, frame)
        frame.release()
        return Message(self._track, at, data)

    def encode_picture(self, picture: Message, moment: int) -> Sequence[Message]:
        """Return the copy."""
        self.time = moment / NS
        return [picture]

    def finish(self) -> Sequence[Message]:
        """Return nothing: each frame gave its message at once."""
        return ()


class McapPackets:
    """Turns packets into messages, as a `PacketSink`.

    Args:
        topics: Topic of each track.
        clock: Converts capture times.
        write: Writes messages.
        note: Called with the index of the track, the packet, and its time in nanoseconds from the start, after a packet
            was written.
    """

    def __init__(
        self,
        topics: Sequence[str],
        clock: WallClock,
        write: Callable[[Sequence[Message]], None],
        note: Callable[[int, Packet, int], None],
    ) -> None:
        self._tracks = [_PacketChannel(topic) for topic in topics]
        self._clock, self._write, self._note = clock, write, note

    def write(self, packet: Packet, moment: int, track: int = 0) -> bool:
        """Write a packet; return whether it was written.

        Raises:
            RecordFileError: Writing failed.
            FormatError: The stream has B-frames.
        """
        if not self._tracks[track].takes(packet):
            return False
        at = self._clock.time_of(packet)
        data = video_message(self._tracks[track].topic, at, packet.codec, bytes(packet.data))
        self._write([Message(track, at, data)])
        self._note(track, packet, moment)
        return True

    def format(self, track: int = 0) -> StreamFormat | None:
        """Return the format of a track's newest keyframe; None before the first one."""
        return self._tracks[track].format

    def skipped_of(self, track: int) -> int:
        """Return the number of packets not written because no keyframe preceded them."""
        return self._tracks[track].skipped

    def invalid_of(self, track: int) -> int:
        """Return the number of keyframes not written because they contain no parameter sets."""
        return self._tracks[track].invalid


class _PacketChannel:
    """Chooses the packets of one stream that can be decoded."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.format: StreamFormat | None = None
        self.skipped = self.invalid = 0
        self._reader = FormatReader()
        self._is_decodable = False
        self._order = PictureOrder()

    def takes(self, packet: Packet) -> bool:
        if packet.is_keyframe:
            found = self._reader.read(packet)
            self._is_decodable = found is not None
            self.format = found or self.format
            self.invalid += found is None
        elif not self._is_decodable:
            self.skipped += 1
        if self._is_decodable and self._order.goes_back(packet):
            raise b_frames_error(packet, self.topic, ", or record with --codec x264, which encodes again")
        return self._is_decodable
