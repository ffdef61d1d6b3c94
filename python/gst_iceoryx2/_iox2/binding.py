"""The one module that imports iceoryx2: nodes, services and ports, and its errors in words.

Everything here is made with the automatic clean-up of dead nodes switched off, because a second copy of iceoryx2 (the
GStreamer plugin) may live in this process: see `cleanup`, which does that work elsewhere.
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

from ..contract import limit, seconds
from ..errors import DomainError, ServiceBrokenError, TransportError, VersionMismatchError
from . import types
from .cleanup import clean_up_if_stale, run_helper
from .domain import Domain, current_domain
from .explain import FULL, HALF_MADE, HANGS, RELEASE, explain
from .leftovers import dead_nodes
from .obstacle import after_failure, before_start, in_folders, taking_part
from .service import check_service_name

EVENT_TAKEN: Final = limit("event_taken")
"""Event by which a reader tells that it has taken a frame (SPEC.md section 1)."""
EVENT_PUBLISHERS_CHANGED: Final = limit("event_publishers_changed")
"""Event by which a publisher tells that it came, got another port, or goes (SPEC.md section 1)."""

# How long a reader may take between two frames before each is announced by itself, seconds.
_QUICK: Final = seconds("quick_take")
# One node a port: subscribers, publishers, and whoever only looks.
_MAX_NODES: Final = limit("max_nodes")
# How long an opening is retried while others create or remove the service.
_PATIENCE: Final = seconds("flux_timeout")
# The same where one of them stopped or died half-way.
_HANGING_PATIENCE: Final = seconds("hanging_timeout")
# How long a process that was killed may take to end.
_LAST_BREATH: Final = seconds("kill_grace")
# How long creating and removing takes at most where nobody has died over it.
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

# Errors only: at lower levels the names of its loggers are dumps of whole objects, without end.
iox2.set_log_level_from_env_or(iox2.LogLevel.Error)


def _check_release() -> None:
    for info in Path(iox2.__file__).parents[1].glob("iceoryx2-*.dist-info"):
        found = info.name.removeprefix("iceoryx2-").removesuffix(".dist-info")
        if found != RELEASE:
            raise VersionMismatchError(
                f"the installed Python package iceoryx2 is release {found}, this package works with {RELEASE} only "
                f"(iceoryx2 refuses peers of another release): pip install iceoryx2=={RELEASE}"
            )


_check_release()


def create_node(domain: Domain | None = None) -> types.Node:
    """Make a participant of a domain, for `iox2_node=` or for iceoryx2's own interface.

    Args:
        domain: None for the domain of this process.

    Returns:
        An `iceoryx2.Node` that leaves signals and other participants alone. Do not wait on it.

    Raises:
        DomainError: The domain cannot be used.
        ServicePermissionError: Its folder belongs to another user.
        OutOfSharedMemoryError: There is hardly any shared memory left.
        TransportError: A limit of this process is in the way: open files, address space, size of files.
    """
    return _start(current_domain() if domain is None else domain, None)


def create_node_for(service: str, domain: Domain | None = None) -> types.Node:
    """As `create_node`, for a service that an error names."""
    return _start(current_domain() if domain is None else domain, service)


def _start(place: Domain, service: str | None) -> types.Node:
    check_folders(place, service)
    clean_up_if_stale(place)
    return _make_node(place, service)


def check_folders(place: Domain, service: str | None = None) -> None:
    """Refuse a domain whose folders belong to another user, or are links: others would choose what is removed there.

    Raises:
        DomainError: Something in it is not a folder.
        ServicePermissionError: It belongs to another user.
    """
    found = in_folders(place)
    if found is not None:
        raise found.error(taking_part(place, service))


def _make_node(place: Domain, service: str | None = None) -> types.Node:
    doing = taking_part(place, service)
    found = before_start(place)
    if found is not None:
        raise found.error(doing)
    try:
        return cast(
            types.Node,
            iox2.NodeBuilder.new()
            .config(_configuration(place))
            .signal_handling_mode(iox2.SignalHandlingMode.Disabled)
            .create(iox2.ServiceType.Ipc),
        )
    except _ERRORS as exc:
        found = after_failure(place)
        if found is not None:
            raise found.error(doing) from exc
        raise DomainError(f"cannot {doing}: iceoryx2 cannot make a node: {exc}") from exc


def _configuration(domain: Domain) -> Any:
    try:
        file = domain.config_file
        config = iox2.config.default() if file is None else iox2.config.from_file(iox2.FilePath.new(file))
        config.global_cfg.root_path = iox2.Path.new(domain.root)
        config.global_cfg.prefix = iox2.FileName.new(domain.prefix)
    except _ERRORS as exc:
        where = domain.config_file or f"{domain.root}:{domain.prefix}"
        raise DomainError(f"iceoryx2 cannot use the configuration {where}: {exc}") from exc
    config.global_cfg.node.cleanup_dead_nodes_on_creation = False
    config.global_cfg.node.cleanup_dead_nodes_on_destruction = False
    config.global_cfg.service.cleanup_dead_nodes_on_open = False
    return config


def domain_of(node: types.Node) -> Domain:
    """The domain in which a node takes part."""
    place = node.config.global_cfg
    root = place.root_path.to_string()
    folders = (os.path.relpath(path.to_string(), root) for path in (place.service_dir, place.node_dir))
    return Domain(root, place.prefix.to_string(), None, *folders)


def is_local(node: types.Node) -> bool:
    """Whether a node is of `ServiceType.Local`: for this process only, with no file that others could find."""
    place = domain_of(node)
    return not (place.nodes / f"{place.prefix}{node.id.value}.node_monitor").exists()


def clean_dead_nodes(domain: Domain, identifiers: Collection[str]) -> None:
    """Let iceoryx2 remove what dead nodes left, as far as it can. For the helper process alone: see `cleanup`.

    Args:
        domain: Where they are.
        identifiers: Ids of those that may be removed.
    """
    try:
        states = iox2.Node.list(iox2.ServiceType.Ipc, _configuration(domain))
    except _ERRORS:
        return
    for state in states:
        if not isinstance(state, iox2.NodeState.Dead):
            continue
        node = cast(Any, state)[0]
        # iceoryx2 would look for a node without details where the configuration of this process says.
        if str(node.id.value) in identifiers and node.details is not None:
            with contextlib.suppress(*_ERRORS):
                # Another process may be at it, one that is not ours.
                node.blocking_remove_stale_resources(iox2.Duration.from_millis(limit("cleanup_node_ms")))


def open_pub_sub(node: types.Node, name: str, header: type[ctypes.Structure]) -> types.PubSubService | None:
    """Open a publish/subscribe service of `u8` slices as it is; None if there is none.

    Raises:
        ServiceError: It is there and cannot be opened; the subclass and the message say why.
    """
    builder = _pub_sub_builder(node, name, header)

    def attempt() -> types.PubSubService | None:
        try:
            return cast(types.PubSubService, builder.open())
        except iox2.PublishSubscribeOpenError as exc:
            if str(exc) == "DoesNotExist":
                return None
            raise

    # Who opens only is a subscriber, which looks again later.
    return _patiently(attempt, node, name, "open the video service", hanging=0.0)


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
    """Open a publish/subscribe service of `u8` slices as it is, or create it like this.

    Zero aborts the process inside iceoryx2, for all but the history: the caller has judged the numbers.

    Raises:
        ServiceError: Neither works; the subclass and the message say why.
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

    return _patiently(attempt, node, name, "open or create the video service")


