"""Checks that participants in different containers share memory, namespaces and the domain's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .._iox2.domain import Domain
from .._iox2.leftovers import services_without_memory
from .._iox2.liveness import dead_nodes, is_here, node_ids
from .._iox2.objects import SHARED_MEMORY
from ..discovery.names import short_name
from ..discovery.sh4lt import writers_without_memory
from .finding import Finding, note, ok, problem

_MARKS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))
_SHARE: Final = (
    "docker run --ipc=host, or --ipc=shareable for one container and --ipc=container:NAME for the others; "
    "docs/containers.md has a recipe"
)


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Find services whose memory is elsewhere, participants not visible here, and a domain that is not shared."""
    inside = any(mark.exists() for mark in _MARKS) or bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    where = "this is a container" if inside else "this is not a container"
    found = list(_separate(domain, inside, where))
    yield from found or [ok(f"{where}; the memory of every service in this domain is visible here")]


def _separate(domain: Domain, inside: bool, where: str) -> Iterator[Finding]:
    elsewhere = _services_elsewhere(domain)
    if elsewhere:
        yield problem(
            f"{', '.join(elsewhere[:8])}: described in {domain.services}, but the memory is not in this "
            f"{SHARED_MEMORY}, so the participants use a different one ({where})",
            f"share {SHARED_MEMORY}: {_SHARE}",
        )
    writers = writers_without_memory()
    if writers:
        yield problem(
            f"Sh4lt writers listen on {', '.join(map(str, writers[:8]))}, but their memory is in another IPC namespace "
            f"({where})",
            f"share the IPC namespace: {_SHARE}",
        )
    unseen = _unseen_participants(domain)
    if unseen:
        yield note(
            f"{unseen} participant{' runs' if unseen == 1 else 's run'} in another pid namespace ({where}); they can "
            "exchange frames, but their process names are unknown here",
        )
    if inside and Path(domain.root).exists() and os.stat(domain.root).st_dev == os.stat("/").st_dev:
        yield note(
            f"{domain.root} is in this container's own file system, so the host and other containers cannot see it, "
            "and it is removed with the container",
            f"start every container of the domain with docker run --volume {domain.root}:{domain.root}; "
            "docs/containers.md has a recipe",
        )


def _services_elsewhere(domain: Domain) -> list[str]:
    return sorted(map(short_name, services_without_memory(domain))) if SHARED_MEMORY.is_dir() else []


def _unseen_participants(domain: Domain) -> int:
    """Return the number of live nodes whose process is not visible here."""
    if not Path("/proc/self/stat").exists():
        return 0
    living = node_ids(domain).keys() - dead_nodes(domain)
    return sum(not is_here(node) for node in living)
