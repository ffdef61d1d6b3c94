"""Check whether a port has mapped the connections that its peers created.

iceoryx2 0.10.0 tries to map each connection only once. If that fails for lack of descriptors or address space, it only
logs the failure, and the port receives nothing from then on. The Rust API can report this, but the Python binding
cannot.
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
    """Return the names of those connections of a port that this process has not mapped.

    The result may include a connection that is being established; it is mapped by the next check. Connections within
    this process count as mapped.

    Args:
        domain: iceoryx2 domain of the port.
        port: ID of the subscriber or publisher port.

    Raises:
        OSError: The connections cannot be listed, for example because no descriptor is free.
    """
    # <prefix><type hash>_<publisher>_<subscriber>.connection. Source: files created by iceoryx2 0.10.0.
    names = {
        name
        for name in os.listdir(SHARED_MEMORY)
        if name.startswith(domain.prefix) and name.endswith(".connection") and f"_{port}" in name
    }
    maps = _MAPS.read_text(errors="replace") if names else ""
    return {name for name in names if name not in maps}


def memory_behind(connections: set[str]) -> int:
    """Return the size in bytes of the largest shared memory among the publishers of these connections."""
    publishers = tuple(f"_{name.split('_')[-2]}.data" for name in connections)
    largest = 0
    with contextlib.suppress(OSError), os.scandir(SHARED_MEMORY) as found:
        for item in found:
            if item.name.endswith(publishers):
                with contextlib.suppress(OSError):
                    largest = max(largest, item.stat().st_size)
    return largest
