"""Shared memory as arrays that keep it mapped. It is freed with the last array."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._iox2 import types
from .._iox2.fork import guard_kind, leak


@guard_kind
class Ledger:
    """Counts the frames of one subscriber that are held, by `VideoFrame` objects or arrays made from them.

    Attributes:
        limit: Number of frames that the service allows.
        forked: Whether this is the copy in a forked child.
    """

    __slots__ = ("_entries", "forked", "limit")

    def __init__(self) -> None:
        # Not an int: append and pop are atomic, `+= 1` is not, and the last array may be freed in any thread.
        self._entries: Final[list[None]] = []
        self.limit = 0
        self.forked = False

    @property
    def held(self) -> int:
        """Number of held frames."""
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
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
    """The pixel bytes of a received sample. Every view of them refers to it; they are read-only, as the mapping is.

    It holds the subscriber port, too. When a port is closed, its publisher takes back all chunks, also of held samples,
    and writes the next frames there.
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
            port: The port that received it.
            address: Address of its first byte.
            kind: ctypes array with as many bytes as there are pixel bytes.
            ledger: Counts it.
        """
        self._sample: types.Sample | None = sample
        self._port = port
        self._address = address
        self._kind = kind
        self._ledger = ledger
        ledger.lend()

    def array(self) -> npt.NDArray[np.uint8]:
        """Return all bytes as one borrowed array. Views of it keep this object."""
        region = self._kind.from_address(self._address)
        region.memory = self  # type: ignore[attr-defined]
        # The array of frombuffer cannot be made writable; ndarray(buffer=…) would look behind the memoryview.
        return np.frombuffer(memoryview(region).toreadonly(), np.uint8)

    def _abandon(self) -> None:
        leak(self._sample)
        leak(self._port)

    def __del__(self) -> None:
        # The sample must go before the port.
        self._sample = None
        self._ledger.take_back()


class CopiedMemory:
    """The pixel bytes of a copied frame; read-only."""

    __slots__ = ("_pixels",)

    def __init__(self, pixels: bytes) -> None:
        self._pixels = pixels

    def array(self) -> npt.NDArray[np.uint8]:
        """Return all bytes as one borrowed array."""
        return np.frombuffer(self._pixels, np.uint8)


@guard_kind
class LoanedMemory:
    """The pixel bytes of a loan; base of every writable array over them.

    iceoryx2 keeps the memory mapped while a loan of this publisher exists, and sending ends a loan. So each publisher
    keeps one small loan, its anchor, and shares it with all arrays. They stay readable after the publisher is closed.
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
        """Return all bytes as one borrowed array."""
        return np.asarray(self)

    def _abandon(self) -> None:
        leak(self._anchor)
