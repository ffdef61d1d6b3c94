"""Types for the parts of iceoryx2's Python binding that this package uses, because the binding is not annotated."""

from __future__ import annotations

from typing import Any, Protocol


class _Id(Protocol):
    @property
    def value(self) -> int: ...


class NodeId(_Id, Protocol):
    """Identity of a node."""

    def __eq__(self, other: object) -> bool: ...


class Node(Protocol):
    """`iceoryx2.Node`: a participant of a domain."""

    @property
    def id(self) -> NodeId: ...
    @property
    def config(self) -> Any: ...
    def service_builder(self, name: Any) -> Any: ...


class MessageHeader(Protocol):
    """`iceoryx2.HeaderPublishSubscribe`: iceoryx2's own sample header."""

    @property
    def number_of_elements(self) -> int: ...
    @property
    def publisher_id(self) -> _Id: ...


class Sample(Protocol):
    """`iceoryx2.Sample`: a received frame. Its memory is released with the last reference."""

    @property
    def payload_ptr(self) -> int: ...
    @property
    def user_header_ptr(self) -> int: ...
    @property
    def header(self) -> MessageHeader: ...
    def delete(self) -> None: ...


class SampleMut(Protocol):
    """`iceoryx2.SampleMut`: a loan that can be sent."""

    def send(self) -> int: ...


class SampleMutUninit(Protocol):
    """`iceoryx2.SampleMutUninit`: a loan to fill. Any use after `assume_init` aborts the process."""

    @property
    def payload_ptr(self) -> int: ...
    @property
    def user_header_ptr(self) -> int: ...
    def assume_init(self) -> SampleMut: ...
    def delete(self) -> None: ...


class Subscriber(Protocol):
    """`iceoryx2.Subscriber`."""

    @property
    def id(self) -> _Id: ...
    @property
    def buffer_size(self) -> int: ...
    def receive(self) -> Sample | None: ...
    def has_samples(self) -> bool: ...


class Publisher(Protocol):
    """`iceoryx2.Publisher`. Any use after `delete` aborts the process."""

    @property
    def id(self) -> _Id: ...
    def loan_slice_uninit(self, number_of_elements: int) -> SampleMutUninit: ...
    def update_connections(self) -> None: ...
    def delete(self) -> None: ...


class EventId(Protocol):
    """`iceoryx2.EventId`."""

    @property
    def as_value(self) -> int: ...


class EventActivation(Protocol):
    """`iceoryx2.EventActivation`: the ID of a notified event, and the number of notifications."""

    @property
    def id(self) -> EventId: ...


class Listener(Protocol):
    """`iceoryx2.Listener`."""

    @property
    def id(self) -> _Id: ...
    def try_wait(self) -> list[EventActivation]: ...


class Notifier(Protocol):
    """`iceoryx2.Notifier`."""

    def notify(self) -> int: ...
    def notify_with_custom_event_id(self, event_id: Any) -> int: ...


class StaticConfig(Protocol):
    """QoS of a publish/subscribe service, set by its creator."""

    @property
    def max_publishers(self) -> int: ...
    @property
    def max_subscribers(self) -> int: ...
    @property
    def max_nodes(self) -> int: ...
    @property
    def history_size(self) -> int: ...
    @property
    def subscriber_max_buffer_size(self) -> int: ...
    @property
    def subscriber_max_borrowed_samples(self) -> int: ...
    @property
    def has_safe_overflow(self) -> bool: ...


class DynamicConfig(Protocol):
    """Current number of ports; ports of dead nodes are counted until a clean-up."""

    @property
    def number_of_publishers(self) -> int: ...
    @property
    def number_of_subscribers(self) -> int: ...


class PubSubService(Protocol):
    """`iceoryx2.PortFactoryPublishSubscribe`: an open publish/subscribe service."""

    @property
    def static_config(self) -> StaticConfig: ...
    @property
    def dynamic_config(self) -> DynamicConfig: ...
    def publisher_builder(self) -> Any: ...
    def subscriber_builder(self) -> Any: ...


class EventDynamicConfig(Protocol):
    """Current number of ports of an event service; ports of dead nodes are counted until a clean-up."""

    @property
    def number_of_listeners(self) -> int: ...


class EventService(Protocol):
    """`iceoryx2.PortFactoryEvent`: an open event service."""

    @property
    def dynamic_config(self) -> EventDynamicConfig: ...
    def listener_builder(self) -> Any: ...
    def notifier_builder(self) -> Any: ...
