"""Create nodes, services and ports. Only this module imports iceoryx2.

The automatic clean-up of dead nodes is disabled for everything created here, because this process may contain a second
copy of iceoryx2 (the GStreamer plugin). `cleanup` does that work in a separate process.
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
from ..errors import DomainError, ServiceBrokenError, TransportError, VersionMismatchError, printable
from . import types
from .cleanup import clean_up_if_stale, run_helper
from .domain import Domain, current_domain
from .explain import FULL, HALF_CREATED, HANGS, RELEASE, explain, taking_part
from .liveness import dead_nodes, monitor_of
from .obstacle import after_failure, before_start, check_folders
from .service_name import check_name

EVENT_TAKEN: Final = limit("event_taken")
"""ID of the event with which a reader signals that it has taken frames (SPEC.md section 1)."""
EVENT_PUBLISHERS_CHANGED: Final = limit("event_publishers_changed")
"""ID of the event with which a publisher signals that it starts, changes its port, or leaves (SPEC.md section 1)."""

EVENT_KEYFRAME_WANTED: Final = limit("event_keyframe_wanted")
"""ID of the event with which a reader of packets asks for a keyframe (SPEC.md section 9)."""

# If frames are taken at shorter intervals than this, one notification covers several frames.
_QUICK: Final = seconds("quick_take")
# Each subscriber, publisher and observer has its own node.
_MAX_NODES: Final = limit("max_nodes")
# How long to retry while another participant creates or removes the service.
_FLUX_TIMEOUT: Final = seconds("flux_timeout")
# How long to retry if that participant stopped or died halfway.
_HANG_TIMEOUT: Final = seconds("hanging_timeout")
# Longest time that a killed process takes to end.
_KILL_GRACE: Final = seconds("kill_grace")
# Longest time that creating or removing takes if no participant dies while doing it.
_USUAL_FLUX: Final = seconds("flux_usual")

_FLUX: Final = ("SystemInFlux", "IsMarkedForDestruction", "AlreadyExists", "IsBeingCreatedByAnotherInstance")
LoanError: Final[type[Exception]] = iox2.LoanError
ReceiveError: Final[type[Exception]] = iox2.ReceiveError
SendError: Final[type[Exception]] = iox2.SendError
ConnectionFailure: Final[type[Exception]] = iox2.ConnectionFailure
# The binding's errors do not share a base class.
_ERRORS: Final[tuple[type[Exception], ...]] = tuple(
    kind for kind in vars(iox2).values() if isinstance(kind, type) and issubclass(kind, Exception)
)

_T = TypeVar("_T")

# Only log errors, because at lower levels the logger names are dumps of whole objects.
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
        An `iceoryx2.Node` that does not handle signals and never cleans up after other participants. Do not wait on it.

    Raises:
        DomainError: The domain cannot be used.
        ServicePermissionError: The domain's folder belongs to another user.
        OutOfSharedMemoryError: Shared memory is almost full.
        TransportError: This process has reached a limit on open files, address space, or file size.
    """
    return create_node_for(None, domain)


def create_node_for(service: str | None, domain: Domain | None = None, about: str | None = None) -> types.Node:
    """Create a node as `create_node` does.

    Args:
        service: Service that needs the node, for error messages.
        domain: Domain of the node; None = the domain of this process.
        about: What the node does, as `iox2-video info` shows it; shortened to what iceoryx2 permits. None = nothing.
    """
    place = current_domain() if domain is None else domain
    doing = taking_part(place, service)
    check_folders(place, doing)
    clean_up_if_stale(place)
    found = before_start(place)
    if found is not None:
        raise found.error(doing)
    builder = iox2.NodeBuilder.new().config(_configuration(place))
    if about is not None:
        # iceoryx2 only takes ASCII.
        text = printable(about).encode("ascii", "replace").decode("ascii")
        builder = builder.name(iox2.NodeName.new(text[: iox2.NodeName.max_len()]))
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
    """Return whether a node is of `ServiceType.Local`, so that it has no files and other processes cannot find it."""
    return not os.path.exists(monitor_of(node.id.value, domain_of(node)))


def clean_dead_nodes(domain: Domain, nodes: Collection[int]) -> None:
    """Let iceoryx2 remove the resources of dead nodes, as far as it can. Only the helper process may call this.

    Args:
        domain: Domain of the nodes.
        nodes: IDs of the nodes to remove.
    """
    try:
        states = iox2.Node.list(iox2.ServiceType.Ipc, _configuration(domain))
    except _ERRORS:
        return
    for state in states:
        if not isinstance(state, iox2.NodeState.Dead):
            continue
        node = cast(Any, state)[0]
        # For a node without details, iceoryx2 would search the folders in this process's own configuration.
        if node.id.value in nodes and node.details is not None:
            with contextlib.suppress(*_ERRORS):
                # Another program may be cleaning it up at the same time.
                node.blocking_remove_stale_resources(iox2.Duration.from_millis(limit("cleanup_node_ms")))