def _pub_sub_builder(node: types.Node, name: str, header: type[ctypes.Structure]) -> Any:
    builder = node.service_builder(iox2.ServiceName.new(check_service_name(name)))
    return builder.publish_subscribe(iox2.Slice[ctypes.c_uint8]).user_header(header)


def open_event(node: types.Node, name: str) -> types.EventService:
    """Open or create the event service of a name, demanding nothing.

    Raises:
        ServiceError: It cannot be had; the subclass and the message say why.
    """
    builder = node.service_builder(iox2.ServiceName.new(check_service_name(name))).event()
    attempt: Callable[[], types.EventService] = builder.open_or_create
    return _patiently(attempt, node, name, "open the event service")


def create_notifier(node: types.Node, name: str) -> types.Notifier:
    """Make a notifier on the event service of a name; `notify()` wakes every subscriber of that name.

    Raises:
        ServiceError: It cannot be had; the subclass and the message say why.
    """
    return notifier_on(open_event(node, name), node, name)


def notifier_on(service: types.EventService, node: types.Node, name: str) -> types.Notifier:
    """As `create_notifier`, on an event service that `node` has opened.

    Raises:
        ServiceError: It cannot be had; the subclass and the message say why.
    """
    attempt: Callable[[], types.Notifier] = service.notifier_builder().create
    return _patiently(attempt, node, name, "create a notifier")


