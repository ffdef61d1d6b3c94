"""Receive packets by reference: start at a keyframe, and continue at one after each gap."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Final, Literal, NamedTuple, NoReturn

from .._iox2 import binding
from .._iox2.service_name import check_name
from .._iox2.types import Node
from .._wire.packet import VideoPacketHeader, packet_service
from ..errors import BorrowLimitError, Iox2VideoError
from ..video._receiver import Receiver
from ._intake import PacketIntake
from .packet import Packet

# The publisher hands over what it kept within this time, in seconds.
_HANDOVER: Final = 0.002


class PacketSubscriberStats(NamedTuple):
    """Counters of a `PacketSubscriber` since it was created.

    Attributes:
        received: Packets received. Ends of the stream are not counted.
        withheld: Packets that arrived but were not given to you: after a gap until the next keyframe, and at the start
            those before the newest keyframe.
        dropped: Packets that did not arrive, because the subscriber's buffer or the publisher's memory was full.
        invalid: Packets rejected because their header is invalid.
        held: Packets currently held by `Packet` objects or their `data`.
        limit: Packets that may be held at once; 0 before the first connection.
    """

    received: int
    withheld: int
    dropped: int
    invalid: int
    held: int
    limit: int


class PacketSubscriber(Receiver[Packet]):
    """Receive the packets of an encoded stream, in order, so that a decoder can decode all of them.

    You can start it before or after its publisher. It starts at the newest keyframe among the last 128 packets, which
    it receives at once. If these packets span more than 0.5 s, or if there is no keyframe among them, it also asks the
    publisher for a keyframe. After a gap it withholds packets until the next keyframe. `packet.is_discont` marks where
    it started again.

    It reconnects when the publisher restarts. You can call every method from any thread; each packet goes to one
    caller. A subscriber cannot be used in a forked child, where it raises ForkedError: create a new one there.

    A `for` loop and an `async for` loop end with the stream.

    Args:
        name: Name of the stream: `cam0`, `cam0@h264`, or the full name `video/cam0@h264/packet/v1`.
        codec: "h264", "h265" or "av1"; None = the one in `name`, or else "h264".
        iox2_node: `iceoryx2.Node` to use, from `create_node()`; None creates one.

    Raises:
        InvalidServiceNameError: The name cannot be used as the name of a stream.
        FormatError: The codec is unknown.
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.

    Example:
        Decode a stream with PyAV:

            import av

            decoder = av.CodecContext.create("h264", "r")
            with PacketSubscriber("cam0") as subscriber:
                for packet in subscriber:
                    for frame in decoder.decode(av.Packet(packet.data)):
                        print(packet.sequence, frame.to_ndarray(format="rgb24").shape)
    """

    def __init__(self, name: str, codec: str | None = None, *, iox2_node: Node | None = None) -> None:
        self._intake: PacketIntake
        self._backlog: deque[Packet] = deque()
        full, codec_name = packet_service(name, codec)
        self._codec = codec_name
        super().__init__(
            check_name(full),
            iox2_node,
            0.0,
            lambda is_local: PacketIntake(full, codec_name, is_local=is_local),
            VideoPacketHeader,
        )

    # -- packets -----------------------------------------------------------------------------------------------------

    def request_keyframe(self) -> None:
        """Ask the publisher for a keyframe, for example after a decoder has failed.

        An encoder makes one at the earliest 0.5 s after the previous one. A camera that encodes itself cannot be asked.
        The subscriber asks by itself when it needs one.

        Raises:
            ClosedError: This subscriber is closed.
        """
        with self._lock:
            if self._connector is None:
                self._refuse()
            # Without a notifier, the keyframes of the publisher's own rhythm are enough. It is not kept, because it has
            # descriptors, and requests are rare.
            with contextlib.suppress(Iox2VideoError):
                binding.ask_for_keyframe(binding.create_notifier(self._connector.node, self._name))

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def codec(self) -> str:
        """Name of the codec: "h264", "h265" or "av1"."""
        return self._codec

    @property
    def stats(self) -> PacketSubscriberStats:
        """Counters so far."""
        intake = self._intake
        with self._lock:
            ledger = intake.ledger
            return PacketSubscriberStats(
                intake.received, intake.withheld, intake.dropped, intake.invalid, ledger.held, ledger.limit
            )

    def close(self) -> None:
        """Stop receiving. A waiting thread gets ClosedError immediately. Idempotent.

        Held packets stay valid. Until they are released, the service still counts this subscriber.
        """
        super().close()
        with self._lock:
            self._backlog.clear()

    def __repr__(self) -> str:
        stats = self.stats
        state = ", closed" if self.is_closed else "" if self._link else ", waiting for a publisher"
        return (
            f"<PacketSubscriber {self._name!r}, received {stats.received}, withheld {stats.withheld}, "
            f"dropped {stats.dropped}, held {stats.held}/{stats.limit}{state}>"
        )

    # -- inside ------------------------------------------------------------------------------------------------------

    def _take(self) -> Packet | Literal[False] | None:
        if self._backlog and self._connector is not None:
            return self._backlog.popleft()
        taken = super()._take()
        intake = self._intake
        if intake.is_joining and intake.collected:
            self._join(intake)
            taken = False
        if intake.is_request_due:
            intake.is_request_due = False
            self.request_keyframe()
        return taken

    def _join(self, intake: PacketIntake) -> None:
        """Collect what the publisher hands over, until nothing more comes."""
        qos, was_empty = self.qos, False
        # The publisher may be faster than this loop, but it does not hand over more than this.
        for _ in range(0 if qos is None else qos.buffer_size + qos.history_size):
            is_empty = super()._take() is None
            if is_empty and was_empty:
                break
            if is_empty:
                time.sleep(_HANDOVER)
            was_empty = is_empty
        self._backlog.extend(intake.joined())
        if len(self._backlog) > 1 and self._waiter is not None:
            # Another thread may sleep, and no sample will wake it for these packets.
            self._waiter.nudge()

    def _refuse_to_borrow(self) -> NoReturn:
        ledger = self._intake.ledger
        raise BorrowLimitError(
            f'cannot receive another packet of service "{self._name}": {ledger.held} packets are already held, but the '
            f"limit is {ledger.limit}; release packets and their data, or copy the packets that you keep"
        )
