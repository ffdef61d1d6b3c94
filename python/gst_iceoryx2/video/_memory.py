"""NumPy arrays over shared memory. The memory stays mapped until the last array is gone."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._iox2 import types
from .._iox2.fork import guard_kind, leak


@guard_kind
class Ledger:
    """Counts the frames that one subscriber's `VideoFrame` objects, or arrays made from them, hold.

    Attributes:
        limit: Number of frames that the service allows.
        forked: Whether this is the copy in a forked child.
    """

    __slots__ = ("_entries", "forked", "limit")

    def __init__(self) -> None:
        # Not an int, because the last array may be freed in any thread: append and pop are atomic, but `+= 1` is not.
        self._entries: Final[list[None]] = []
        self.limit = 0
        self.forked = False

    @property
    def held(self) -> int:
        """Number of held frames."""
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether the limit has been reached."""
        return len(self._entries) >= self.limit

    def lend(self) -> None:
        """Count one more held frame."""
        self._entries.append(None)

    def take_back(self) -> None:
        """Count one fewer held frame."""
        self._entries.pop()

    def _abandon(self) -> None:
        self.forked = True


@guard_kind
class ReceivedMemory:
    """The pixel bytes of a received sample. Every view refers to this object. Views are read-only, like the mapping.

    The object also keeps the subscriber port open. When a port closes, the publisher reclaims all of its chunks, even
    those of held samples, and writes new frames into them.
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
        """Take ownership of a sample.

        Args:
            sample: The sample.
            port: The port that received it.
            address: Address of the first pixel byte.
            kind: ctypes array type with as many bytes as there are pixel bytes.
            ledger: Counts this sample as held.
        """
        self._sample: types.Sample | None = sample
        self._port = port
        self._address = address
        self._kind = kind
        self._ledger = ledger
        ledger.lend()

    def array(self) -> npt.NDArray[np.uint8]:
        """Return all bytes as one borrowed array. Views of it keep this object alive."""
        region = self._kind.from_address(self._address)
        region.memory = self  # type: ignore[attr-defined]
        # frombuffer returns an array that cannot be made writable again. ndarray(buffer=…) would bypass the memoryview.
        return np.frombuffer(memoryview(region).toreadonly(), np.uint8)

    def _abandon(self) -> None:
        leak(self._sample)
        leak(self._port)

    def __del__(self) -> None:
        # The sample must be freed before the port.
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
    """The pixel bytes of a loan, and the base object of every writable array over them.

    iceoryx2 keeps the memory mapped while a loan from this publisher exists, and sending ends a loan. So each publisher
    keeps one small loan, its anchor, and shares it with all arrays. The arrays stay readable after the publisher is
    closed.
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
