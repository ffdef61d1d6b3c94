"""Topics of a Foxglove server. Each receives its service only while a client has subscribed to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from .._wire.packet import packet_service
from .._wire.rendition import codec_of
from .._wire.results import results_service
from ..codec import PacketsOnDemand
from ..codec.foxglove import (
    ANNOTATIONS,
    VIDEO,
    annotations_message,
    b_frames_error,
    results_topic,
    schema_of,
    video_message,
)
from ..discovery import short_name
from ..discovery.watched import Newest, Watched
from ..packets import Packet, PacketSubscriber
from ..packets.picture_order import PictureOrder
from ..results import Results, ResultsSubscriber
from ..video.wall_clock import WallClock

Send: TypeAlias = Callable[[str, int, bytes], None]
"""Sends a message: topic, time in nanoseconds since 1970, and the message."""

T = TypeVar("T", Packet, Results)


class Topic(Watched[T]):
    """A topic, which rests until a client subscribes.

    Args:
        service: Full name of the service.
        topic: Name of the topic.
        schema: Full name of the type of its messages, and its definition.

    Attributes:
        topic: Name of the topic.
        schema: Full name of the type of its messages, and its definition.
    """

    def __init__(self, service: str, topic: str, schema: tuple[str, bytes]) -> None:
        super().__init__(service)
        self.topic: Final = topic
        self.schema: Final = schema
        self._clients = 0
        self._is_closed = False
        self.rest()
        self._start()

    def note(self, *, has_joined: bool) -> None:
        """Note that a client has subscribed or left. Does not block."""
        with self._lock:
            if self._is_closed:
                return
            self._clients = max(0, self._clients + (1 if has_joined else -1))
            if self._clients:
                self.resume()
            else:
                self.rest()

    def close(self) -> None:
        """Stop the thread and leave the service. Idempotent."""
        with self._lock:
            # A client that leaves meanwhile must not let the thread rest again.
            self._is_closed = True
        super().close()

    def _describe(self, frame: T) -> tuple[Newest, int]:
        return Newest(self.schema[0], 0, 0, None), 0


class VideoTopic(Topic[Packet]):
    """The packets of a stream. If no process encodes it, this one does while a client has subscribed.

    Args:
        name: Name of the stream, or of its packets.
        clock: Converts capture times.
        send: Sends messages.
    """

    def __init__(self, name: str, clock: WallClock, send: Send) -> None:
        service, _ = packet_service(short_name(name))
        short = short_name(name)
        self._stream = short
        self._clock = clock
        self._send = send
        self._source: PacketsOnDemand | None = None
        self._order = PictureOrder()
        super().__init__(service, short.rpartition("@")[0] if codec_of(short) else short, schema_of(VIDEO))

    def note(self, *, has_joined: bool) -> None:
        """Note that a client has subscribed or left. A further client gets a keyframe soon."""
        if has_joined:
            self._wants_keyframe = True
        super().note(has_joined=has_joined)

    # -- the thread --------------------------------------------------------------------------------------------------

    _wants_keyframe = False

    def _subscribe(self) -> PacketSubscriber:
        self._source = PacketsOnDemand(self._stream, "h264")
        self._order = PictureOrder()
        # A new subscriber begins with a keyframe anyway.
        self._wants_keyframe = False
        return PacketSubscriber(self.name)

    def _leave(self) -> None:
        super()._leave()
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _idle(self) -> None:
        if self._source is not None:
            self._source.check()

    def _take(self, frame: Packet, *, is_new: bool) -> None:
        if self._order.goes_back(frame):
            raise b_frames_error(frame, self.topic)
        if self._wants_keyframe:
            self._wants_keyframe = False
            if isinstance(self._subscriber, PacketSubscriber) and not frame.is_keyframe:
                self._subscriber.request_keyframe()
        at = self._clock.time_of(frame)
        self._send(self.topic, at, video_message(self.topic, at, frame.codec, bytes(frame.data)))


class ResultsTopic(Topic[Results]):
    """The results of a detector, as annotations.

    Args:
        source: Name of the stream.
        detector: Name of the detector.
        clock: Converts capture times.
        send: Sends messages.
    """

    def __init__(self, source: str, detector: str, clock: WallClock, send: Send) -> None:
        self._source, self._detector = source, detector
        self._clock = clock
        self._send = send
        super().__init__(results_service(source, detector), results_topic(source, detector), schema_of(ANNOTATIONS))

    def _subscribe(self) -> ResultsSubscriber:
        return ResultsSubscriber(self._source, self._detector)

    def _take(self, frame: Results, *, is_new: bool) -> None:
        at = self._clock.time_of(frame)
        self._send(self.topic, at, annotations_message(at, frame))
