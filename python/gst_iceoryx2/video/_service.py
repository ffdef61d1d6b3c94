"""Open the video service with a given name as it is, or create it with a publisher's settings."""

from __future__ import annotations

import ctypes
import logging
import time
from dataclasses import fields
from typing import Final, NamedTuple

from .._iox2 import binding, types
from .._iox2.service_name import check_service_name
from .._iox2.types import Node, PubSubService
from .._wire.header import VideoFrameHeader
from .._wire.numbers import whole
from ..contract import limit, message, seconds
from ..errors import QosError
from . import _keeper
from .config import Qos

_log: Final = logging.getLogger("gst_iceoryx2")

DEFAULT_MAX_SUBSCRIBERS: Final = limit("default_max_subscribers")
DEFAULT_MAX_PUBLISHERS: Final = limit("default_max_publishers")
# iceoryx2 needs 9 MB of memory to track this many participants, and 2.4 GB for 256 times as many.
_MAX_PORTS: Final = limit("max_ports")
# Our subscribers leave a service without a publisher 50 ms after event ID 2 if they wait in receive_blocking. If the
# program is doing other work, the keeper's thread leaves it after half a second.
_HAND_OVER: Final = seconds("handover")
_HAND_OVER_STEP: Final = seconds("handover_look")


def open_video_service(
    node: Node,
    service_name: str,
    qos: Qos | None = None,
    *,
    max_subscribers: int = DEFAULT_MAX_SUBSCRIBERS,
    max_publishers: int = DEFAULT_MAX_PUBLISHERS,
) -> PubSubService:
    """Open the video service with a given name, or create it if it does not exist.

    An existing service keeps its own settings. Use this function to create a service before its publisher starts, or to
    work with iceoryx2's own interface.

    Args:
        node: Node from `create_node()`.
        service_name: Name of the service, 1 to 255 bytes of printable ASCII.
        qos: Quality of service for a new service; None = `Qos()`.
        max_subscribers: Subscribers that a new service admits, 1 to 65,536.
        max_publishers: Publishers that a new service admits, 1 to 65,536.

    Returns:
        An `iceoryx2.PortFactoryPublishSubscribe` for slices of u8 with `VideoFrameHeader`.

    Raises:
        InvalidServiceNameError: The name cannot be used as a service name.
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        ValueError: A number is out of range.
        TypeError: A numeric argument is not a number.

    Example:
        Create a service that admits two publishers:

            from gst_iceoryx2.video import VideoFramePublisher, create_node, open_video_service

            service = open_video_service(create_node(), "video/cam0/frame/v2", max_publishers=2)
            with VideoFramePublisher("video/cam0/frame/v2"), VideoFramePublisher("video/cam0/frame/v2"):
                print(service.dynamic_config.number_of_publishers)
    """
    max_subscribers, max_publishers = check_ports(max_subscribers, max_publishers)
    wanted = Qos() if qos is None else qos
    return _open(node, check_service_name(service_name), VideoFrameHeader, wanted, max_subscribers, max_publishers)


def _open(
    node: Node,
    service_name: str,
    header: type[ctypes.Structure],
    wanted: Qos,
    max_subscribers: int,
    max_publishers: int,
) -> PubSubService:
    return binding.create_pub_sub(
        node,
        service_name,
        header,
        buffer_size=wanted.buffer_size,
        borrowed_max=wanted.borrowed_max,
        # With a history, a subscriber that joins late receives the newest frame (SPEC.md section 1) or the end of the
        # stream.
        history_size=max(limit("min_history_size_frames"), wanted.history_size),
        safe_overflow=wanted.safe_overflow,
        max_subscribers=max_subscribers,
        max_publishers=max_publishers,
    )


def check_ports(max_subscribers: object, max_publishers: object) -> tuple[int, int]:
    """Check both limits and return them as Python ints.

    Raises:
        ValueError: A number is not between 1 and 65,536.
        TypeError: An argument is not a number.
    """
    return (
        whole(max_subscribers, "max_subscribers", 1, _MAX_PORTS),
        whole(max_publishers, "max_publishers", 1, _MAX_PORTS),
    )


def open_for_publishing(
    node: types.Node,
    name: str,
    notifier: types.Notifier,
    wanted: Qos,
    max_subscribers: int,
    max_publishers: int,
    *,
    header: type[ctypes.Structure] = VideoFrameHeader,
    default: Qos | None = None,
) -> types.PubSubService:
    """Open or create the service for a publisher.

    If the settings of an unused service differ, waiting subscribers get time to leave it so that it can be recreated.

    Args:
        node: The node.
        name: Name of the service, already checked.
        notifier: A notifier on its event service.
        wanted: Quality of service for a new service.
        max_subscribers: Subscribers that a new service admits.
        max_publishers: Publishers that a new service admits.
        header: Type of the user header.
        default: The values of `wanted` that the program did not ask for; None = `Qos()`.

    Raises:
        QosError: The existing service offers less than a setting that was changed from its default.
    """
    deadline = time.monotonic() + _HAND_OVER
    while True:
        service = _open(node, name, header, wanted, max_subscribers, max_publishers)
        differences = _differences(service.static_config, wanted, default or Qos(), max_subscribers, max_publishers)
        if not differences:
            return service
        if service.dynamic_config.number_of_publishers > 0 or time.monotonic() > deadline:
            break
        del service
        binding.tell_publishers_changed(notifier)
        _keeper.look_around(name)
        time.sleep(_HAND_OVER_STEP)
    for setting, exists, asked, is_unmet in differences:
        if is_unmet:
            raise QosError(message("qos", service=name, setting=setting, exists=exists, wanted=asked))
    texts = ", ".join(f"{setting} is {exists}, but {asked} was requested" for setting, exists, asked, _ in differences)
    _log.warning("using service %r with settings that differ from those requested: %s", name, texts)
    return service


def qos_of(config: types.StaticConfig) -> Qos:
    """Return the quality of service chosen by the creator of a service."""
    return Qos(
        config.subscriber_max_buffer_size,
        config.subscriber_max_borrowed_samples,
        config.history_size,
        config.has_safe_overflow,
    )


class _Difference(NamedTuple):
    """A setting of an existing service that differs from the value that a publisher requests."""

    setting: str
    exists: str
    asked: str
    is_unmet: bool


def _differences(
    config: types.StaticConfig, wanted: Qos, default: Qos, max_subscribers: int, max_publishers: int
) -> list[_Difference]:
    """Return each setting of the existing service that differs."""
    existing = qos_of(config)
    rows = [
        (field.name, getattr(existing, field.name), getattr(wanted, field.name), getattr(default, field.name))
        for field in fields(Qos)
    ]
    rows += [
        ("max_subscribers", config.max_subscribers, max_subscribers, DEFAULT_MAX_SUBSCRIBERS),
        ("max_publishers", config.max_publishers, max_publishers, DEFAULT_MAX_PUBLISHERS),
    ]
    found = []
    for name, exists, asked, usual in rows:
        as_created = max(limit("min_history_size_frames"), asked) if name == "history_size" else asked
        if exists != as_created:
            # A value that equals its default does not count as requested. A larger number is acceptable, but a
            # different flag is not.
            unmet = asked != usual and (isinstance(asked, bool) or exists < as_created)
            found.append(_Difference(name, str(exists).lower(), str(as_created).lower(), unmet))
    return found
