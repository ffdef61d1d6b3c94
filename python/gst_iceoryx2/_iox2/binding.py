"""Nodes, services and ports: the one module that imports iceoryx2.

The automatic clean-up of dead nodes is off for everything that is created here, because this process may have a second
copy of iceoryx2 (the GStreamer plugin). `cleanup` does that work in another process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import iceoryx2 as iox2  # type: ignore[import-untyped]

from ..contract import limit, message, seconds
from ..errors import DomainError, ServiceBrokenError, TransportError, VersionMismatchError
from . import types
from .cleanup import clean_up_if_stale, run_helper
from .domain import Domain, current_domain
from .explain import FULL, HALF_CREATED, HANGS, RELEASE, explain, taking_part
from .liveness import dead_nodes, monitor_of
from .obstacle import after_failure, before_start, check_folders
from .service_name import check_service_name

EVENT_TAKEN: Final = limit("event_taken")
"""Event with which a reader says that it took frames (SPEC.md section 1)."""
EVENT_PUBLISHERS_CHANGED: Final = limit("event_publishers_changed")
"""Event with which a publisher says that it came, got another port, or goes (SPEC.md section 1)."""

# Longest time between two frames for which one notification serves several frames.
_QUICK: Final = seconds("quick_take")
# One node per port: subscribers, publishers and observers.
_MAX_NODES: Final = limit("max_nodes")
# How long to retry while another participant creates or removes the service.
_FLUX_TIMEOUT: Final = seconds("flux_timeout")
# The same if that participant stopped or died half-way.
_HANG_TIMEOUT: Final = seconds("hanging_timeout")
# How long a killed process may take to end.
_KILL_GRACE: Final = seconds("kill_grace")
# Longest time that creating and removing take if no participant dies over it.
_USUAL_FLUX: Final = seconds("flux_usual")

_FLUX: Final = ("SystemInFlux", "IsMarkedForDestruction", "AlreadyExists", "IsBeingCreatedByAnotherInstance")
LoanError: Final[type[Exception]] = iox2.LoanError
ReceiveError: Final[type[Exception]] = iox2.ReceiveError
SendError: Final[type[Exception]] = iox2.SendError
ConnectionFailure: Final[type[Exception]] = iox2.ConnectionFailure
# The binding's errors share no base class.
_ERRORS: Final[tuple[type[Exception], ...]] = tuple(
    kind for kind in vars(iox2).values() if isinstance(kind, type) and issubclass(kind, Exception)
)

_T = TypeVar("_T")

# Errors only: at lower levels the names of its loggers are dumps of whole objects.
iox2.set_log_level_from_env_or(iox2.LogLevel.Error)


def _check_release() -> None:
    for info in Path(iox2.__file__).parents[1].glob("iceoryx2-*.dist-info"):
        found = info.name.removeprefix("iceoryx2-").removesuffix(".dist-info")
        if found != RELEASE:
            raise VersionMismatchError(
                f"the installed Python package iceoryx2 is release {found}, but this package needs {RELEASE}, because "
                f"iceoryx2 refuses peers of another release; pip install iceoryx2=={RELEASE}"
            )


_check_release()


def create_node(domain: Domain | None = None) -> types.Node:
    """Create a node for `iox2_node=`, or for iceoryx2's own API.

    Args:
        domain: Domain of the node; None = the domain of this process.

    Returns:
        An `iceoryx2.Node` that handles no signals and never cleans up after other participants. Do not wait on it.

    Raises:
        DomainError: The domain cannot be used.
        ServicePermissionError: The folder of the domain belongs to another user.
        OutOfSharedMemoryError: There is hardly any shared memory left.
        TransportError: This process has reached a limit: open files, address space, or size of files.
    """
    return create_node_for(None, domain)


def create_node_for(service: str | None, domain: Domain | None = None) -> types.Node:
    """Create a node as `create_node` does; an error names the service for which it is."""
    place = current_domain() if domain is None else domain
    doing = taking_part(place, service)
    check_folders(place, doing)
    clean_up_if_stale(place)
    found = before_start(place)
    if found is not None:
        raise found.error(doing)
    builder = iox2.NodeBuilder.new().config(_configuration(place))
    try:
        node = builder.signal_handling_mode(iox2.SignalHandlingMode.Disabled).create(iox2.ServiceType.Ipc)
    except _ERRORS as exc:
        found = after_failure(place)
        if found is not None:
            raise found.error(doing) from exc
        raise DomainError(message("no_node", doing=doing, cause=exc)) from exc
    return cast(types.Node, node)


def _configuration(domain: Domain) -> Any:
    try:
        file = domain.config_file
        config = iox2.config.default() if file is None else iox2.config.from_file(iox2.FilePath.new(file))
        config.global_cfg.root_path = iox2.Path.new(domain.root)
        config.global_cfg.prefix = iox2.FileName.new(domain.prefix)
    except _ERRORS as exc:
        where = domain.config_file or f"{domain.root}:{domain.prefix}"
        raise DomainError(message("no_configuration", file=where, cause=exc)) from exc
    config.global_cfg.node.cleanup_dead_nodes_on_creation = False
    config.global_cfg.node.cleanup_dead_nodes_on_destruction = False
    config.global_cfg.service.cleanup_dead_nodes_on_open = False
    return config


def domain_of(node: types.Node) -> Domain:
    """Return the domain of a node."""
    place = node.config.global_cfg
    root = place.root_path.to_string()
    folders = (os.path.relpath(path.to_string(), root) for path in (place.service_dir, place.node_dir))
    return Domain(root, place.prefix.to_string(), None, *folders)


def is_local(node: types.Node) -> bool:
    """Return whether a node is of `ServiceType.Local`: it has no files, and no other process can find it."""
    return not os.path.exists(monitor_of(node.id.value, domain_of(node)))


def clean_dead_nodes(domain: Domain, nodes: Collection[int]) -> None:
    """Let iceoryx2 remove what dead nodes left behind, as far as it can. Only the helper process may call it.

    Args:
        domain: Domain of the nodes.
        nodes: Ids of the nodes to remove.
    """
    try:
        states = iox2.Node.list(iox2.ServiceType.Ipc, _configuration(domain))
    except _ERRORS:
        return
    for state in states:
        if not isinstance(state, iox2.NodeState.Dead):
            continue
        node = cast(Any, state)[0]
        # iceoryx2 would look for a node without details in the folders of this process's own configuration.
        if node.id.value in nodes and node.details is not None:
            with contextlib.suppress(*_ERRORS):
                # A program of another project may be cleaning it up.
                node.blocking_remove_stale_resources(iox2.Duration.from_millis(limit("cleanup_node_ms")))


def open_pub_sub(node: types.Node, name: str, header: type[ctypes.Structure]) -> types.PubSubService | None:
    """Open a publish/subscribe service of `u8` slices with the QoS that it has.

    Returns:
        None if the service does not exist.

    Raises:
        ServiceError: The service exists and cannot be opened; the subclass and the message say why.
    """
    builder = _pub_sub_builder(node, name, header)

    def attempt() -> types.PubSubService | None:
        try:
            return cast(types.PubSubService, builder.open())
        except iox2.PublishSubscribeOpenError as exc:
            if str(exc) == "DoesNotExist":
                return None
            raise

    # Only subscribers open without creating, and they try again later.
    return _retried(attempt, node, name, "open the video service", hang_timeout=0.0)


def create_pub_sub(
    node: types.Node,
    name: str,
    header: type[ctypes.Structure],
    *,
    buffer_size: int,
    borrowed_max: int,
    history_size: int,
    safe_overflow: bool,
    max_subscribers: int,
    max_publishers: int,
) -> types.PubSubService:
    """Open a publish/subscribe service of `u8` slices with the QoS that it has, or create it with this QoS.

    The caller checks the numbers: inside iceoryx2 a zero aborts the process, except for the history.

    Raises:
        ServiceError: The service cannot be opened or created; the subclass and the message say why.
    """
    plain = _pub_sub_builder(node, name, header)
    builder = (
        plain.subscriber_max_buffer_size(buffer_size)
        .subscriber_max_borrowed_samples(borrowed_max)
        .history_size(history_size)
        .enable_safe_overflow(safe_overflow)
        .max_subscribers(max_subscribers)
        .max_publishers(max_publishers)
        .max_nodes(_MAX_NODES)
    )

    def attempt() -> types.PubSubService:
        try:
            return cast(types.PubSubService, plain.open())
        except iox2.PublishSubscribeOpenError as exc:
            if str(exc) != "DoesNotExist":
                raise
        return cast(types.PubSubService, builder.create())

    return _retried(attempt, node, name, "open or create the video service")


def _pub_sub_builder(node: types.Node, name: str, header: type[ctypes.Structure]) -> Any:
    builder = node.service_builder(iox2.ServiceName.new(check_service_name(name)))
    return builder.publish_subscribe(iox2.Slice[ctypes.c_uint8]).user_header(header)


def open_event(node: types.Node, name: str) -> types.EventService:
    """Open the event service of a name with any QoS, or create it with iceoryx2's defaults.

    Raises:
        ServiceError: It cannot be opened or created; the subclass and the message say why.
    """
    builder = node.service_builder(iox2.ServiceName.new(check_service_name(name))).event()
    return cast(types.EventService, _retried(builder.open_or_create, node, name, "open the event service"))


def create_notifier(node: types.Node, name: str) -> types.Notifier:
    """Create a notifier on the event service of a name; `notify()` wakes every subscriber of that name.

    Raises:
        ServiceError: The notifier or its service cannot be created; the subclass and the message say why.
    """
    return notifier_on(open_event(node, name), node, name)


def notifier_on(service: types.EventService, node: types.Node, name: str) -> types.Notifier:
    """Create a notifier on an event service that `node` has opened.

    Raises:
        ServiceError: The notifier cannot be created; the subclass and the message say why.
    """
    return cast(types.Notifier, _retried(service.notifier_builder().create, node, name, "create a notifier"))


class AckNotifier:
    """Tells a lossless publisher which frames a subscriber has taken (SPEC.md section 1).

    If frames are taken quickly, one notification serves several: each one is a system call.

    Args:
        node: The node of `subscriber`.
        name: Name of the service.
        subscriber: The subscriber that takes frames.

    Raises:
        ServiceError: The event service cannot be opened.
    """

    def __init__(self, node: types.Node, name: str, subscriber: types.Subscriber) -> None:
        self._notifier = create_notifier(node, name)
        self._taken = iox2.EventId.new(EVENT_TAKEN)
        self._found = iox2.EventId.new(event_found(subscriber.id.value))
        self._max_pending = max(1, subscriber.buffer_size // 2)
        self._pending = 0
        self._publisher: object = None
        self._last = 0.0

    def notify(self, sample: types.Sample | None) -> None:
        """Note a sample that was taken, or None when no sample is left, and notify the publisher if it is time."""
        is_new = is_slow = False
        if sample is not None:
            publisher, now = sample.header.publisher_id, time.monotonic()
            is_new, self._publisher = publisher != self._publisher, publisher
            is_slow, self._last = now - self._last > _QUICK, now
            self._pending += 1
        elif not self._pending:
            return
        if is_new or is_slow or sample is None or self._pending >= self._max_pending:
            self._pending = 0
            # Notifications are hints: a publisher that misses one checks by itself.
            with contextlib.suppress(iox2.NotifierNotifyError):
                if is_new:
                    self._notifier.notify_with_custom_event_id(self._found)
                self._notifier.notify_with_custom_event_id(self._taken)


def event_found(port: int) -> int:
    """Return the event with which the reader at a port says that it found another publisher (SPEC.md section 1)."""
    return limit("event_found_first") + port % limit("event_found_count")


def tell_publishers_changed(notifier: types.Notifier) -> None:
    """Notify every subscriber of a name that its publishers changed. Subscribers that miss this look at intervals."""
    try:
        notifier.notify_with_custom_event_id(iox2.EventId.new(EVENT_PUBLISHERS_CHANGED))
    except iox2.NotifierNotifyError:
        # The creator of the event service may have admitted fewer event ids.
        with contextlib.suppress(iox2.NotifierNotifyError):
            notifier.notify()


def create_listener(node: types.Node, name: str) -> types.Listener:
    """Create a listener on the event service of a name.

    When it wakes you, call `try_wait()` until it returns nothing, then receive frames until there are none.

    Raises:
        ServiceError: The listener or its service cannot be created; the subclass and the message say why.
    """
    builder = open_event(node, name).listener_builder()
    return cast(types.Listener, _retried(builder.create, node, name, "create a listener"))


def create_subscriber(node: types.Node, service: types.PubSubService, name: str) -> types.Subscriber:
    """Create a subscriber with the buffer size of the service.

    Raises:
        TooManyPortsError: The service has its maximum number of subscribers.
    """
    return cast(types.Subscriber, _retried(service.subscriber_builder().create, node, name, "create a subscriber"))


def create_publisher(
    node: types.Node, service: types.PubSubService, name: str, *, slice_len: int, chunks: int, loans: int
) -> types.Publisher:
    """Create a publisher with a fixed pool of memory.

    A growing pool (PowerOfTwo, BestFit) must not be smaller than iceoryx2's own worst case. When it is exhausted,
    iceoryx2 0.10.0 adds a segment with more chunks than it has counters for, and aborts the process (index out of
    bounds in port/details/segment_state.rs). A fixed pool returns OutOfMemory instead.

    Args:
        node: The node that opened `service`.
        service: The service.
        name: Name of the service.
        slice_len: Bytes of the largest frame, aux blob included.
        chunks: Number of frames that can exist at once.
        loans: Number of frames that can be loaned at once.

    Raises:
        TooManyPortsError: The service has its maximum number of publishers.
    """
    builder = (
        service.publisher_builder()
        .initial_max_slice_len(slice_len)
        .allocation_strategy(iox2.AllocationStrategy.Static)
        .override_sample_preallocation(chunks)
        .max_loaned_samples(loans)
        # RetryUntilDelivered would spin inside send() with the GIL held.
        .backpressure_strategy(iox2.BackpressureStrategy.DiscardData)
    )
    created = _retried(builder.create, node, name, "create a publisher", memory=slice_len * chunks)
    return cast(types.Publisher, created)


def _retried(
    attempt: Callable[[], _T],
    node: types.Node,
    name: str,
    doing: str,
    *,
    hang_timeout: float = _HANG_TIMEOUT,
    memory: int = 0,
) -> _T:
    """Retry while other participants create or remove the service, and after a clean-up behind a crashed one."""
    start = time.monotonic()
    cleaned = False
    while True:
        try:
            return attempt()
        except _ERRORS as exc:
            domain, problem, spent = domain_of(node), str(exc), time.monotonic() - start
            error = explain(exc, domain, name, doing)
            if isinstance(error, VersionMismatchError):
                raise error from exc
            if isinstance(error, (ServiceBrokenError, TransportError)) and not any(word in problem for word in _FLUX):
                # Check before the next attempt: a service that is out of reach stays so, and looks half created.
                found = after_failure(domain, memory, domain.service_files(name))
                if found is not None:
                    raise found.error(taking_part(domain, name)) from exc
            if any(word in problem for word in _FLUX) and spent < _FLUX_TIMEOUT:
                if not cleaned and spent > _USUAL_FLUX:
                    # A participant died over it.
                    cleaned = run_helper(domain)
                time.sleep(0.005)
                continue
            crashed = any(word in problem for word in HALF_CREATED)
            full = any(word in problem for word in FULL)
            # A stopped process may continue (each attempt takes iceoryx2 a second), a killed one takes a moment to end.
            again = spent < (hang_timeout if HANGS in problem else _KILL_GRACE if full else 0.0)
            if (crashed or full) and (again or not cleaned):
                # Even if no node looks dead at first: another helper may be cleaning up, and this one waits for it.
                if not cleaned or crashed or dead_nodes(domain):
                    cleaned = run_helper(domain) or cleaned
                if cleaned or again:
                    time.sleep(0.005)
                    continue
            raise error from exc
