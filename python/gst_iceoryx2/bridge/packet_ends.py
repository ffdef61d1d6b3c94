"""Services of packets as ends of a bridge, and services of frames that receive packets."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from .._iox2 import binding
from .._iox2.domain import current_domain
from .._wire.packet import PACKET_FLAG_DISCONT, VideoPacketHeader, packet_service
from ..codec.on_demand import PacketsOnDemand, packets_for
from ..discovery.demand import DemandFinder
from ..discovery.names import short_name, why_silent
from ..errors import FormatError, MissingExtraError
from ..feed.errors import SourceError
from ..packets import Packet, PacketPublisher, PacketSubscriber
from .message import Unsound
from .packet_queue import PacketQueue
from .parcel import Parcel, own_metas
from .service_ends import ToService

if TYPE_CHECKING:
    from ..feed.frame_decoder import FrameDecoder

_log: Final = logging.getLogger("gst_iceoryx2")

# An encoder that was started for the key runs for this long after the last receiver has left, in seconds.
_LINGER: Final = 5.0
# Time between two requests for a keyframe, in seconds.
_ASK_INTERVAL: Final = 1.0
# Time without packets after which the reason is looked for, in seconds.
_SILENCE: Final = 2.0
# Most packets to receive before one is sent.
_LOOKS: Final = 64
# Time between two looks for readers of the frames, and time for which they are decoded after the last one, in seconds.
_LOOK_INTERVAL: Final = 0.25
_KEEP_DECODING: Final = 2.0


class FromPackets:
    """Receives packets from a service while the target has a receiver, and encodes them if no other process does."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._opened = ExitStack()
        self._source: PacketsOnDemand | None = None
        self._subscriber: PacketSubscriber | None = None
        self._queue: PacketQueue[Packet] = PacketQueue()
        self._withheld = 0
        self._wanted_at = self._asked_at = self._heard_at = 0.0
        self._is_told = False

    @property
    def passed_over(self) -> int:
        """Number of packets that were dropped, or that no decoder could have decoded."""
        return self._queue.dropped + self._withheld + self._withheld_now()

    def _withheld_now(self) -> int:
        if self._subscriber is None:
            return 0
        stats = self._subscriber.stats
        return stats.withheld + stats.dropped

    def want(self, is_wanted: bool) -> None:
        """Say whether packets are wanted; see `From.want`."""
        now = time.monotonic()
        if is_wanted:
            self._wanted_at = now
            if self._subscriber is None:
                self._source = self._opened.enter_context(packets_for(short_name(self._service)))
                self._subscriber = self._opened.enter_context(PacketSubscriber(self._source.service))
                self._heard_at = now
        elif self._subscriber is not None and now > self._wanted_at + _LINGER:
            self.close()

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the next packet (see `From.next`)."""
        subscriber = self._subscriber
        if subscriber is None:
            time.sleep(timeout)
            return None
        for _ in range(_LOOKS):
            packet = subscriber.receive_blocking(0 if self._queue else timeout * 1000)
            if packet is None:
                break
            with packet:
                # A copy, because packets that wait for a slow target would use up what a subscriber may hold.
                self._queue.push(packet.copy(), len(packet.data), is_keyframe=packet.is_keyframe)
        if self._queue.is_late:
            self.request_keyframe()
        waiting = self._queue.pop()
        if waiting is None and self._source is not None:
            self._source.check()
            self._tell_why(self._source.service)
        if waiting is None:
            return None
        self._heard_at, self._is_told = time.monotonic(), False
        return _parcel_of(waiting)

    def _tell_why(self, service: str) -> None:
        """Log why no packets arrive, once, if `iox2-video serve` knows."""
        now = time.monotonic()
        if self._is_told or now < self._heard_at + _SILENCE:
            return
        self._heard_at, reason = now, why_silent(service)
        if reason is not None:
            self._is_told = True
            _log.warning("no packets from %s: %s", short_name(service), reason)

    def request_keyframe(self) -> None:
        """Ask the publisher for a keyframe, at most once per second."""
        now = time.monotonic()
        if self._subscriber is not None and now >= self._asked_at + _ASK_INTERVAL:
            self._asked_at = now
            self._subscriber.request_keyframe()

    def close(self) -> None:
        """Close the subscriber, and stop the encoder."""
        self._withheld += self._withheld_now()
        self._source = self._subscriber = None
        self._queue.clear()
        self._opened.close()


def _parcel_of(packet: Packet) -> Parcel:
    header = packet.header
    if packet.is_discont:
        header.flags |= PACKET_FLAG_DISCONT
    return Parcel(
        width=header.width,
        height=header.height,
        pts=packet.pts,
        dts=packet.dts,
        duration=packet.duration,
        captured_at=packet.captured_at,
        is_end=packet.is_eos(),
        header=header,
        data=packet.data,
        give_back=packet.release,
    )


class ToPackets:
    """Publishes packets as a service, as they come. Replaces the publisher when the size of the pictures changes."""

    is_wanted = True

    def __init__(self, service: str) -> None:
        self._service, self._codec = packet_service(service)
        self._publisher: PacketPublisher | None = None
        self._size = (0, 0)

    @property
    def is_keyframe_wanted(self) -> bool:
        """Whether a reader waits for a keyframe."""
        return self._publisher is not None and self._publisher.is_keyframe_wanted

    def tend(self) -> None:
        """Nothing is due without packets."""

    def put(self, parcel: Parcel) -> int:
        """Publish a packet (see `To.put`)."""
        header = parcel.header
        if header is None:
            if parcel.is_end:
                return 0
            raise Unsound("frame for a service of packets", f"{short_name(self._service)} takes only packets")
        if header.codec_name != self._codec:
            raise Unsound("packet of another codec", f"{header.codec_name}, not {self._codec}")
        if parcel.is_end:
            return 0 if self._publisher is None else self._publisher.end_of_stream()
        size = header.width, header.height
        if self._publisher is None or size != self._size:
            self.close()
            node = binding.create_node_for(self._service, about="packets of a bridge")
            self._publisher = PacketPublisher(self._service, self._codec, *size, iox2_node=node)
            self._size = size
        self._publisher.publish(
            parcel.data,
            is_keyframe=header.is_keyframe,
            pts=parcel.pts,
            dts=parcel.dts,
            duration=parcel.duration,
            stamp=header.stamp,
            is_discont=bool(header.flags & PACKET_FLAG_DISCONT),
        )
        return len(parcel.data)

    def close(self) -> None:
        """Close the publisher."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()


