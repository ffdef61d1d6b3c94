"""A publisher's memory: how much it needs, whether there is that much, and what happens when it runs out.

A native publisher has a fixed number of equal chunks (`create_publisher` says why). For a larger frame it is replaced.
Frames of the old native publisher stay valid while they are held.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import time
from typing import Final

from .._iox2 import binding, types
from .._iox2.domain import Domain
from .._iox2.fork import leak
from .._iox2.limits import file_size
from .._iox2.objects import SHARED_MEMORY
from ..contract import limit, seconds
from ..errors import Iox2VideoError, LoanLimitError, OutOfSharedMemoryError, TransportError
from ._mapping import unmapped_connections

_log: Final = logging.getLogger("gst_iceoryx2")

LOANS: Final = limit("max_loans")
"""Frames that one publisher can have in the making at once."""

# 149 MB for BGR at 1920x1080. The worst case, 8 subscribers that all hold what they may, would be 1 GB.
_CHUNKS: Final = limit("first_chunks")
# Frames up to this size share the first pool.
_FIRST_BYTES: Final = limit("first_frame_bytes")
# Sizes that creep up get a new pool only now and then.
_GROWTH_STEPS: Final = limit("growth_steps")
_PAGE: Final = limit("page_bytes")
# How long subscribers that were there before the memory get to find it before it goes, also on a busy machine. Nothing
# tells whether they have.
_FINDING: Final = seconds("find")
_STEP: Final = seconds("find_look")
# What iceoryx2 adds to each chunk: its own header, ours and alignment, rounded up.
_CHUNK_OVERHEAD: Final = limit("chunk_overhead_bytes")


class Pool:
    """The native publisher of a service, replaced by one with larger chunks when a frame needs them.

    Attributes:
        anchor: A small loan that keeps the memory mapped while arrays over it exist; another one in each pool.
        number: How many native publishers there have been.
        before: Subscribers that the native publisher before the present one had; None for the first one.
    """

    __slots__ = (
        "_chunks",
        "_is_exhausted",
        "_name",
        "_node",
        "_publisher",
        "_service",
        "_settled_at",
        "_slice_len",
        "_used",
        "anchor",
        "before",
        "number",
    )

    def __init__(
        self, node: types.Node, service: types.PubSubService, name: str, max_bytes: int, max_frames: int
    ) -> None:
        """Make the first native publisher.

        Args:
            node: The node that opened `service`.
            service: The service.
            name: Its name.
            max_bytes: Bytes of the largest frame, aux blob included; 0 = as they come.
            max_frames: Number of chunks; 0 = the default.

        Raises:
            OutOfSharedMemoryError: There is not enough.
            TooManyPortsError: The service has as many publishers as it admits.
        """
        config = service.static_config
        receiver = config.subscriber_max_buffer_size + config.subscriber_max_borrowed_samples
        self._node = node
        self._service = service
        self._name = name
        self._publisher: types.Publisher | None = None
        self.anchor: types.SampleMutUninit | None = None
        self._used = False
        self._is_exhausted = False
        self._slice_len = max_bytes or _FIRST_BYTES
        # Room for one subscriber that neither reads nor releases: its share, the history, the anchor, a frame.
        wanted = max(max_frames, LOANS + 2) if max_frames else max(_CHUNKS, receiver + config.history_size + 2)
        # One more for the anchor. Source of the rest: static_config/publish_subscribe.rs, required_amount_of_samples….
        self._chunks = min(wanted, config.max_subscribers * receiver + config.history_size + LOANS + 1)
        self._settled_at = 0.0
        self.number = 0
        self.before: int | None = None
        self._replace(self._slice_len)

    def loan(self, size: int) -> types.SampleMutUninit | None:
        """Borrow memory for a frame of `size` bytes; its content is left over.

        Returns:
            A loan; None if subscribers hold all chunks.

        Raises:
            LoanLimitError: As many loans are out as there can be.
            OutOfSharedMemoryError: The frame is larger than any before, and there is not enough for it.
        """
        if size > self._slice_len:
            self._grow(size)
        # The last replacement may have failed half-way.
        publisher = self._publisher or self._replace(self._slice_len)
        try:
            loan = publisher.loan_slice_uninit(size)
        except binding.LoanError as exc:
            if str(exc) != "OutOfMemory":
                raise self._explained(str(exc)) from exc
            if not self._is_exhausted:
                self._is_exhausted = True
                _log.warning(
                    "dropping frames of %r: subscribers hold all %d; release frames sooner, or set max_frames",
                    self._name,
                    self._chunks,
                )
            return None
        self._used, self._is_exhausted = True, False
        return loan

    def sendable(
        self, loan: types.SampleMutUninit, anchor: types.SampleMutUninit | None, size: int
    ) -> types.SampleMutUninit | None:
        """Return a loan that can be sent: this one, or a copy of it if its pool was replaced since.

        Args:
            loan: From `loan`.
            anchor: The pool's anchor at that time.
            size: Bytes of it.

        Returns:
            A loan; None and LoanLimitError as in `loan`.
        """
        if anchor is self.anchor:
            return loan
        copy = self.loan(size)
        if copy is not None:
            ctypes.memmove(copy.payload_ptr, loan.payload_ptr, size)
        return copy

    def update_connections(self) -> None:
        """Let subscribers that joined see this publisher, and hand them the history."""
        if self._publisher is not None:
            self._publisher.update_connections()

    def unmapped(self, domain: Domain) -> set[str]:
        """Connections that subscribers made and this process could not map: see `_mapping`."""
        return set() if self._publisher is None else unmapped_connections(domain, self._publisher.id.value)

    def renew(self) -> None:
        """Make another port of the same size, which connects every subscriber."""
        self._replace(self._slice_len)

    @property
    def subscribers(self) -> int:
        """How many subscribers there are; a dead one counts until somebody cleans up."""
        return self._service.dynamic_config.number_of_subscribers

    @property
    def keeps_history(self) -> bool:
        """Whether late joiners get the newest frame by themselves."""
        return self._service.static_config.history_size > 0

    def close(self) -> None:
        """Leave the service; what was sent is still delivered. Arrays over loans stay readable memory.

        A subscriber that joins maps the publisher's memory at once, and one that was there before the memory when it
        looks for frames; what it has not mapped is gone with the publisher. So where the memory is quite new this waits
        for a moment, as long as there are subscribers.
        """
        if self._used and self._publisher is not None:
            while time.monotonic() < self._settled_at and self.subscribers:
                time.sleep(_STEP)
        self._drop()

    def _drop(self) -> None:
        publisher, self._publisher = self._publisher, None
        self.anchor = None
        if publisher is not None:
            publisher.delete()

    def abandon(self) -> None:
        """In a forked child: keep everything native for ever."""
        for native in (self._publisher, self.anchor, self._service, self._node):
            leak(native)

    def _grow(self, size: int) -> None:
        step = max((1 << (size - 1).bit_length()) // _GROWTH_STEPS, _PAGE) if self._used else _PAGE
        self._replace(size + -size % step)

    def _replace(self, slice_len: int) -> types.Publisher:
        self._check_room(slice_len)
        before = self.subscribers if self._publisher is not None else None
        # The service may admit one publisher only, so the old one goes first; what it sent is still delivered.
        self._drop()
        publisher = binding.create_publisher(
            self._node, self._service, self._name, slice_len=slice_len, chunks=self._chunks, loans=LOANS + 1
        )
        self.anchor = publisher.loan_slice_uninit(1)
        self._publisher, self._slice_len = publisher, slice_len
        self._settled_at = time.monotonic() + _FINDING if self.subscribers else 0.0
        self.number, self.before = self.number + 1, before
        return publisher

    def _check_room(self, slice_len: int) -> None:
        """Compare the worst case with what is there: a write beyond it would be an uncatchable SIGBUS."""
        chunk = slice_len + _CHUNK_OVERHEAD
        needed = chunk * self._chunks
        obstacle = file_size(needed)
        if obstacle is not None:
            raise obstacle.error(f"publish on {json.dumps(self._name)}")
        try:
            status = os.statvfs(SHARED_MEMORY)
        except OSError:
            # Where shared memory is no file system (macOS) it cannot be too small either.
            return
        free, promised = status.f_bavail * status.f_frsize, _promised()
        # A tmpfs without a limit has no blocks.
        if status.f_blocks and needed > free - promised:
            raise OutOfSharedMemoryError(
                f"frames of {self._name!r} may need {_megabytes(needed)} of shared memory ({self._chunks} frames of "
                f"{_megabytes(chunk)}), {SHARED_MEMORY} has {_megabytes(free)} free, {_megabytes(promised)} of that "
                "laid out for others: enlarge it (docker run --shm-size=…, mount -o remount,size=… /dev/shm), stop "
                "what else uses it, or publish smaller frames"
            )

    def _explained(self, problem: str) -> Iox2VideoError:
        if problem == "ExceedsMaxLoans":
            return LoanLimitError(
                f"cannot begin another frame of {self._name!r}: {LOANS} are in the making and the limit is {LOANS}. "
                "Send or discard one (leave its `with` block) first"
            )
        return TransportError(f"cannot begin a frame of {self._name!r}: iceoryx2 says LoanError: {problem}")


def _promised() -> int:
    """Bytes that files in shared memory may yet take: they have their size at once, and memory as it is written."""
    total = 0
    try:
        with os.scandir(SHARED_MEMORY) as files:
            for file in files:
                with contextlib.suppress(OSError):
                    status = file.stat(follow_symlinks=False)
                    # Source: stat(2): blocks are of 512 bytes.
                    total += max(0, status.st_size - status.st_blocks * 512)
    except OSError:
        return 0
    return total


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
