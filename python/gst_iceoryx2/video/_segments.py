"""How far a publisher's memory reaches in this process, as the kernel tells.

What a sample says of its own length stands in memory that its publisher can write, and iceoryx2 believes it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..contract import limit

_MAPS: Final = "/proc/self/maps"
# User addresses end below.
_ALL_MEMORY: Final = 1 << 63
# Publishers whose memory is remembered at once.
_MAX_KNOWN: Final = limit("max_known_segments")


class Mapping(NamedTuple):
    """A mapping of shared memory.

    Attributes:
        publisher: The port whose memory it is, 16 bytes; empty while that is not known.
        start: Address of its first byte.
        end: Address after its last byte; 0 if there is no such mapping.
    """

    publisher: bytes
    start: int
    end: int


NOWHERE: Final = Mapping(b"", 0, 0)


class Segments:
    """The mapping in which each publisher's last frame lay; asking the kernel takes 0.3 ms.

    A port of a publisher stays with one mapping, or, where its frames outgrow that, goes on to another one.

    Args:
        is_local: Whether publishers are of this process only, whose memory is not shared and not bounded.
    """

    __slots__ = ("_ask", "_known")

    def __init__(self, *, is_local: bool = False) -> None:
        self._ask = _anywhere if is_local else shared_mapping
        self._known: dict[bytes, Mapping] = {}

    def at(self, address: int) -> Mapping:
        """Return the mapping that holds this address, or NOWHERE; remembered or asked for."""
        for mapping in self._known.values():
            if mapping.start <= address < mapping.end:
                return mapping
        return self._ask(address)

    def settle(self, mapping: Mapping, publisher: bytes, address: int) -> Mapping:
        """Return the mapping of this publisher that holds an address, asked for if `mapping` is a remembered one."""
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
    """Ask the kernel for the mapping of shared memory that holds an address; NOWHERE if there is none.

    Where the system has no list of mappings, all memory counts as one.
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
