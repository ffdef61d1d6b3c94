"""A publisher's shared memory: its size, the check that enough is free, and its growth when it runs out.

A native publisher has a fixed number of equally sized chunks (`create_publisher` explains why). It is replaced when a
frame does not fit or when subscribers hold all chunks. Frames of the old native publisher stay valid while they are
held.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import time
from typing import Final

from .._iox2 import binding, types
from .._iox2.domain import Domain
from .._iox2.limits import file_size
from .._iox2.objects import SHARED_MEMORY
from ..contract import limit, message, seconds
from ..errors import Iox2VideoError, LoanLimitError, OutOfSharedMemoryError, TransportError
from ._mapping import unmapped_connections

_log: Final = logging.getLogger("gst_iceoryx2")

LOANS: Final = limit("max_loans")
"""Frames that one publisher can fill at once."""

# 149 MB for BGR at 1920x1080. In the worst case, 8 subscribers that hold as many frames as allowed, 1 GB is needed.
_CHUNKS: Final = limit("first_chunks")
# The first pool's chunks have room for frames up to this size.
_FIRST_BYTES: Final = limit("first_frame_bytes")
# Chunk sizes are rounded up in these steps, so that slowly growing frames rarely need a new pool.
_GROWTH_STEPS: Final = limit("growth_steps")
_PAGE: Final = limit("page_bytes")
# How long memory stays available to subscribers that were connected before it was created, so that they can map it.
# iceoryx2 does not report whether they have mapped it.
_FINDING: Final = seconds("find")
_STEP: Final = seconds("find_look")
# Overhead per chunk, rounded up: iceoryx2's header, our header and alignment.
_CHUNK_OVERHEAD: Final = limit("chunk_overhead_bytes")


class Pool:
    """The native publisher of a service. It is replaced when frames need larger or more chunks.

    Attributes:
        anchor: A small loan that keeps the memory mapped while arrays over it exist. Each native publisher has its own.
        number: Number of native publishers created so far.
        before: Number of subscribers that the previous native publisher had; None for the first one.
    """

    def __init__(
        self,
        node: types.Node,
        service: types.PubSubService,
        name: str,
        max_bytes: int = 0,
        max_frames: int = 0,
        first_bytes: int = _FIRST_BYTES,
    ) -> None:
        """Create the first native publisher.

        Args:
            node: The node that opened `service`.
            service: The service.
            name: Name of the service.
            max_bytes: Size of the largest frame in bytes, including the aux blob; 0 = grow as needed.
            max_frames: Maximum number of chunks; 0 = as many as all subscribers together may hold.
            first_bytes: Size of the first chunks if `max_bytes` is 0.

        Raises:
            OutOfSharedMemoryError: There is not enough shared memory.
            TooManyPortsError: The service already has as many publishers as it admits.
        """
        config = service.static_config
        receiver = config.subscriber_max_borrowed_samples
        # With safe overflow, a buffer holds the newest samples. If the history is at least as long, it has them, too.
        if not (config.has_safe_overflow and config.history_size >= config.subscriber_max_buffer_size):
            receiver += config.subscriber_max_buffer_size
        self._node = node
        self._service = service
        self._name = name
        self._publisher: types.Publisher | None = None
        self.anchor: types.SampleMutUninit | None = None
        self._used = False
        self._is_exhausted = False
        self._slice_len = max_bytes or first_bytes
        # One extra chunk for the anchor. Source of the other terms: required_amount_of_samples… in
        # static_config/publish_subscribe.rs.
        worst = config.max_subscribers * receiver + config.history_size + LOANS + 1
        self._max_chunks = min(worst, max(max_frames, LOANS + 2)) if max_frames else worst
        # Enough for one subscriber that neither reads nor releases frames: its share, the history, the anchor and one
        # frame.
        self._chunks = min(self._max_chunks, max(_CHUNKS, receiver + config.history_size + 2))
        self._settled_at = 0.0
        self.number = 0
        self.before: int | None = None
        self._replace(self._slice_len, self._chunks)

    def loan(self, size: int) -> types.SampleMutUninit | None:
        """Borrow memory for a frame of `size` bytes. It initially contains an earlier frame.

        Returns:
            A loan; None if subscribers hold all chunks and no more can be added.

        Raises:
            LoanLimitError: 8 frames are already being filled.
            OutOfSharedMemoryError: The frame is larger than all previous frames, and there is not enough shared memory
                for it.
        """
        if size > self._slice_len:
            self._grow(size)
        while True:
            # There is no publisher if the last replacement failed halfway.
            publisher = self._publisher or self._replace(self._slice_len, self._chunks)
            try:
                loan = publisher.loan_slice_uninit(size)
            except binding.LoanError as exc:
                if str(exc) != "OutOfMemory":
                    raise self._explained(str(exc)) from exc
                if not self._add_chunks():
                    return None
                continue
            self._used, self._is_exhausted = True, False
            return loan

    def sendable(
        self, loan: types.SampleMutUninit, anchor: types.SampleMutUninit | None, size: int
    ) -> types.SampleMutUninit | None:
        """Return this loan, or a copy of it if its native publisher has been replaced since.

        Args:
            loan: From `loan`.
            anchor: Value of the attribute `anchor` when the loan was made.
            size: Number of bytes.

        Returns:
            A loan; None if a copy is needed and subscribers hold all chunks.

        Raises:
            LoanLimitError: A copy is needed, but 8 frames are already being filled.
        """
        if anchor is self.anchor:
            return loan
        copy = self.loan(size)
        if copy is not None:
            ctypes.memmove(copy.payload_ptr, loan.payload_ptr, size)
        return copy

    def update_connections(self) -> None:
        """Connect new subscribers and send them the history."""
        if self._publisher is not None:
            self._publisher.update_connections()

    def unmapped(self, domain: Domain) -> set[str]:
        """Return the subscriber connections that this process could not map; see `_mapping`."""
        return set() if self._publisher is None else unmapped_connections(domain, self._publisher.id.value)

    def renew(self) -> None:
        """Replace the native publisher with one of the same size, to connect every subscriber again."""
        self._replace(self._slice_len, self._chunks)

    @property
    def subscribers(self) -> int:
        """Number of subscribers. Dead subscribers are counted until a process cleans up."""
        return self._service.dynamic_config.number_of_subscribers

    @property
    def keeps_history(self) -> bool:
        """Whether iceoryx2 sends the newest frame to subscribers that join late."""
        return self._service.static_config.history_size > 0

    def close(self) -> None:
        """Leave the service. Sent frames are still delivered, and arrays over loans stay readable.

        A new subscriber maps the memory immediately. A subscriber that was connected before the memory was created maps
        it when it next checks for frames. If the publisher left earlier, the frames would be lost. So this method waits
        if the memory is new and there are subscribers.
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

    def _grow(self, size: int) -> None:
        step = max((1 << (size - 1).bit_length()) // _GROWTH_STEPS, _PAGE) if self._used else _PAGE
        self._replace(size + -size % step, self._chunks)

    def _add_chunks(self) -> bool:
        """Double the number of chunks, up to the limit; return whether chunks were added."""
        key = "out_of_frames"
        try:
            if self._chunks < self._max_chunks:
                self._replace(self._slice_len, min(self._max_chunks, 2 * self._chunks))
                return True
        # If there cannot be more chunks, only this frame is dropped.
        except OutOfSharedMemoryError:
            key = "out_of_frames_and_memory"
        except TransportError:
            pass
        if not self._is_exhausted:
            self._is_exhausted = True
            _log.warning("%s", message(key, service=self._name, chunks=self._chunks))
        return False

    def _replace(self, slice_len: int, chunks: int) -> types.Publisher:
        self._check_room(slice_len, chunks)
        before = self.subscribers if self._publisher is not None else None
        # The service may admit only one publisher, so remove the old one first. Its frames are still delivered.
        self._drop()
        publisher = binding.create_publisher(
            self._node, self._service, self._name, slice_len=slice_len, chunks=chunks, loans=LOANS + 1
        )
        self.anchor = publisher.loan_slice_uninit(1)
        self._publisher, self._slice_len, self._chunks = publisher, slice_len, chunks
        self._settled_at = time.monotonic() + _FINDING if self.subscribers else 0.0
        self.number, self.before = self.number + 1, before
        return publisher

    def _check_room(self, slice_len: int, chunks: int) -> None:
        """Check that the worst case fits into free memory; otherwise, a write could kill the process with SIGBUS."""
        chunk = slice_len + _CHUNK_OVERHEAD
        needed = chunk * chunks
        obstacle = file_size(needed)
        if obstacle is not None:
            raise obstacle.error(message("publish_on", service=self._name))
        try:
            status = os.statvfs(SHARED_MEMORY)
        except OSError:
            # Shared memory is not a file system here (macOS), so there is no size to check.
            return
        free, promised = status.f_bavail * status.f_frsize, _promised()
        # A tmpfs without a size limit reports 0 blocks.
        if status.f_blocks and needed > free - promised:
            raise OutOfSharedMemoryError(
                message(
                    "out_of_shared_memory",
                    service=self._name,
                    needed=_megabytes(needed),
                    chunks=chunks,
                    chunk=_megabytes(chunk),
                    free=_megabytes(free),
                    promised=_megabytes(promised),
                )
            )

    def _explained(self, problem: str) -> Iox2VideoError:
        if problem == "ExceedsMaxLoans":
            return LoanLimitError(message("loan_limit", service=self._name, limit=LOANS))
        return TransportError(message("iceoryx2_failed", operation="loan a frame", service=self._name, cause=problem))


def _promised() -> int:
    """Return the bytes that existing files in shared memory may still allocate: allocation happens on first write."""
    total = 0
    try:
        with os.scandir(SHARED_MEMORY) as files:
            for file in files:
                with contextlib.suppress(OSError):
                    status = file.stat(follow_symlinks=False)
                    # Blocks are 512 bytes. Source: stat(2).
                    total += max(0, status.st_size - status.st_blocks * 512)
    except OSError:
        return 0
    return total


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
