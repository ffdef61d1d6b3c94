"""A subscriber's port: connected to a service while the service has a publisher, also across restarts."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, Literal, NoReturn, Protocol, TypeVar

from .._iox2 import binding, types
from .._iox2.cleanup import clean_up_if_due
from .._iox2.explain import taking_part
from .._iox2.fork import leak
from .._iox2.obstacle import after_failure
from .._iox2.types import Node
from .._wire.header import VideoFrameHeader
from .._wire.numbers import real
from ..contract import message
from ..errors import BorrowLimitError, ClosedError, ForkedError, Iox2VideoError, TransportError
from . import _keeper
from ._link import ClosedReader, Connector, Link
from ._memory import Ledger
from ._waiting import Waiter
from .config import Qos


class Item(Protocol):
    """What a subscriber returns: a frame, or the end of the stream."""

    def is_eos(self) -> bool:
        """Whether this marks the end of the stream."""


T = TypeVar("T", bound=Item)
Made = TypeVar("Made", bound=Item, covariant=True)
Self = TypeVar("Self", bound="Reception[Any]")


class SampleIntake(Protocol[Made]):
    """Turns the samples of one service into items.

    Attributes:
        ledger: Counts the held items.
    """

    ledger: Ledger

    def begin(self, *, was_first: bool, has_sole_publisher: bool) -> None:
        """Prepare for a new connection; see `DropCounter`."""

    def settle(self) -> None:
        """Do the counting that was deferred until the latest item had been delivered."""

    def take(self, sample: types.Sample, port: types.Subscriber) -> Made | None:
        """Return an item; None if the sample gives none."""

    def following(self) -> Made | None:
        """Return an item that follows the latest one without another sample; None if there is none."""


class Reception(Generic[T]):
    """A subscriber's port: connects to publishers, disconnects from them, and takes samples.

    Args:
        name: Name of the service, already checked.
        node: Node to use; None creates one.
        busy_wait: Seconds for which each wait polls before it sleeps.
        make_intake: Makes the intake; its argument is whether all publishers are in this process.
        header: Type of the service's user header.

    Raises:
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        ValueError: `busy_wait` is negative or NaN.
        TypeError: `busy_wait` is not a number.
    """

    # A reader has a listener, which is what a stream on demand starts and runs for (SPEC.md section 1).
    _is_reader = True

    def __init__(
        self,
        name: str,
        node: Node | None,
        busy_wait: float,
        make_intake: Callable[[bool], SampleIntake[T]],
        header: type[ctypes.Structure] = VideoFrameHeader,
    ) -> None:
        self._name = name
        # Reentrant, because a signal handler may call close() between any two steps of the main thread.
        self._lock = threading.RLock()
        self._busy_wait = real(busy_wait, "busy_wait", "seconds")
        if self._busy_wait < 0:
            raise ValueError(f"busy_wait is {busy_wait}, but must be at least 0 seconds")
        self._pending: T | None = None
        self._forked = False
        node = binding.create_node_for(name) if node is None else node
        self._intake = make_intake(binding.is_local(node))
        self._connector: Connector | None = Connector(node, name, header)
        self._domain = binding.domain_of(node)
        self._link: Link | None = None
        self._waiter: Waiter | None = None
        # Connect before the listener exists and again afterwards, so that a publisher that starts in between is not
        # missed.
        self._connect()
        listener = binding.create_listener(node, name) if self._is_reader else None
        try:
            self._waiter = Waiter(listener)
        except OSError as exc:
            # The process cannot even open a pipe.
            domain = binding.domain_of(node)
            obstacle = after_failure(domain)
            raise exc if obstacle is None else obstacle.error(taking_part(domain, name)) from exc
        self._connect()
        _keeper.adopt(self)

    @property
    def service_name(self) -> str:
        """Name of the service."""
        return self._name

    @property
    def qos(self) -> Qos | None:
        """Quality of service chosen by the creator of the service; None while there is no publisher."""
        link = self._link
        return None if link is None else link.qos

    @property
    def is_connected(self) -> bool:
        """Whether this subscriber is connected: True from the first publisher's start until the last one is gone."""
        return self._link is not None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._connector is None

    def close(self) -> None:
        """Stop receiving. A waiting thread gets ClosedError immediately. Idempotent.

        Held frames and their arrays stay valid. Until they are released, the service still counts this subscriber.
        """
        with self._lock:
            waiter, self._waiter = self._waiter, None
            link, self._link = self._link, None
            self._connector = self._pending = None
        self._leave(link)
        _keeper.dismiss(self)
        if waiter is not None:
            waiter.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _next(self) -> T | None:
        """Return the next valid frame, or None. The caller must hold the lock."""
        while (frame := self._take()) is False:
            pass
        return frame

    def _take(self) -> T | Literal[False] | None:
        """Return the next frame, False for an invalid one, or None. The caller must hold the lock."""
        pending, self._pending = self._pending, None
        link = self._link or self._connect()
        if pending is not None or link is None:
            return pending
        port, intake = link.subscriber, self._intake
        try:
            # Check our own count, because iceoryx2 counts held frames per publisher port. A publisher gets a new port
            # when it restarts or sends larger frames.
            if intake.ledger.is_full and port.has_samples():
                link.tell_taken(None)
                self._refuse_to_borrow()
            sample = port.receive()
        except (binding.ReceiveError, binding.ConnectionFailure) as exc:
            self._explain(exc)
        if sample is None:
            intake.settle()
            link.tell_taken(None)
            self._let_go_if_over(link)
            return None
        link.tell_taken(sample)
        frame = intake.take(sample, port)
        if frame is not None:
            self._pending = intake.following()
        return frame or False

    def _has_waiting(self) -> bool:
        """Return whether `_take` has something to take."""
        link = self._link
        # The next receive reports a connection error.
        with contextlib.suppress(binding.ConnectionFailure):
            return self._pending is not None or (link is not None and link.subscriber.has_samples())
        return True

    def _let_go_if_over(self, link: Link) -> None:
        now, is_held = time.monotonic(), self._intake.ledger.held > 0
        if link.is_over(now, is_held=is_held):
            self._link = None
            if self._connector is not None:
                self._connector.was_first = True
            return
        is_cut_off = link.is_cut_off(now)
        if is_cut_off is None or self._connector is None:
            return
        if not is_cut_off:
            self._connector.is_well()
            return
        self._link = None
        self._connector.give_up(link)
        self._leave(link)

    def _leave(self, link: Link | None) -> None:
        """Disconnect. While frames are held, the port stays in the service, and a lossless publisher waits for it."""
        ledger = self._intake.ledger
        if link is not None and link.is_waited_for and ledger.held:
            _keeper.adopt_closed(ClosedReader(link, ledger).discard)

    def _connect(self) -> Link | None:
        if self._connector is None:
            self._refuse()
        if self._link is None:
            self._link = link = self._connector.connect()
            if link is not None:
                self._intake.ledger.limit = link.qos.borrowed_max
                self._intake.begin(was_first=self._connector.was_first, has_sole_publisher=link.has_sole_publisher)
        return self._link

    def _tend(self) -> None:
        """Connect or disconnect, and wake a sleeping thread if a frame is waiting; see `_keeper`."""
        with self._lock:
            link, waiter = self._link, self._waiter
            try:
                if link is None:
                    has_news = self._connector is not None and self._connect() is not None
                else:
                    has_news = link.subscriber.has_samples()
                    if not has_news:
                        self._let_go_if_over(link)
            except (Iox2VideoError, binding.ConnectionFailure):
                # The next call that receives raises the same error.
                has_news = True
        if has_news and waiter is not None:
            waiter.nudge()
        # Until a process cleans up, a killed publisher counts as alive and its memory stays allocated.
        clean_up_if_due(self._domain)

    def _open_waiter(self) -> Waiter:
        if self._waiter is None:
            self._refuse()
        return self._waiter

    def _refuse(self) -> NoReturn:
        if self._forked:
            raise ForkedError(message("forked", service=self._name))
        raise ClosedError(f"this subscriber of {self._name!r} is closed")

    def _refuse_to_borrow(self) -> NoReturn:
        ledger = self._intake.ledger
        raise BorrowLimitError(message("borrow_limit", service=self._name, held=ledger.held, limit=ledger.limit))

    def _explain(self, exc: Exception) -> NoReturn:
        if "ExceedsMaxBorrows" in str(exc):
            self._refuse_to_borrow()
        text = message("iceoryx2_failed", operation="receive", service=self._name, cause=exc)
        raise TransportError(text) from exc

    def _abandon(self) -> None:
        # The lock may be held by a thread of the parent, which does not exist here.
        self._lock = threading.RLock()
        self._forked = True
        for native in (self._link, self._connector, self._waiter):
            leak(native)
        self._link = self._connector = self._waiter = self._pending = None

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: create {type(self).__name__}({self._name!r}) in the process that receives"
        )
