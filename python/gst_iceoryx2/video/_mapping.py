"""Whether a port has mapped what its publishers made for it.

iceoryx2 0.10.0 tries once for each publisher. If that fails, for want of descriptors or address space, it writes to its
log only, and the port receives nothing from then on. The Rust API can ask to be told, the Python binding cannot.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from .._iox2.domain import Domain
from .._iox2.objects import SHARED_MEMORY

_MAPS: Final = Path("/proc/self/maps")


def unmapped_connections(domain: Domain, port: int) -> set[str]:
    """Names of the connections of a port that this process has not mapped.

    The other end makes a connection before it can be found, so that one of these may be found and mapped at the next
    look. Connections within this process count as mapped: it has the other end.

    Args:
        domain: Where it takes part.
        port: Id of the port, a subscriber or a publisher.

    Raises:
        OSError: It cannot be seen, such as for want of a descriptor.
    """
    # <prefix><hash of a type>_<publisher>_<subscriber>.connection. Source: iceoryx2 0.10.0, on disk.
    names = {
        name
        for name in os.listdir(SHARED_MEMORY)
        if name.startswith(domain.prefix) and name.endswith(".connection") and f"_{port}" in name
    }
    maps = _MAPS.read_text(errors="replace") if names else ""
    return {name for name in names if name not in maps}


def memory_behind(connections: set[str]) -> int:
    """Bytes of the memory that publishers at the other end of these connections send from; of the largest."""
    publishers = tuple(f"_{name.split('_')[-2]}.data" for name in connections)
    largest = 0
    with contextlib.suppress(OSError), os.scandir(SHARED_MEMORY) as found:
        for item in found:
            if item.name.endswith(publishers):
                with contextlib.suppress(OSError):
                    largest = max(largest, item.stat().st_size)
    return largest
