"""Probes services: receives a few frames from each for a fraction of a second.

A probe joins each service as a participant and, if the limit allows it, as a subscriber. It does not create a listener,
and it takes frames as soon as they arrive, so that lossless publishers do not wait for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Final, TypeVar

from .._iox2 import binding, types
from .._iox2.description import ServiceRecord, service_identity
from .._iox2.domain import Domain
from .._iox2.explain import RELEASE
from .._wire.caps import parse_caps
from .._wire.header import VideoFrameHeader
from .._wire.stamp import monotonic_ns
from ..errors import FormatError, Iox2VideoError
from ..video._intake import Intake
from ..video.frame import VideoFrame
from .pace import Pace
from .stream import Stream

_T = TypeVar("_T")

# Pause between two rounds over all services; shorter than the frame interval of the fastest cameras.
_STEP: Final = 0.002


def probe(
    domain: Domain,
    records: Iterable[ServiceRecord],
    seconds: float,
    on_frame: Callable[[str, VideoFrame], object] | None = None,
) -> list[Stream]:
    """Probe services, all at the same time.

    Args:
        domain: Domain of the services.
        records: Descriptions of the services.
        seconds: Maximum duration; 0.2 s is enough for a steady stream. A paused publisher sends its newest frame to a
            new subscriber within 0.25 s.
        on_frame: Called with the service's name and each frame. The frame is valid only during the call. With this
            callback, the probe lasts the full `seconds`.

    Returns:
        The streams in the order of `records`. Services that no longer exist are omitted.

    Raises:
        DomainError: The domain cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    wanted = list(records)
    if not any(record.version == RELEASE for record in wanted):
        # Creating a node would create the folders of an unused domain.
        return [_unseen(record) for record in wanted]
    node = binding.create_node(domain)
    probes: list[_ServiceProbe] = []
    end = time.monotonic() + seconds
    try:
        for record in wanted:
            probes.append(_ServiceProbe(node, domain, record, on_frame))
            # Buffers of the first services must not overflow while the last services are opened.
            _take(probes, end)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (on_frame is None and all(one.is_settled() for one in probes)):
            _take(probes, end)
            time.sleep(_STEP)
        return [one.result() for one in probes if not one.has_gone]
    finally:
        # Otherwise the traceback of a KeyboardInterrupt would keep the node alive until the interpreter exits.
        for one in probes:
            one.close()
        del node


def _take(probes: list[_ServiceProbe], end: float) -> None:
    """Take all waiting frames, one from each service in turn. Do not start another round after `end`."""
    while sum(one.take() for one in probes) and time.monotonic() < end:
        pass


def _unseen(record: ServiceRecord) -> Stream:
    return Stream(
        record.name,
        max_publishers=setting(record, "max_publishers", int),
        max_subscribers=setting(record, "max_subscribers", int),
        problem=f"created by iceoryx2 {record.version}, but this is {RELEASE}; participants need the same release",
    )


def stated_framerate(caps: str | None) -> str | None:
    """Return the frame rate in caps, as "30000/1001"; None if the caps do not state a rate or state a variable rate."""
    try:
        rate = parse_caps(caps).fields.get("framerate") if caps else None
    except FormatError:
        return None
    return f"{rate.numerator}/{rate.denominator}" if isinstance(rate, Fraction) and rate > 0 else None


def setting(record: ServiceRecord, name: str, kind: type[_T]) -> _T | None:
    """Return a setting from a service's description, such as `max_publishers`; None if it does not exist."""
    value = record.values.get(f"messaging_pattern.PublishSubscribe.{name}")
    return value if isinstance(value, kind) else None


