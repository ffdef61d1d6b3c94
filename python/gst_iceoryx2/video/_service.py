"""The video service behind a name: opened as it is, or created as a publisher wants it."""

from __future__ import annotations

import logging
import time
from dataclasses import fields
from typing import Final

from .._iox2 import binding, types
from .._wire.header import VideoFrameHeader
from .._wire.numbers import whole
from ..contract import limit, seconds
from ..errors import QosError
from . import _keeper
from .config import Qos

_log: Final = logging.getLogger("gst_iceoryx2")

DEFAULT_MAX_SUBSCRIBERS: Final = limit("default_max_subscribers")
DEFAULT_MAX_PUBLISHERS: Final = limit("default_max_publishers")
# The memory in which iceoryx2 counts participants grows with it: here 9 MB, and 2.4 GB for 256 times as many.
_MAX_PORTS: Final = limit("max_ports")
# Waiting subscribers of ours let go of a service without a publisher at their second look: 50 ms after a notification
# where they wait in receive_blocking, after half a second where the program is busy with something else.
_HAND_OVER: Final = seconds("handover")
_HAND_OVER_STEP: Final = seconds("handover_look")


def open_video_service(
    node: types.Node,
    service_name: str,
    qos: Qos | None = None,
    *,
    max_subscribers: int = DEFAULT_MAX_SUBSCRIBERS,
    max_publishers: int = DEFAULT_MAX_PUBLISHERS,
) -> types.PubSubService:
    """Open the video service of a name as it is, or create it.

    Args:
        node: From `create_node()`.
        service_name: 1 to 255 bytes of printable ASCII.
        qos: What to create it with; None = `Qos()`.
        max_subscribers: What to create it with, 1 to 65,536.
        max_publishers: What to create it with, 1 to 65,536.

    Returns:
        An `iceoryx2.PortFactoryPublishSubscribe` for slices of u8 with `VideoFrameHeader`.

    Raises:
        InvalidServiceNameError: The name cannot name a service.
        ServiceError: It is there and cannot be opened; the subclass and the message say why.
        ValueError: A number is outside its range.
        TypeError: A number is not one.
    """
    max_subscribers, max_publishers = check_ports(max_subscribers, max_publishers)
    wanted = Qos() if qos is None else qos
    return binding.create_pub_sub(
        node,
        service_name,
        VideoFrameHeader,
        buffer_size=wanted.buffer_size,
        borrowed_max=wanted.borrowed_max,
        # A late joiner gets the newest frame (SPEC.md section 1), and with it the end of stream.
        history_size=max(limit("min_history_size_frames"), wanted.history_size),
        safe_overflow=wanted.safe_overflow,
        max_subscribers=max_subscribers,
        max_publishers=max_publishers,
    )


def check_ports(max_subscribers: object, max_publishers: object) -> tuple[int, int]:
    """Both as Python ints.

    Raises:
        ValueError: A number is outside 1 to 65,536.
        TypeError: A number is not one.
    """
    return (
        whole(max_subscribers, "max_subscribers", 1, _MAX_PORTS),
        whole(max_publishers, "max_publishers", 1, _MAX_PORTS),
    )


def open_for_publishing(
    node: types.Node, name: str, notifier: types.Notifier, wanted: Qos, max_subscribers: int, max_publishers: int
) -> types.PubSubService:
    """Open or create the service for a publisher; one that waiting subscribers keep alive is let go first.

    Raises:
        QosError: A setting that differs from its default cannot be met by the service that exists.
    """
    deadline = time.monotonic() + _HAND_OVER
    while True:
        service = open_video_service(node, name, wanted, max_subscribers=max_subscribers, max_publishers=max_publishers)
        differences = _differences(service.static_config, wanted, max_subscribers, max_publishers)
        if not differences:
            return service
        if service.dynamic_config.number_of_publishers > 0 or time.monotonic() > deadline:
            break
        del service
        binding.tell_publishers_changed(notifier)
        _keeper.look_around(name)
        time.sleep(_HAND_OVER_STEP)
    unmet = [difference for difference in differences if difference.unmet]
    if unmet:
        raise QosError(
            f"the service {name!r} exists with other settings ({', '.join(map(str, unmet))}), and its participants "
            "keep it so: stop them, or do not ask for these"
        )
    _log.warning("adopting the service %r with other settings than asked: %s", name, ", ".join(map(str, differences)))
    return service


def qos_of(config: types.StaticConfig) -> Qos:
    """The quality of service that the creator of a service laid down."""
    return Qos(
        config.subscriber_max_buffer_size,
        config.subscriber_max_borrowed_samples,
        config.history_size,
        config.has_safe_overflow,
    )


class _Difference:
    """A setting of an existing service that is not what a publisher would have created."""

    def __init__(self, name: str, exists: int, wanted: int, *, unmet: bool) -> None:
        self.unmet = unmet
        self._text = f"{name} is {exists}, wanted {wanted}"

    def __str__(self) -> str:
        return self._text


def _differences(
    config: types.StaticConfig, wanted: Qos, max_subscribers: int, max_publishers: int
) -> list[_Difference]:
    existing, default = qos_of(config), Qos()
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
            # What equals the default was not asked for by name. More than was asked for is as good, but not for a flag.
            unmet = asked != usual and (isinstance(asked, bool) or exists < as_created)
            found.append(_Difference(name, exists, as_created, unmet=unmet))
    return found
