"""Finds the participants of a service and their memory from file names.

A node's folder contains a tag for each of its services and ports, and the names of shared memory contain port IDs. Only
the details file of a node is opened, and never that of this process, because closing a file would drop this process's
locks on it (see `cleanup`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from .._iox2.domain import Domain, read_toml
from .._iox2.liveness import is_gone, is_here, pid_of
from .._iox2.objects import SHARED_MEMORY

Role = Literal["publisher", "subscriber", "waits", "looks on"]
"""What a participant does: `waits` means that it waits for a publisher, `looks on` that it has no port."""

# Unit of st_blocks, in bytes. Source: stat(2).
_BLOCK: Final = 512
_COMMAND_LENGTH: Final = 120


@dataclass(frozen=True, slots=True)
class Participant:
    """A node that takes part in a service.

    Attributes:
        node: ID of the node.
        pid: Process ID, in the participant's own pid namespace.
        name: Name of the program.
        command: Command line, shortened; None if it cannot be read (another user, another container).
        about: What it publishes, in its own words ("camera /dev/video0 …"); None if it does not say.
        roles: What the participant does; empty if unknown, because the node takes part in several video services.
        memory_reserved: Bytes of shared memory reserved for its frames; None means unknown.
        memory_touched: Bytes of the reserved memory that were written at least once; None means unknown.
        is_alive: False if the process was killed; the next participant removes its files and memory.
    """

    node: str
    pid: int
    name: str
    command: str | None
    about: str | None
    roles: tuple[Role, ...]
    memory_reserved: int | None
    memory_touched: int | None
    is_alive: bool


def participants(domain: Domain, service: str) -> list[Participant]:
    """List the participants of a video service, publishers first.

    Args:
        domain: Domain of the service.
        service: Full name of the service.
    """
    video = _tag(domain, 0, service)
    # A subscriber without a publisher holds only the event service.
    event = _tag(domain, 1, service)
    ports = _port_files(domain)
    found = []
    for node in _names(domain.nodes):
        if not node.isdecimal():
            continue
        files = _names(domain.nodes / node)
        if video in files or event in files:
            found.append(_participant(domain, node, files, ports, waits=video not in files))
    return sorted(found, key=lambda one: ("publisher" not in one.roles, one.pid, one.node))


def node_processes(domain: Domain) -> dict[int, str]:
    """Return the visible processes that take part in a domain, as a map from process ID to program name."""
    found = {}
    for node in filter(str.isdecimal, _names(domain.nodes)):
        if is_here(int(node)):
            found[pid_of(int(node))] = _program(domain, node)[0]
    return found


def _tag(domain: Domain, pattern: int, service: str) -> str:
    digest = hashlib.sha1(f"{pattern}{service}".encode(), usedforsecurity=False).hexdigest()
    return f"{domain.prefix}{digest}.service_tag"


@dataclass(slots=True)
class _PortFiles:
    """Facts about a port, read from its shared-memory files."""

    publishes: bool = False
    subscribes: bool = False
    reserved: int = 0
    touched: int = 0


def _port_files(domain: Domain) -> dict[str, _PortFiles]:
    ports: dict[str, _PortFiles] = {}
    for item in _scan(SHARED_MEMORY, domain.prefix):
        stem, _, suffix = item.name.rpartition(".")
        # <prefix><hash>_<publisher>.data, <prefix><hash>_<publisher>_<subscriber>.connection
        numbers = stem.removeprefix(domain.prefix).split("_")[1:]
        if suffix == "data" and numbers:
            port = ports.setdefault(numbers[0], _PortFiles())
            port.publishes = True
            try:
                status = item.stat()
            except OSError:
                continue
            port.reserved += status.st_size
            port.touched += status.st_blocks * _BLOCK
        elif suffix == "connection" and len(numbers) == 2:
            ports.setdefault(numbers[1], _PortFiles()).subscribes = True
    return ports


def _participant(
    domain: Domain, node: str, files: list[str], ports: dict[str, _PortFiles], *, waits: bool
) -> Participant:
    own = [
        ports[port]
        for file in files
        if file.endswith(".port_tag") and (port := file[len(domain.prefix) : -len(".port_tag")]) in ports
    ]
    # A port's tag does not name its service, so the roles of a node with two video services are unknown. Roles are also
    # unknown where shared memory is not a file system (macOS).
    is_untold = sum(file.endswith(".service_tag") for file in files) > 2 or not SHARED_MEMORY.is_dir()
    roles: list[Role] = []
    if any(port.publishes for port in own):
        roles.append("publisher")
    if any(port.subscribes for port in own):
        roles.append("subscriber")
    if waits:
        roles.append("waits")
    is_alive = not is_gone(int(node), domain)
    name, command = _program(domain, node)
    return Participant(
        node,
        pid_of(int(node)),
        name,
        command,
        str(_details(domain, node).get("name", "")) or None,
        () if is_untold else tuple(roles) or ("looks on",),
        None if is_untold else sum(port.reserved for port in own),
        None if is_untold else sum(port.touched for port in own),
        is_alive,
    )


def _program(domain: Domain, node: str) -> tuple[str, str | None]:
    """Return the program name and command line of the process that created a node."""
    pid = pid_of(int(node))
    # The ID of a process in another container may be unused here, or may belong to a different process.
    if is_here(int(node)):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            name = Path(f"/proc/{pid}/comm").read_bytes().decode("utf-8", "replace").strip()
        except OSError:
            words, name = [], ""
        if name:
            command = " ".join(" ".join(words).split())
            long = len(command) > _COMMAND_LENGTH
            return name, (command[: _COMMAND_LENGTH - 1] + "…" if long else command) or None
    return str(_details(domain, node).get("executable", "?")), None


def _details(domain: Domain, node: str) -> dict[str, Any]:
    """Return what a node says about itself; nothing if it is of this process."""
    if pid_of(int(node)) == os.getpid():
        return {}
    try:
        return read_toml(domain.nodes / node / f"{domain.prefix}node.details")
    except (OSError, ValueError):
        return {}


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _scan(folder: Path, prefix: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from (item for item in found if item.name.startswith(prefix))
    except OSError:
        return
