"""A port whose subscriber was closed while its frames are held: they keep it in the service, and nobody reads it.

A publisher that loses nothing would wait for it. So somebody reads on, and throws away, until the last frame has gone.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Final

from .._contract import seconds
from .._iox2 import binding
from . import _keeper
from ._link import Link
from ._memory import Ledger

# Seconds. A publisher that waits looks as often.
_INTERVAL: Final = seconds("room_look")


class Orphan:
    """Reads a port until its frames have gone."""

    def __init__(self, link: Link, ledger: Ledger, service_name: str) -> None:
        """Take over.

        Args:
            link: With the port.
            ledger: Where the frames that are held are counted.
            service_name: Name of the service.
        """
        self.service_name = service_name
        self._lock = threading.Lock()
        self._link: Link | None = link
        self._ledger = ledger
        self._is_over = threading.Event()
        _keeper.adopt(self)
        # Without a thread of its own it is still read a few times a second.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._read, name="gst_iceoryx2 orphan", daemon=True).start()

    @property
    def is_attended(self) -> bool:
        """Always True: it has a thread of its own."""
        return True

    def _read(self) -> None:
        while not self._is_over.wait(_INTERVAL):
            self._tend()

    def _tend(self) -> None:
        with self._lock:
            link = self._link
            if link is None or link.tell_taken is None:
                return
            # Where as many are held as may be, nothing can be read.
            while 0 < self._ledger.held < self._ledger.limit:
                try:
                    sample = link.subscriber.receive()
                except (binding.ReceiveError, binding.ConnectionFailure):
                    break
                if sample is None:
                    link.tell_taken(None)
                    return
                link.tell_taken(sample)
                del sample
            if self._ledger.held == self._ledger.limit:
                return
        self.close()

    def close(self) -> None:
        """Let go of the port. Idempotent."""
        with self._lock:
            self._link = None
        self._is_over.set()
        _keeper.dismiss(self)

    def _abandon(self) -> None:
        # The thread does not exist in a forked child, and may have held the lock.
        self._lock = threading.Lock()
        if self._link is not None:
            self._link.abandon()
        self._link = None
        self._is_over.set()
