"""A topic as the source of a bridge."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from ..._wire.clock import Origin
from ..._wire.packet import PACKET_FLAG_DISCONT
from ..._wire.stamp import Stamp, monotonic_ns, new_publisher_id
from ..message import Unsound, with_picture
from ..packet_queue import Gate, PacketQueue
from ..parcel import Parcel
from .encodings import unpack_image
from .messages import Compressed, Header, Image
from .node import Node, sender_of
from .packets import PacketReader, complete
from .times import captured_at
from .topic import COMPRESSED_IMAGE, Topic

_JPEG_BEGINS: Final = b"\xff\xd8\xff"


class FromTopic:
    """Receives the newest frame, or each packet, from a topic. The last publisher that leaves ends the stream.

    Args:
        node: The node; its owner closes it.
        topic: The topic.
    """

    def __init__(self, node: Node, topic: Topic) -> None:
        self._node = node
        self._topic = topic
        self._is_joined = False
        self._changed = threading.Condition()
        self._publishers: set[str] = set()
        self._has_ended = False
        # Messages with their time of arrival.
        self._newest: tuple[Any, int] | None = None
        self._packets: PacketQueue[Parcel | Unsound] = PacketQueue()
        self._reader = PacketReader(topic.type) if topic.has_packets else None
        self._gate = Gate()
        self._skipped = 0
        # Stands for publishers without an attachment.
        self._unknown, self._count = new_publisher_id(), 0

    @property
    def passed_over(self) -> int:
        """Number of frames replaced by newer ones, and of packets that were dropped, or could not be decoded."""
        return self._skipped + self._packets.dropped + self._gate.withheld

    def want(self, is_wanted: bool) -> None:
        """Join the topic as soon as the router is there. A topic is always received."""
        if self._node.connect() and not self._is_joined:
            self._is_joined = True
            # First, because a publisher whose frames arrive, and that leaves at once, would not be missed.
            self._node.watch("MP", *self._topic, self._hear_publisher)
            self._node.subscribe(*self._topic, self._hear)

    def request_keyframe(self) -> None:
        """Topics have no requests: the next keyframe comes when the sender's encoder makes one."""

    def _hear_publisher(self, token: str, is_there: bool) -> None:
        with self._changed:
            if is_there:
                self._publishers.add(token)
                # Otherwise, the end of the former publisher could follow frames of this one.
                self._has_ended = False
                return
            self._publishers.discard(token)
            if not self._publishers:
                self._has_ended = True
                self._changed.notify()

    def _hear(self, sample: Any) -> None:
        arrived = monotonic_ns()
        packet = None if self._reader is None else self._packet(self._reader, sample, arrived)
        with self._changed:
            if packet is not None:
                is_keyframe = isinstance(packet, Parcel) and packet.header is not None and packet.header.is_keyframe
                self._packets.push(packet, len(sample.payload), is_keyframe=is_keyframe)
            else:
                self._skipped += self._newest is not None
                self._newest = sample, arrived
            self._changed.notify()

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the next packet or the newest frame (see `From.next`)."""
        if not self._is_joined:
            time.sleep(timeout)
            return None
        with self._changed:
            if self._newest is None and not self._packets and not self._has_ended:
                self._changed.wait(timeout)
            packet = self._packets.pop()
            newest = None
            if packet is None:
                newest, self._newest = self._newest, None
            if packet is None and newest is None:
                has_ended, self._has_ended = self._has_ended, False
                return Parcel(is_end=True) if has_ended else None
        if packet is not None:
            return self._passed(packet)
        return None if newest is None else self._frame(*newest)

    def _frame(self, sample: Any, arrived: int) -> Parcel:
        payload = sample.payload.to_bytes()
        if self._topic.type is COMPRESSED_IMAGE:
            message = Compressed.read_image(payload)
            if bytes(message.data[:3]) != _JPEG_BEGINS:
                raise Unsound("not a JPEG picture", f"format {message.format[:60]!r}; let the sender publish JPEG")
            return with_picture(self._begun(message.header, sample, arrived), bytes(message.data))
        image = Image.read(payload)
        picture = unpack_image(image)
        parcel = self._begun(image.header, sample, arrived)
        parcel.format, parcel.caps, parcel.planes = picture
        parcel.width, parcel.height = image.width, image.height
        return parcel

    def _begun(self, header: Header, sample: Any, arrived: int) -> Parcel:
        """Return a parcel with everything but the picture."""
        publisher, sequence = self._identity(sample)
        captured = captured_at(header.stamp, arrived)
        return Parcel(
            pts=header.stamp if header.stamp >= 0 else None,
            captured_at=arrived if captured is None else captured,
            # Nobody knows how the wall clocks differ.
            origin=Origin(Stamp(publisher=publisher, sequence=sequence), None),
        )

    def _identity(self, sample: Any) -> tuple[int, int]:
        """Return the publisher and the number of a message."""
        found = sender_of(None if sample.attachment is None else sample.attachment.to_bytes())
        if found is None:
            self._count += 1
            return self._unknown, self._count
        return found

    def _packet(self, reader: PacketReader, sample: Any, arrived: int) -> Parcel | Unsound:
        try:
            header, message = reader.read(sample.payload.to_bytes())
            parcel = self._begun(header, sample, arrived)
            complete(parcel, message)
        except Unsound as exc:
            return exc
        return parcel

    def _passed(self, packet: Parcel | Unsound) -> Parcel | None:
        """Return a packet if a decoder can decode it."""
        if isinstance(packet, Unsound):
            raise packet
        header = packet.header
        if header is None or not self._gate.takes(header):
            return None
        if self._gate.is_discont():
            header.flags |= PACKET_FLAG_DISCONT
        return packet

    def close(self) -> None:
        """Nothing to release; the node leaves the topic."""
