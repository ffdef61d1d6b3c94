"""What separates containers, and must not be separate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .._iox2.domain import Domain
from .._iox2.explain import RELEASE
from .._iox2.leftovers import SHARED_MEMORY
from .._iox2.liveness import is_gone, start_time
from .._iox2.service import FINISHED_MODE, list_services
from ..discovery.names import short_name
from ..discovery.sh4lt import writers_without_memory
from .finding import Finding

NAME: Final = "containers"

_MARKS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))
_SHARE: Final = "docs/containers.md has a recipe"


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Look for services whose memory is not here, participants that cannot be seen, and a domain that nobody shares."""
    inside = any(mark.exists() for mark in _MARKS) or bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    where = "this is a container" if inside else "this is no container"
    found = False
    elsewhere = _services_without_memory(domain)
    if elsewhere:
        found = True
        yield Finding(
            NAME,
            "problem",
            f"{', '.join(elsewhere[:8])}: described in {domain.services}, but not in this {SHARED_MEMORY}: who takes "
            f"part there has another one ({where})",
            "share it: docker run --ipc=host, or --ipc=shareable at one and --ipc=container:NAME at the others; "
            f"{_SHARE}",
        )
    writers = writers_without_memory()
    if writers:
        found = True
        yield Finding(
            NAME,
            "problem",
            f"Sh4lt writers listen on {', '.join(map(str, writers[:8]))}, and their memory is in another IPC namespace "
            f"({where})",
            f"docker run --ipc=host, or --ipc=shareable at one and --ipc=container:NAME at the others; {_SHARE}",
        )
    unseen = _unseen_participants(domain)
    if unseen:
        found = True
        yield Finding(
            NAME,
            "note",
            f"{unseen} participant{' lives' if unseen == 1 else 's live'} in another pid namespace ({where}): frames "
            "pass, but names of processes are not known here",
        )
    if inside and Path(domain.root).exists() and os.stat(domain.root).st_dev == os.stat("/").st_dev:
        found = True
        yield Finding(
            NAME,
            "note",
            f"{domain.root} lies in the file system of this container: neither the host nor another container sees it, "
            "and it goes with the container",
            f"docker run --volume {domain.root}:{domain.root}, and the same at all others that shall meet; {_SHARE}",
        )
    if not found:
        yield Finding(NAME, "ok", f"{where}; every service of this domain has its memory here")


def _services_without_memory(domain: Domain) -> list[str]:
    """Services that somebody living takes part in, without a counterpart in this process's shared memory."""
    if not SHARED_MEMORY.is_dir():
        return []
    # <prefix><hash>_<id>.dynamic, the id being both values of the description. Source: iceoryx2 0.10.0, on disk.
    there = {name.rpartition("_")[2] for name in os.listdir(SHARED_MEMORY) if name.startswith(domain.prefix)}
    missing = set()
    for record in list_services(domain):
        high, low = (record.values.get(f"unique_service_id.{part}") for part in ("unique_value", "payload_value"))
        if record.version != RELEASE or not isinstance(high, int) or not isinstance(low, int):
            continue
        file = record.pattern in ("PublishSubscribe", "Event") and domain.service_file(
            record.name, "Event" if record.pattern == "Event" else "PublishSubscribe"
        )
        if f"{high << 64 | low}.dynamic" not in there and file and _is_in_use(domain, file):
            missing.add(short_name(record.name))
    return sorted(missing)


def _is_in_use(domain: Domain, description: str) -> bool:
    """Whether a living node has a tag for a service, and the description is still there."""
    try:
        if os.stat(description).st_mode & 0o777 != FINISHED_MODE:
            return False
    except OSError:
        return False
    tag = f"{Path(description).stem}.service_tag"
    return any(
        (domain.nodes / node / tag).exists() and not is_gone(int(node), _monitor(domain, node))
        for node in _nodes(domain)
    )


def _unseen_participants(domain: Domain) -> int:
    """Living nodes whose process number is nobody's here, or somebody else's."""
    if not Path("/proc/self/stat").exists():
        return 0
    count = 0
    for node in _nodes(domain):
        number = int(node)
        # Seconds, nanoseconds, pid and counter, 32 bits each. Source: iceoryx2-bb/posix/src/unique_system_id.rs.
        started = start_time(number >> 64 & 0xFFFFFFFF)
        is_here = started is not None and started <= (number & 0xFFFFFFFF) + 1
        if not is_here and not is_gone(number, _monitor(domain, node)):
            count += 1
    return count


def _monitor(domain: Domain, node: str) -> Path:
    return domain.nodes / f"{domain.prefix}{node}.node_monitor"


def _nodes(domain: Domain) -> list[str]:
    try:
        return [name for name in os.listdir(domain.nodes) if name.isdecimal()]
    except OSError:
        return []
