"""The sending side of a service: begin and send frames, end the stream, and serve subscribers that join late."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

from .._iox2 import binding, types
from .._iox2.cleanup import clean_up_if_due
from .._iox2.fork import leak
from .._iox2.obstacle import after_failure
from .._wire.header import NONE_U64
from .._wire.metas import encode_meta
from .._wire.numbers import real, whole
from .._wire.stamp import monotonic_ns
from ..contract import message, seconds
from ..errors import ClosedError, ForkedError, FormatError, FrameTimeoutError, TransportError
from . import _keeper
from ._layout import EOS_HEADER, FrameLayout, ended
from ._pool import Pool
from ._ports import Ports
from .loan import LoanedFrame, LoanPlan, Meta

_log: Final = logging.getLogger("gst_iceoryx2")

# Number of checks that a new subscriber is connected. One check is not enough, because the connection may be half
# established.
_LOOKS: Final = 3
# Time that waiting readers get to connect to each native publisher, and time between two checks, in seconds.
_CONNECTING: Final = seconds("connect")
_CONNECTING_STEP: Final = seconds("connect_look")
# Time between two checks of `wait_for_subscribers`, in seconds.
_CONNECT_STEP: Final = 0.005


class Sender(ABC):
    """The sending side of a service. Any thread may use it.

    Attributes:
        sequence: Number of samples sent, apart from ends of the stream.
        dropped: Number of samples not sent because no memory was free.
    """

    _operation: ClassVar[str]

    def __init__(self, ports: Ports) -> None:
        # Reentrant, because a signal handler may call close() between any two steps of the main thread.
        self._lock = threading.RLock()
        self._node: types.Node | None = ports.node
        self._events: types.EventService | None = ports.events
        self._notifier: types.Notifier | None = ports.notifier
        self._pool: Pool | None = ports.pool
        self._name = ports.name
        self._ended = False
        self._end_is_due = False
        self._known_subscribers = 0
        # Number of the latest native publisher that has waited for its readers.
        self._waited = 0
        self._domain = ports.domain
        self._looks = 0
        self._unmapped: set[str] = set()
        self._is_reported = False
        self._forked = False
        self.sequence = 0
        self.dropped = 0
        # Waiting subscribers connect now, because the first frame may also be the last one.
        binding.tell_publishers_changed(ports.notifier)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._pool is None

    def _wait_for_readers(self) -> None:
        """Give waiting readers time to connect before the first frame of each native publisher.

        A reader without a publisher only has a listener on the event service. It connects when it is notified, and it
        does not receive frames sent before that. A listener that failed to connect to one native publisher is not
        waited for again: it may belong to another program or to a stopped process.
        """
        # Read it once, because another thread may close the publisher.
        current = self._pool
        if current is None or current.number == self._waited:
            return
        with self._lock:
            pool = self._open_pool()
            number, expected = pool.number, self._listeners()
            if self._waited and pool.before is not None:
                expected = min(expected, pool.before)
                if self._notifier is not None:
                    binding.tell_publishers_changed(self._notifier)
        deadline = time.monotonic() + _CONNECTING
        if self._is_missing(expected):
            # Connect the readers of this process, which may be used by this very thread.
            _keeper.look_around()
        while self._is_missing(expected) and time.monotonic() < deadline:
            time.sleep(_CONNECTING_STEP)
        self._waited = number

    def _is_missing(self, expected: int) -> bool:
        """Return whether any reader with a listener is not connected yet. If so, notify all readers."""
        with self._lock:
            if self._pool is None or self._notifier is None:
                return False
            if self._pool.subscribers >= min(expected, self._listeners()):
                return False
            binding.tell_publishers_changed(self._notifier)
            return True

    def _listeners(self) -> int:
        return 0 if self._events is None else self._events.dynamic_config.number_of_listeners

    def _dispatch(self, loan: types.SampleMutUninit, header: bytes) -> int:
        # The loan contains an earlier sample's header, so overwrite all of it.
        ctypes.memmove(loan.user_header_ptr, header, len(header))
        try:
            receivers = loan.assume_init().send()
        except (binding.SendError, binding.ConnectionFailure) as exc:
            text = message("iceoryx2_failed", operation=self._operation, service=self._name, cause=exc)
            raise TransportError(text) from exc
        if self._notifier is not None:
            self._notifier.notify()
        return receivers

    def end(self) -> int:
        """Send the end of the stream and return the number of subscribers that receive it.

        Raises:
            ClosedError: This sender is closed.
        """
        self._wait_for_readers()
        with self._lock:
            pool = self._open_pool()
            self._ended = True
            return self._send_end(pool)

    @abstractmethod
    def _send_end(self, pool: Pool) -> int:
        """Send the end of the stream. If no memory is free, set `_end_is_due`, so that `tend` tries again."""

    def subscribers(self) -> int:
        """Connect new subscribers and return the total number of subscribers.

        Raises:
            ClosedError: This sender is closed.
        """
        with self._lock:
            pool = self._open_pool()
            pool.update_connections()
            return pool.subscribers

    def wait_for_subscribers(self, n: int, timeout: float | None) -> int:
        """Wait until at least `n` subscribers are connected; see `VideoFramePublisher.wait_for_subscribers`."""
        n = whole(n, "n")
        deadline = None if timeout is None else time.monotonic() + real(timeout, "timeout", "seconds")
        while (there := self.subscribers()) < n:
            if deadline is not None and time.monotonic() >= deadline:
                raise FrameTimeoutError(
                    f"{there} of {n} subscribers are connected to {self._name!r} after {timeout} s: "
                    "check that they run, as the same user and in the same iceoryx2 domain"
                )
            time.sleep(_CONNECT_STEP)
        return there

    def tend(self) -> None:
        """Serve subscribers that joined since the last frame, and clean up after dead ones; see `_keeper`."""
        with self._lock:
            pool = self._pool
            if pool is None:
                return
            pool.update_connections()
            known, self._known_subscribers = self._known_subscribers, pool.subscribers
            if self._known_subscribers > known:
                self._end_is_due |= self._ended and not pool.keeps_history
                if self._notifier is not None:
                    self._notifier.notify()
                self._looks = _LOOKS
            if self._looks:
                self._reach_all(pool)
            if self._end_is_due:
                self._send_end(pool)
        clean_up_if_due(self._domain)

    def _reach_all(self, pool: Pool) -> None:
        """Connect subscribers that could not connect because of a limit of this process, once the limit is raised.

        iceoryx2 tries to connect only once per port, so a new port is created.
        """
        # If no descriptor is free for this check, none is free for a subscriber either.
        with contextlib.suppress(OSError):
            before, self._unmapped = self._unmapped, pool.unmapped(self._domain)
            if not self._unmapped & before:
                self._looks -= 1
                return
        obstacle = after_failure(self._domain)
        if obstacle is not None:
            if not self._is_reported:
                self._is_reported = True
                _log.warning("%s", obstacle.error(message("send_to_subscriber", service=self._name)))
            return
        self._looks = 0
        # If a limit was not the cause, a new port would not help.
        if self._is_reported:
            self._is_reported = False
            pool.renew()
            self._end_is_due |= self._ended
            if self._notifier is not None:
                binding.tell_publishers_changed(self._notifier)

    def close(self) -> None:
        """Leave the service. Sent frames are still delivered. Idempotent."""
        with self._lock:
            pool, self._pool = self._pool, None
            notifier, self._notifier = self._notifier, None
            self._events = self._node = None
        if pool is not None:
            pool.close()
            # The last reference to the pool keeps the service open.
            del pool
        if notifier is not None:
            # Notified subscribers leave the service, so that the next publisher can create it again.
            binding.tell_publishers_changed(notifier)

    def abandon(self) -> None:
        """In a forked child, keep all native objects until the process ends, and make every call raise ForkedError."""
        # The lock may be held by a thread of the parent, which does not exist here.
        self._lock = threading.RLock()
        self._forked = True
        for native in (self._pool, self._notifier, self._events, self._node):
            leak(native)
        self._pool = self._notifier = self._events = self._node = None

    def _open_pool(self) -> Pool:
        if self._pool is not None:
            return self._pool
        if self._forked:
            raise ForkedError(message("forked", service=self._name))
        raise ClosedError(f"this publisher of {self._name!r} is closed")


class _Sent(NamedTuple):
    """A sent frame: number of its native publisher, address and size of its bytes, and its header."""

    number: int
    address: int
    size: int
    header: bytes


class FrameSender(Sender):
    """The sending side of a service of frames, shared by a publisher and its loans."""

    _operation = "send a frame"

    def __init__(self, ports: Ports, aux_bytes: int) -> None:
        self._aux_bytes = aux_bytes
        # The last sent frame. If the service has a history, the history keeps its memory valid.
        self._last: _Sent | None = None
        super().__init__(ports)

    def begin(self, layout: FrameLayout, captured_at: int) -> LoanedFrame:
        """Begin a frame whose metas are still unknown.

        Raises:
            LoanLimitError: 8 frames are already being filled.
            OutOfSharedMemoryError: The frame is larger than all previous frames, and there is not enough shared memory
                for it.
            ClosedError: This sender is closed.
        """
        reserve = max(self._aux_bytes, layout.aux.size) if self._aux_bytes else 0
        return self._begin(layout, layout.size, reserve, captured_at)

    def begin_with(self, layout: FrameLayout, size: int, metas: Sequence[Meta], captured_at: int) -> LoanedFrame:
        """Begin a frame of `size` pixel bytes and reserve room for all of its metas.

        Raises:
            FormatError: A meta cannot be represented, or this publisher does not send metas.
            LoanLimitError: 8 frames are already being filled.
            OutOfSharedMemoryError: The frame is larger than all previous frames, and there is not enough shared memory
                for it.
            ClosedError: This sender is closed.
        """
        records = _records(metas)
        if records and not self._aux_bytes:
            raise FormatError(f"this publisher of {self._name!r} was created with aux_bytes=0, so it cannot send metas")
        reserve = layout.aux.size + sum(4 + len(record) for record in records) if self._aux_bytes else 0
        frame = self._begin(layout, size, reserve, captured_at)
        frame.metas = records
        return frame

    def _begin(self, layout: FrameLayout, size: int, reserve: int, captured_at: int) -> LoanedFrame:
        with self._lock:
            pool = self._open_pool()
            loan = pool.loan(size + reserve)
            return LoanedFrame()._fill(
                loan, LoanPlan(layout, size, reserve, pool.anchor, pool.number), captured_at, self._send
            )

    def _send(self, frame: LoanedFrame, loan: types.SampleMutUninit | None, plan: LoanPlan) -> int:
        """Send a filled frame. This consumes the loan."""
        layout, size, reserve, anchor, _ = plan
        records = _records(frame.metas)
        while True:
            self._wait_for_readers()
            with self._lock:
                pool = self._open_pool()
                loan = loan and pool.sendable(loan, anchor, size + reserve)
                if loan is None:
                    self.dropped += 1
                    return 0
                if pool.number != self._waited:
                    # Another thread replaced the native publisher, so wait for the readers of the new one first.
                    anchor = pool.anchor
                    continue
                blob = self._blob(frame, layout, records, reserve)
                header = layout.header(
                    _number(frame.pts),
                    _number(frame.dts),
                    _number(frame.duration),
                    self.sequence if frame.offset is None else frame.offset,
                    frame.flags,
                    reserve if blob else 0,
                )
                if blob:
                    ctypes.memmove(loan.payload_ptr + size, blob, len(blob))
                last = _Sent(pool.number, loan.payload_ptr, size + reserve, header)
                receivers = self._dispatch(loan, header)
                self._last = last
                self.sequence += 1
                self._ended = self._end_is_due = False
                return receivers

    def _blob(self, frame: LoanedFrame, layout: FrameLayout, records: Sequence[bytes], reserve: int) -> bytes:
        if not reserve:
            return b""
        try:
            blob = layout.aux.blob(monotonic_ns(), frame.captured_at, self.sequence, records, reserve)
        except (OverflowError, struct.error) as exc:
            raise FormatError(f"captured_at {frame.captured_at} is not a valid number of nanoseconds: {exc}") from exc
        # If even the caps do not fit, the blob is omitted (SPEC.md section 3).
        return blob if len(blob) <= reserve else b""

    def _send_end(self, pool: Pool) -> int:
        # The end repeats the last picture, because a subscriber that joins late receives only this sample.
        last, header = self._last, EOS_HEADER
        is_kept = last is not None and last.number == pool.number and pool.keeps_history
        loan = pool.loan(last.size if last is not None and is_kept else 1)
        # If subscribers hold all memory, `tend` sends the end once some memory is free.
        self._end_is_due = loan is None
        if loan is None:
            return 0
        if last is not None and is_kept and last.number == pool.number:
            header = ended(last.header)
            ctypes.memmove(loan.payload_ptr, last.address, last.size)
            self._last = last._replace(address=loan.payload_ptr)
        else:
            self._last = None
        return self._dispatch(loan, header)


def _number(value: int | None) -> int:
    return NONE_U64 if value is None else value


def _records(metas: Sequence[Meta]) -> list[bytes]:
    return [meta if isinstance(meta, bytes) else encode_meta(meta) for meta in metas] if metas else []
