"""Shared memory as arrays that keep it mapped: the last array to go gives the loan back."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._iox2 import types
from .._iox2.fork import guard_kind, leak


@guard_kind
class Ledger:
    """How many received frames of one subscriber are held, by frames and by what was made from them.

    Attributes:
        limit: How many its service allows.
        forked: Whether this is the copy in a forked child.
    """

    __slots__ = ("_entries", "forked", "limit")

    def __init__(self) -> None:
        # A list and not an int: append and pop are atomic, `+= 1` is not, and the last view may go in any thread.
        self._entries: Final[list[None]] = []
        self.limit = 0
        self.forked = False

    @property
    def held(self) -> int:
        """How many are held now."""
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether no more may be held."""
        return len(self._entries) >= self.limit

    def lend(self) -> None:
        """Count one more."""
        self._entries.append(None)

    def take_back(self) -> None:
        """Count one less."""
        self._entries.pop()

    def _abandon(self) -> None:
        self.forked = True


@guard_kind
class ReceivedMemory:
    """The pixel bytes of a received sample: at the end of every view of them, read-only as the mapping is.

    Holds the subscriber port, too: when a port goes, its publisher takes back all its chunks, those of samples that are
    still held included, and writes the next frames there.
    """

    __slots__ = ("_address", "_kind", "_ledger", "_port", "_sample")

    def __init__(
        self,
        sample: types.Sample,
        port: types.Subscriber,
        address: int,
        kind: type[ctypes.Array[ctypes.c_ubyte]],
        ledger: Ledger,
    ) -> None:
        """Take over a sample.

        Args:
            sample: The sample.
            port: Where it was received.
            address: Of its first byte.
            kind: As many bytes as there are pixel bytes.
            ledger: Where it is counted.
        """
        self._sample: types.Sample | None = sample
        self._port = port
        self._address = address
        self._kind = kind
        self._ledger = ledger
        ledger.lend()

    def array(self) -> npt.NDArray[np.uint8]:
        """All bytes as one array, borrowed. Whatever is made of it keeps this object."""
        region = self._kind.from_address(self._address)
        region.memory = self  # type: ignore[attr-defined]
        # Through frombuffer, whose array cannot be made writable: ndarray(buffer=…) looks behind a memoryview.
        return np.frombuffer(memoryview(region).toreadonly(), np.uint8)

    def _abandon(self) -> None:
        leak(self._sample)
        leak(self._port)

    def __del__(self) -> None:
        # Before the port.
        self._sample = None
        self._ledger.take_back()


class CopiedMemory:
    """The pixel bytes of a frame that was copied: at the end of every view of them, read-only."""

    __slots__ = ("_pixels",)

    def __init__(self, pixels: bytes) -> None:
        self._pixels = pixels

    def array(self) -> npt.NDArray[np.uint8]:
        """All bytes as one array; borrowed."""
        return np.frombuffer(self._pixels, np.uint8)


@guard_kind
class LoanedMemory:
    """The pixel bytes of a loan: base of every writable array over them.

    iceoryx2 keeps the memory mapped for as long as a loan of this publisher exists, and sending ends a loan. So each
    publisher keeps one small loan, its anchor, and shares it with all arrays: they stay readable memory whatever
    becomes of the publisher.
    """

    __slots__ = ("__array_interface__", "_anchor")

    def __init__(self, anchor: types.SampleMutUninit, address: int, size: int) -> None:
        self._anchor = anchor
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
        }

    def array(self) -> npt.NDArray[np.uint8]:
        """All bytes as one array; borrowed."""
        return np.asarray(self)

    def _abandon(self) -> None:
        leak(self._anchor)
