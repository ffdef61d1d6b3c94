"""The sending side of a service whose samples are copied into shared memory: packets and results."""

from __future__ import annotations

import ctypes
from typing import Any, Final, Protocol

import numpy as np

from .._wire.stamp import new_publisher_id
from ._pool import Pool
from ._ports import Ports
from ._sender import Sender


class NumberedHeader(Protocol):
    """A header with the number of its sample."""

    sequence: int

    def __bytes__(self) -> bytes: ...


class CopyingSender(Sender):
    """Sends bytes by copying them into shared memory, and numbers the samples.

    Attributes:
        stream: Random ID of this publisher.
        sent: Number of samples sent; `sequence` also counts dropped ones and ends of the stream.
    """

    def __init__(self, ports: Ports) -> None:
        self.stream: Final = new_publisher_id()
        self.sent = 0
        super().__init__(ports)

    def send(self, data: bytes | memoryview, header: NumberedHeader) -> int:
        """Send a sample; return the number of subscribers that receive it.

        Raises:
            OutOfSharedMemoryError: The sample is larger than all previous ones, and there is not enough shared memory.
            ClosedError: This sender is closed.
        """
        size = len(data)
        while True:
            with self._lock:
                pool = self._open_pool()
                loan = pool.loan(size)
                if loan is None:
                    # The gap in the numbers tells readers that a sample is missing.
                    self.sequence += 1
                    self.dropped += 1
                    return 0
                if pool.number == self._waited:
                    ctypes.memmove(loan.payload_ptr, np.frombuffer(data, np.uint8).ctypes.data, size)
                    self._begin_sample(header)
                    header.sequence = self.sequence
                    receivers = self._dispatch(loan, bytes(header))
                    self.sequence += 1
                    self.sent += 1
                    self._ended = self._end_is_due = False
                    return receivers
                del loan
            self._wait_for_readers()

    def _begin_sample(self, header: Any) -> None:
        """Note that a sample is about to be sent. The caller holds the lock."""

    def _send_end(self, pool: Pool) -> int:
        """Send nothing: by default, a stream has no end."""
        return 0