class _ServiceProbe:
    """The probe of one service.

    Attributes:
        has_gone: Whether the service no longer exists.
    """

    def __init__(
        self,
        node: types.Node,
        domain: Domain,
        record: ServiceRecord,
        on_frame: Callable[[str, VideoFrame], object] | None,
    ) -> None:
        self._record = record
        self._on_frame = on_frame
        self._intake = Intake(record.name)
        self._pace = Pace()
        self._problem: str | None = None
        self._service: types.PubSubService | None = None
        self._port: types.Subscriber | None = None
        self._tell_taken: Callable[[types.Sample | None], None] | None = None
        self._format: str | None = None
        self._size: tuple[int, int] | None = None
        self._captured_at: int | None = None
        self._has_ended = False
        self.has_gone = False
        if record.version != RELEASE:
            self._problem = _unseen(record).problem
            return
        try:
            self._open(node, domain)
        except Iox2VideoError as exc:
            self._problem = str(exc)

    def _open(self, node: types.Node, domain: Domain) -> None:
        name = self._record.name
        file = domain.service_file(name, "PublishSubscribe")
        if service_identity(file) is None:
            self.has_gone = not os.path.exists(file)
            self._problem = "the service is still being created, or its creator was killed"
            return
        service = binding.open_pub_sub(node, name, VideoFrameHeader)
        if service is None:
            self.has_gone = True
            return
        self._service = service
        config, now = service.static_config, service.dynamic_config
        if now.number_of_publishers == 0:
            self._problem = "no publisher"
        elif now.number_of_subscribers >= config.max_subscribers:
            self._problem = (
                f"all {config.max_subscribers} subscriber slots are in use, so its frames cannot be received"
            )
        else:
            self._port = binding.create_subscriber(node, service, name)
            if not config.has_safe_overflow:
                self._tell_taken = binding.AckNotifier(node, name, self._port).notify

    def take(self) -> bool:
        """Take the next waiting frame; return whether a frame was waiting."""
        port = self._port
        if port is None:
            return False
        try:
            sample = port.receive()
        except (binding.ReceiveError, binding.ConnectionFailure) as exc:
            self._problem = f"cannot receive: iceoryx2 says {type(exc).__name__}: {exc}"
            self._port = None
            return False
        arrived = monotonic_ns()
        if self._tell_taken is not None:
            self._tell_taken(sample)
        if sample is None:
            return False
        frame = self._intake.take(sample, port)
        del sample
        if frame is not None:
            self._note(frame, arrived)
            frame.release()
        if self._intake.ends:
            # The end of the stream was marked on the last frame, which this probe had not yet received.
            self._note(self._intake.end(), arrived)
        return True

    def _note(self, frame: VideoFrame, arrived: int) -> None:
        if frame.is_eos():
            self._has_ended = True
            return
        self._has_ended = False
        self._format, self._size = frame.format, (frame.width, frame.height)
        self._captured_at = frame.captured_at
        self._pace.note(frame.captured_at or arrived, self._intake.dropped)
        if self._on_frame is not None:
            self._on_frame(self._record.name, frame)

    def is_settled(self) -> bool:
        """Return whether a longer probe would add little information."""
        return self._port is None or self._has_ended or self._pace.is_known

    def result(self) -> Stream:
        """Return the current state of the stream."""
        service = self._service
        width, height = self._size or (None, None)
        publishers = subscribers = None
        if service is not None:
            now = service.dynamic_config
            publishers = now.number_of_publishers
            subscribers = now.number_of_subscribers - (self._port is not None)
        problem = self._problem
        if problem is None and self._intake.invalid and self._format is None:
            problem = f"all {self._intake.invalid} received frames violate the wire contract; see the log"
        if problem is None and self._format is None and not self._has_ended:
            problem = "no frame arrived in time"
        return Stream(
            self._record.name,
            format=self._format,
            width=width,
            height=height,
            fps=self._pace.fps,
            framerate=stated_framerate(self._intake.caps),
            publishers=publishers,
            subscribers=subscribers,
            max_publishers=setting(self._record, "max_publishers", int),
            max_subscribers=setting(self._record, "max_subscribers", int),
            age=None if self._captured_at is None else (monotonic_ns() - self._captured_at) / 1e9,
            caps=self._intake.caps,
            has_ended=self._has_ended,
            problem=problem,
        )

    def close(self) -> None:
        """Leave the service."""
        self._port = self._service = self._tell_taken = None