def open_pub_sub(node: types.Node, name: str, header: type[ctypes.Structure]) -> types.PubSubService | None:
    """Open an existing publish/subscribe service of `u8` slices, whatever its QoS.

    Returns:
        The service; None if it does not exist.

    Raises:
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
    """
    builder = _pub_sub_builder(node, name, header)

    def attempt() -> types.PubSubService | None:
        try:
            return cast(types.PubSubService, builder.open())
        except iox2.PublishSubscribeOpenError as exc:
            if str(exc) == "DoesNotExist":
                return None
            raise

    # No timeout, because only subscribers open without creating, and they try again later.
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
    """Open a publish/subscribe service of `u8` slices, whatever its QoS, or create it with the given QoS.

    The caller must check the numbers, because a zero aborts the process inside iceoryx2, except for the history.

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
    builder = node.service_builder(iox2.ServiceName.new(check_name(name)))
    return builder.publish_subscribe(iox2.Slice[ctypes.c_uint8]).user_header(header)


def open_event(node: types.Node, name: str) -> types.EventService:
    """Open the event service with a given name, whatever its QoS, or create it with iceoryx2's defaults.

    Raises:
        ServiceError: The service cannot be opened or created; the subclass and the message say why.
    """
    builder = node.service_builder(iox2.ServiceName.new(check_name(name))).event()
    return cast(types.EventService, _retried(builder.open_or_create, node, name, "open the event service"))


def create_notifier(node: types.Node, name: str) -> types.Notifier:
    """Create a notifier on the event service with a given name. Its `notify()` wakes all subscribers of the service.

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
    """Notifies a lossless publisher of the frames that a subscriber has taken (SPEC.md section 1).

    Each notification is a system call, so one notification covers several frames if they are taken quickly.

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
        """Record a taken sample, or None when no sample is left, and notify the publisher if a notification is due."""
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
            # Notifications are only hints, because a publisher that misses one checks by itself.
            with contextlib.suppress(iox2.NotifierNotifyError):
                if is_new:
                    self._notifier.notify_with_custom_event_id(self._found)
                self._notifier.notify_with_custom_event_id(self._taken)


def event_found(port: int) -> int:
    """Return the ID of the event with which a port's reader signals that it found a publisher (SPEC.md section 1)."""
    return limit("event_found_first") + port % limit("event_found_count")


def tell_publishers_changed(notifier: types.Notifier) -> None:
    """Notify all subscribers of a service that its publishers have changed.

    Subscribers that miss this notification check at intervals.
    """
    try:
        notifier.notify_with_custom_event_id(iox2.EventId.new(EVENT_PUBLISHERS_CHANGED))
    except iox2.NotifierNotifyError:
        # The creator of the event service may have allowed fewer event IDs.
        with contextlib.suppress(iox2.NotifierNotifyError):
            notifier.notify()


def ask_for_keyframe(notifier: types.Notifier) -> None:
    """Ask the publisher of a service of packets for a keyframe (SPEC.md section 9)."""
    # The request is only a hint, because keyframes come anyway.
    with contextlib.suppress(iox2.NotifierNotifyError):
        notifier.notify_with_custom_event_id(iox2.EventId.new(EVENT_KEYFRAME_WANTED))


def create_listener(node: types.Node, name: str) -> types.Listener:
    """Create a listener on the event service with a given name.

    When it wakes up, call `try_wait()` until it returns an empty list, then receive frames until none is left.

    Raises:
        ServiceError: The listener or its service cannot be created; the subclass and the message say why.
    """
    builder = open_event(node, name).listener_builder()
    return cast(types.Listener, _retried(builder.create, node, name, "create a listener"))


def create_subscriber(node: types.Node, service: types.PubSubService, name: str) -> types.Subscriber:
    """Create a subscriber with the buffer size of the service.

    Raises:
        TooManyPortsError: The service already has its maximum number of subscribers.
    """
    return cast(types.Subscriber, _retried(service.subscriber_builder().create, node, name, "create a subscriber"))


def create_publisher(
    node: types.Node, service: types.PubSubService, name: str, *, slice_len: int, chunks: int, loans: int
) -> types.Publisher:
    """Create a publisher with a memory pool of fixed size.

    With a growing pool (PowerOfTwo, BestFit), a limit below iceoryx2's own worst case is unsafe. When such a pool is
    exhausted, iceoryx2 0.10.0 adds a segment with more chunks than it has counters for, and aborts the process (index
    out of bounds in port/details/segment_state.rs). A fixed pool returns OutOfMemory instead.

    Args:
        node: The node that opened `service`.
        service: The service.
        name: Name of the service.
        slice_len: Size of the largest frame in bytes, including the aux blob.
        chunks: Maximum number of frames that exist at once.
        loans: Maximum number of frames that are loaned at once.

    Raises:
        TooManyPortsError: The service already has its maximum number of publishers.
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
    """Retry while other participants create or remove the service, and after cleaning up a crashed participant."""
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
                # Check before the next attempt. If a limit makes the service inaccessible, it looks half created and
                # retrying does not help.
                found = after_failure(domain, memory, domain.service_files(name))
                if found is not None:
                    raise found.error(taking_part(domain, name)) from exc
            if any(word in problem for word in _FLUX) and spent < _FLUX_TIMEOUT:
                if not cleaned and spent > _USUAL_FLUX:
                    # A participant died while creating or removing the service.
                    cleaned = run_helper(domain)
                time.sleep(0.005)
                continue
            crashed = any(word in problem for word in HALF_CREATED)
            full = any(word in problem for word in FULL)
            # A stopped process may continue, and a killed process takes a moment to end. Each attempt on a hanging
            # service takes a second.
            again = spent < (hang_timeout if HANGS in problem else _KILL_GRACE if full else 0.0)
            if (crashed or full) and (again or not cleaned):
                # Run the helper once even if no node looks dead, because it waits for another helper that may be
                # cleaning up.
                if not cleaned or crashed or dead_nodes(domain):
                    cleaned = run_helper(domain) or cleaned
                if cleaned or again:
                    time.sleep(0.005)
                    continue
            raise error from exc
