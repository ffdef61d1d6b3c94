"""NumPy arrays over shared memory. The memory stays mapped until the last array is gone."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._at_end import CALL_AT_END
from .._iox2 import types
from .._iox2.fork import guard_kind, leak


@guard_kind
class Ledger:
    """Counts the frames that one subscriber's `VideoFrame` objects, or arrays made from them, hold.

    Attributes:
        samples: The held samples, by the ID of the object that holds each. The last array of a frame may be freed in
            any thread, so only single operations, which are atomic, change it.
        limit: Number of frames that the service allows.
        forked: Whether this is the copy in a forked child.
    """

    __slots__ = ("forked", "limit", "samples")

    def __init__(self) -> None:
        self.samples: Final[dict[int, types.Sample]] = {}
        self.limit = 0
        self.forked = False

    @property
    def held(self) -> int:
        """Number of held frames."""
        return len(self.samples)

    @property
    def is_full(self) -> bool:
        """Whether the limit has been reached."""
        return len(self.samples) >= self.limit

    def _abandon(self) -> None:
        self.forked = True


@guard_kind
class ReceivedMemory:
    """The pixel bytes of a received sample. Every view refers to this object. Views are read-only, like the mapping.

    The object also keeps the subscriber port open. When a port closes, the publisher reclaims all of its chunks, even
    those of held samples, and writes new frames into them.
    """

    __slots__ = ("_address", "_at_end", "_kind", "_ledger", "_port")
    __del__ = CALL_AT_END

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
        self._port = port
        self._address = address
        self._kind = kind
        self._ledger = ledger
        # This frees the sample, which must happen before the port is freed.
        self._at_end: Callable[[], object] = partial(ledger.samples.pop, id(self), None)
        ledger.samples[id(self)] = sample

    def array(self) -> npt.NDArray[np.uint8]:
        """Return all bytes as one borrowed array. Views of it keep this object alive."""
        region = self._kind.from_address(self._address)
        region.memory = self  # type: ignore[attr-defined]
        # frombuffer returns an array that cannot be made writable again. ndarray(buffer=…) would bypass the memoryview.
        return np.frombuffer(memoryview(region).toreadonly(), np.uint8)

    def _abandon(self) -> None:
        leak(self._ledger.samples[id(self)])
        leak(self._port)


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
