"""A topic as the target of a bridge."""

from __future__ import annotations

import logging
import threading
from typing import Final

from ..._wire.packet import VideoPacketHeader
from ..._wire.stamp import monotonic_ns
from ..errors import EndpointError
from ..message import Unsound, encode_picture, too_large
from ..parcel import Parcel
from .calibration import Calibration
from .cdr import is_text
from .encodings import pack_image
from .messages import Header, Parts, compressed_image, compressed_video, ffmpeg_packet
from .node import Node, TopicPublisher
from .times import wall_time
from .topic import CAMERA_INFO, COMPRESSED_IMAGE, FFMPEG_PACKET, Topic

_log: Final = logging.getLogger("gst_iceoryx2")

# libav's names of codecs, and the formats that decoders of FFMPEGPacket may convert to.
_CODECS: Final = {"h264": "h264", "h265": "hevc", "av1": "av1"}
_FORMATS: Final = "yuv420p;bgr8;bgr8"


class ToTopic:
    """Publishes frames or packets on a topic, while it has a subscriber, and the camera's calibration beside them.

    Args:
        node: The node; its owner closes it.
        topic: The topic.
        quality: JPEG quality, 1 to 100.
        frame_id: Coordinate frame of the camera.
        calibration: The camera's calibration; None = there is none.

    Raises:
        EndpointError: The coordinate frame cannot be sent.
    """

    def __init__(self, node: Node, topic: Topic, quality: int, frame_id: str, calibration: Calibration | None) -> None:
        if not is_text(frame_id):
            raise EndpointError(f"the frame ID {frame_id!r} is not UTF-8, or contains NUL; set another with --frame-id")
        self._node = node
        self._topic = topic
        self._quality = quality
        self._frame_id = frame_id
        self._calibration = calibration
        self._publisher: TopicPublisher | None = None
        self._info: TopicPublisher | None = None
        self._has_newcomer = threading.Event()
        self._told_size: tuple[int, int] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the topic, or that of the calibration, has a subscriber."""
        self._join()
        return any(one is not None and one.has_subscribers for one in (self._publisher, self._info))

    @property
    def is_keyframe_wanted(self) -> bool:
        """Whether a subscriber came, and no keyframe since then."""
        return self._topic.has_packets and self._has_newcomer.is_set()

    def tend(self) -> None:
        """Nothing is due without frames."""

    def _join(self) -> None:
        if not self._node.connect() or self._publisher is not None:
            return
        name, type = self._topic
        if self._topic.has_packets:
            self._node.watch("MS", name, type, self._hear)
        if self._calibration is not None:
            self._info = self._node.publisher(self._topic.camera_info, CAMERA_INFO)
        self._publisher = self._node.publisher(name, type)

    def _hear(self, _: str, is_there: bool) -> None:
        if is_there:
            self._has_newcomer.set()

    def put(self, parcel: Parcel) -> int:
        """Publish a frame or a packet (see `To.put`). ROS 2 has no end of stream."""
        publisher, info = self._publisher, self._info
        if parcel.is_end or publisher is None:
            return 0
        moment = monotonic_ns() if parcel.captured_at is None else parcel.captured_at
        header = Header(wall_time(moment), self._frame_id)
        size = publisher.send(self._message(parcel, header)) if publisher.has_subscribers else 0
        if info is not None and info.has_subscribers:
            size += self._send_calibration(info, parcel, header)
        return size

    def _message(self, parcel: Parcel, header: Header) -> Parts:
        packet = parcel.header
        if packet is not None:
            return self._packet(parcel, packet, header)
        if self._topic.has_packets:
            raise Unsound("frame for a topic of packets", f"{self._topic.name} takes only packets")
        fault = too_large(parcel.width, parcel.height)
        if fault is not None:
            raise Unsound("picture too large", fault)
        if self._topic.type is COMPRESSED_IMAGE:
            return compressed_image(header, "jpeg", encode_picture(parcel, self._quality))
        return pack_image(parcel, header)

    def _packet(self, parcel: Parcel, packet: VideoPacketHeader, header: Header) -> Parts:
        codec = packet.codec_name
        if not self._topic.has_packets:
            raise Unsound("packet for a topic of pictures", f"{self._topic.name} takes no packets")
        if packet.is_keyframe:
            self._has_newcomer.clear()
        if self._topic.type is FFMPEG_PACKET:
            size, encoding = (packet.width, packet.height), f"{_CODECS[codec]};{_FORMATS}"
            return ffmpeg_packet(header, size, encoding, header.stamp // 1000, packet.is_keyframe, parcel.data)
        return compressed_video(header, codec, parcel.data)

    def _send_calibration(self, info: TopicPublisher, parcel: Parcel, header: Header) -> int:
        calibration, size = self._calibration, (parcel.width, parcel.height)
        if calibration is None:
            return 0
        if size == (calibration.width, calibration.height):
            return info.send(calibration.message(header))
        if size != self._told_size:
            self._told_size = size
            _log.warning(
                "%s is not published: the calibration is for %sx%s, but frames are %sx%s; calibrate this size",
                self._topic.camera_info,
                calibration.width,
                calibration.height,
                *size,
            )
        return 0

    def close(self) -> None:
        """Stop publishing; the node withdraws the topics."""
        self._publisher = self._info = None