class ToStream:
    """Publishes frames as a service. Packets are published beside it, and decoded while the frames have readers."""

    is_wanted = True

    def __init__(self, service: str) -> None:
        self._service = service
        self._frames = ToService(service)
        self._packets: ToPackets | None = None
        self._codec = ""
        self._decoder: FrameDecoder | None = None
        self._can_decode = True
        self._damaged = 0
        self._demand = DemandFinder(current_domain())
        self._look_at = self._read_at = 0.0

    @property
    def is_keyframe_wanted(self) -> bool:
        """Whether a reader of packets waits for a keyframe."""
        return self._packets is not None and self._packets.is_keyframe_wanted

    def put(self, parcel: Parcel) -> int:
        """Publish a frame or a packet (see `To.put`)."""
        header = parcel.header
        if header is None:
            self._leave_packets()
            return self._frames.put(parcel)
        if self._packets is None or header.codec_name != self._codec:
            self._leave_packets()
            self._frames.close()
            self._codec = header.codec_name
            self._packets = ToPackets(packet_service(short_name(self._service), self._codec)[0])
        size = self._packets.put(parcel)
        if not parcel.is_end:
            self._decode(parcel, header)
        return size

    def tend(self) -> None:
        """Begin or end decoding."""
        decoder, now = self._decoder, time.monotonic()
        if decoder is None or now < self._look_at:
            return
        self._look_at = now + _LOOK_INTERVAL
        found = self._demand.find().get(self._service)
        if found is not None and found.readers:
            self._read_at = now
        decoder.is_wanted = now < self._read_at + _KEEP_DECODING

    def _decode(self, parcel: Parcel, header: VideoPacketHeader) -> None:
        decoder = self._decoder or self._new_decoder()
        if decoder is None:
            return
        self.tend()
        try:
            decoder.take(
                bytes(parcel.data),
                is_keyframe=header.is_keyframe,
                pts=parcel.pts,
                captured_at=parcel.captured_at,
                duration=parcel.duration,
                metas=own_metas(parcel.hops, parcel.origin),
            )
        except (SourceError, FormatError, MemoryError) as exc:
            # Its thread has ended; the next packet begins with a new one.
            self._leave_decoder()
            raise Unsound("packets cannot be decoded", str(exc)) from exc
        damaged, self._damaged = decoder.damaged - self._damaged, decoder.damaged
        if damaged:
            raise Unsound("damaged packet", f"{damaged} could not be decoded")

    def _new_decoder(self) -> FrameDecoder | None:
        """Create the decoder; None if PyAV is not installed."""
        if not self._can_decode:
            return None
        try:
            from ..feed.frame_decoder import FrameDecoder
        except MissingExtraError as exc:
            self._can_decode = False
            _log.warning("%s has only packets: %s", short_name(self._service), exc)
            return None
        self._decoder, self._damaged = FrameDecoder(self._service, self._codec, about="packets of a bridge"), 0
        return self._decoder

    def _leave_decoder(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()

    def _leave_packets(self) -> None:
        self._leave_decoder()
        packets, self._packets = self._packets, None
        if packets is not None:
            packets.close()

    def close(self) -> None:
        """Leave all services."""
        self._leave_packets()
        self._frames.close()