def taken_signal(node: types.Node, name: str, port: types.Subscriber) -> Callable[[types.Sample | None], None]:
    """Make the call that tells a publisher that loses nothing what this port has taken (SPEC.md section 1).

    Args:
        node: The node that `port` belongs to.
        name: Name of the service.
        port: Who takes.

    Returns:
        To be called with each sample, and with None when no more is taken. Of frames that are taken quickly it tells
        now and then: each time is a system call.

    Raises:
        ServiceError: The event service cannot be had.
    """
    notifier, taken = create_notifier(node, name), iox2.EventId.new(EVENT_TAKEN)
    found = iox2.EventId.new(event_found(port.id.value))
    together = max(1, port.buffer_size // 2)
    publisher: object = None
    unsaid, last = 0, 0.0

    def tell(sample: types.Sample | None) -> None:
        nonlocal publisher, unsaid, last
        is_new = is_slow = False
        if sample is not None:
            before, publisher = publisher, sample.header.publisher_id
            is_new = publisher != before
            before_last, last = last, time.monotonic()
            is_slow = last - before_last > _QUICK
            unsaid += 1
        elif not unsaid:
            return
        if is_new or is_slow or sample is None or unsaid >= together:
            unsaid = 0
            # Hints like any notification: a publisher that misses them looks by itself.
            with contextlib.suppress(iox2.NotifierNotifyError):
                if is_new:
                    notifier.notify_with_custom_event_id(found)
                notifier.notify_with_custom_event_id(taken)

    return tell


def event_found(port: int) -> int:
    """Event by which the reader at a port tells that it has found another publisher (SPEC.md section 1)."""
    return limit("event_found_first") + port % limit("event_found_count")


def tell_publishers_changed(notifier: types.Notifier) -> None:
    """Notify every subscriber of a name that its publishers changed."""
    notifier.notify_with_custom_event_id(iox2.EventId.new(EVENT_PUBLISHERS_CHANGED))


def create_listener(node: types.Node, name: str) -> types.Listener:
    """Make a listener on the event service of a name; `try_wait()` until it returns nothing, then drain the frames.

    Raises:
        ServiceError: It cannot be had; the subclass and the message say why.
    """
    builder = open_event(node, name).listener_builder()
    attempt: Callable[[], types.Listener] = builder.create
    return _patiently(attempt, node, name, "create a listener")


def create_subscriber(node: types.Node, service: types.PubSubService, name: str) -> types.Subscriber:
    """Make a subscriber with the buffer that the service provides.

    Raises:
        TooManyPortsError: The service has as many as it admits.
    """
    attempt: Callable[[], types.Subscriber] = service.subscriber_builder().create
    return _patiently(attempt, node, name, "create a subscriber")


def create_publisher(
    node: types.Node, service: types.PubSubService, name: str, *, slice_len: int, chunks: int, loans: int
) -> types.Publisher:
    """Make a publisher with a fixed pool of memory.

    A pool that grows (PowerOfTwo, BestFit) must not be made smaller than iceoryx2's own worst case: when it is
    exhausted, iceoryx2 0.10.0 adds a segment with more chunks than it has counters for, and aborts the process (index
    out of bounds in port/details/segment_state.rs). A fixed pool answers OutOfMemory instead.

    Args:
        node: The node that opened `service`.
        service: The service.
        name: Its name.
        slice_len: Bytes of the largest frame, aux blob included.
        chunks: Frames that can exist at once.
        loans: Frames that can be in the making at once.

    Raises:
        TooManyPortsError: The service has as many as it admits.
    """
    attempt: Callable[[], types.Publisher] = (
        service.publisher_builder()
        .initial_max_slice_len(slice_len)
        .allocation_strategy(iox2.AllocationStrategy.Static)
        .override_sample_preallocation(chunks)
        .max_loaned_samples(loans)
        # RetryUntilDelivered would spin inside send() with the GIL held.
        .backpressure_strategy(iox2.BackpressureStrategy.DiscardData)
        .create
    )
    return _patiently(attempt, node, name, "create a publisher", memory=slice_len * chunks)


def _patiently(
    attempt: Callable[[], _T],
    node: types.Node,
    name: str,
    doing: str,
    *,
    hanging: float = _HANGING_PATIENCE,
    memory: int = 0,
) -> _T:
    """Try until the others are done creating and removing, and again after cleaning up behind a crash."""
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
                # Before anything is tried again: what is out of reach stays so, and looks half made.
                found = after_failure(domain, memory, domain.service_file(name, "PublishSubscribe"))
                if found is not None:
                    raise found.error(taking_part(domain, name)) from exc
            if any(word in problem for word in _FLUX) and spent < _PATIENCE:
                if not cleaned and spent > _USUAL_FLUX:
                    # Somebody died over it.
                    cleaned = run_helper(domain)
                time.sleep(0.005)
                continue
            crashed = any(word in problem for word in HALF_MADE)
            full = any(word in problem for word in FULL)
            # Somebody who is only stopped may go on; each attempt takes iceoryx2 a second. A killed one takes a moment.
            again = spent < (hanging if HANGS in problem else _LAST_BREATH if full else 0.0)
            if (crashed or full) and (again or not cleaned):
                # At first even where nobody looks dead: another helper may be at it, and this one waits for its turn.
                if not cleaned or crashed or dead_nodes(domain):
                    cleaned = run_helper(domain) or cleaned
                if cleaned or again:
                    time.sleep(0.005)
                    continue
            raise error from exc
