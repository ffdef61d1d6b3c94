"""Bounds of a publisher's shared memory in this process, as listed by the kernel.

The length of a sample is stored in memory that its publisher can write, and iceoryx2 trusts that length. So readers
check it against these bounds.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..contract import limit

_MAPS: Final = "/proc/self/maps"
# All user-space addresses are below this.
_ALL_MEMORY: Final = 1 << 63
# Number of publishers whose memory is remembered.
_MAX_KNOWN: Final = limit("max_known_segments")


class Mapping(NamedTuple):
    """A mapping of shared memory.

    Attributes:
        publisher: ID of the publisher port, 16 bytes; empty if unknown.
        start: Address of the first byte.
        end: Address after the last byte; 0 if the mapping does not exist.
    """

    publisher: bytes
    start: int
    end: int


NOWHERE: Final = Mapping(b"", 0, 0)


class Segments:
    """Remembers the mapping of each publisher port, because querying the kernel takes 0.3 ms.

    A publisher of another program may switch to a new mapping when its frames grow.

    Args:
        is_local: Whether all publishers are in this process. Their memory is private, so its bounds are not checked.
    """

    def __init__(self, *, is_local: bool = False) -> None:
        self._ask = _anywhere if is_local else shared_mapping
        self._known: dict[bytes, Mapping] = {}

    def at(self, address: int) -> Mapping:
        """Return the mapping that contains this address, remembered or queried; NOWHERE if there is none."""
        for mapping in self._known.values():
            if mapping.start <= address < mapping.end:
                return mapping
        return self._ask(address)

    def settle(self, mapping: Mapping, publisher: bytes, address: int) -> Mapping:
        """Return this publisher's mapping that contains an address. A cached mapping is checked with the kernel."""
        if mapping.publisher:
            mapping = self._ask(address)
        self._known.pop(publisher, None)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        mapping = self._known[publisher] = mapping._replace(publisher=publisher)
        return mapping


def _anywhere(_: int) -> Mapping:
    return Mapping(b"", 0, _ALL_MEMORY)


def shared_mapping(address: int) -> Mapping:
    """Query the kernel for the shared-memory mapping that contains an address; NOWHERE if there is none.

    If the system does not list mappings, all memory is treated as one mapping.
    """
    try:
        with open(_MAPS, "rb") as maps:
            # START-END rw-s …: proc_pid_maps(5).
            for line in maps:
                addresses, mode, _ = line.split(b" ", 2)
                start, _, end = addresses.partition(b"-")
                if int(start, 16) <= address < int(end, 16):
                    return Mapping(b"", int(start, 16), int(end, 16)) if mode.endswith(b"s") else NOWHERE
    except OSError:
        return _anywhere(address)
    return NOWHERE
