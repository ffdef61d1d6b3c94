"""Checks what containers must share."""

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
    """Find services without memory here, participants that cannot be seen, and a domain that is not shared."""
    inside = any(mark.exists() for mark in _MARKS) or bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    where = "this is a container" if inside else "this is not a container"
    found = list(_separate(domain, inside, where))
    yield from found or [ok(f"{where}; every service of this domain has its memory here")]


def _separate(domain: Domain, inside: bool, where: str) -> Iterator[Finding]:
    elsewhere = _services_elsewhere(domain)
    if elsewhere:
        yield problem(
            f"{', '.join(elsewhere[:8])}: described in {domain.services}, but without memory in this {SHARED_MEMORY}: "
            f"the participants have another one ({where})",
            f"share it: {_SHARE}",
        )
    writers = writers_without_memory()
    if writers:
        yield problem(
            f"Sh4lt writers listen on {', '.join(map(str, writers[:8]))}, but their memory is in another IPC namespace "
            f"({where})",
            f"share it: {_SHARE}",
        )
    unseen = _unseen_participants(domain)
    if unseen:
        yield note(
            f"{unseen} participant{' lives' if unseen == 1 else 's live'} in another pid namespace ({where}): frames "
            "pass, but process names are not known here",
        )
    if inside and Path(domain.root).exists() and os.stat(domain.root).st_dev == os.stat("/").st_dev:
        yield note(
            f"{domain.root} is in the file system of this container: the host and other containers cannot see it, and "
            "it is removed with the container",
            f"docker run --volume {domain.root}:{domain.root} for every container of the domain; docs/containers.md "
            "has a recipe",
        )


def _services_elsewhere(domain: Domain) -> list[str]:
    return sorted(map(short_name, services_without_memory(domain))) if SHARED_MEMORY.is_dir() else []


def _unseen_participants(domain: Domain) -> int:
    """Number of living nodes whose process cannot be seen here."""
    if not Path("/proc/self/stat").exists():
        return 0
    living = node_ids(domain).keys() - dead_nodes(domain)
    return sum(not is_here(node) for node in living)
