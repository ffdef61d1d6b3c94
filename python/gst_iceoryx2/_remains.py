"""Files of a domain that belong to nobody any more; the twin of crates/core/src/remains.rs.

iceoryx2 removes a dead node with what its tags name. A participant that dies while it starts or ends leaves what no tag
names: half a node, a service without its counterpart in shared memory, a segment without a size. Some of it only lies
around, some of it keeps everybody from a service of that name.

A participant keeps each file open from its creation until after its removal, so what no process has open is left over
— as long as all participants can be seen. One in another pid namespace cannot; the lock on its node's monitor can.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ._domain import FINISHED_MODE, Domain, read_service
from ._explain import RELEASE

SHARED_MEMORY: Final = Path("/dev/shm")

_Identity = tuple[int, int]


class _Entry(NamedTuple):
    """One file of a domain.

    Attributes:
        path: Where it is.
        identity: Device and inode.
        mode: Its permissions.
        size: Bytes.
        kind: With what it lives: with those who have it open or mapped, with a node that has some of its files open, or
            with a port, a socket that cannot be seen in /proc and has a tag in its node's folder.
        owner: Id of the node or port.
    """

    path: str
    identity: _Identity
    mode: int
    size: int
    kind: Literal["held", "node", "port"]
    owner: str


class Litter:
    """Files that can be removed."""

    def __init__(self, entries: list[_Entry]) -> None:
        self._entries = entries

    def both(self, other: Litter) -> Litter:
        """Those that are litter in both."""
        known = {(entry.path, entry.identity) for entry in other._entries}
        return Litter([entry for entry in self._entries if (entry.path, entry.identity) in known])

    def without_nodes(self) -> Litter:
        """Without the files of nodes."""
        return Litter([entry for entry in self._entries if entry.kind != "node"])

    def __len__(self) -> int:
        return len(self._entries)

    def remove(self) -> int:
        """Remove them, and the folders that are empty then; return how many files."""
        removed = 0
        folders = set()
        for entry in self._entries:
            with contextlib.suppress(OSError):
                # The name may be another file's by now.
                if _identity(os.lstat(entry.path)) == entry.identity:
                    os.unlink(entry.path)
                    removed += 1
                    folder = os.path.dirname(entry.path)
                    if entry.kind == "node" and os.path.basename(folder) == entry.owner:
                        folders.add(folder)
        for folder in folders:
            # Not empty: something there still belongs to somebody.
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        return removed


class Look:
    """All files of a domain, and who has which of them, at one moment.

    Not in a process that has a node: opening a file of a node drops the locks of this process on it.

    Attributes:
        sees_everybody: Whether every participant that lives can be seen, so that litter is what it is called.
    """

    def __init__(self, domain: Domain) -> None:
        # Files first, then their holders: whoever makes one in between has it open by then.
        self._entries = list(_entries(domain))
        self._held = _held_files(domain)
        self._nodes = {entry.owner for entry in self._entries if entry.kind == "node" and entry.identity in self._held}
        tag = ".port_tag"
        self._ports = {
            name.removeprefix(domain.prefix).removesuffix(tag)
            for entry in self._entries
            if entry.owner in self._nodes and (name := os.path.basename(entry.path)).endswith(tag)
        }
        self.sees_everybody = os.path.isdir("/proc/self/fd") and not any(
            entry.path.endswith(".node_monitor") and entry.identity not in self._held and _is_locked(entry.path)
            for entry in self._entries
        )

    def unsized_segments(self) -> Litter:
        """Shared memory without a size: to root, a trap that whoever opens it does not get out of."""
        return self._select(lambda entry: entry.size == 0 and entry.path.startswith(f"{SHARED_MEMORY}/"))

    def unfinished_tags(self) -> Litter:
        """Tags that were not finished: what they were to name does not exist, but iceoryx2 does not get past them."""
        ends = (".service_tag", ".port_tag")
        return self._select(lambda entry: entry.path.endswith(ends) and entry.mode != FINISHED_MODE)

    def litter(self) -> Litter:
        """Everything that belongs to nobody; only after iceoryx2's own clean-up, which needs some of it."""

        def is_ours(entry: _Entry) -> bool:
            # A description by another release may have holders that do not keep it open.
            if not entry.path.endswith(".service") or entry.mode != FINISHED_MODE:
                return True
            record = read_service(entry.path)
            return record is None or record.version == RELEASE

        return self._select(is_ours)

    def _select(self, which: Callable[[_Entry], bool]) -> Litter:
        def belongs_to_nobody(entry: _Entry) -> bool:
            if entry.kind == "held":
                return entry.identity not in self._held
            return entry.owner not in (self._nodes if entry.kind == "node" else self._ports)

        return Litter([entry for entry in self._entries if belongs_to_nobody(entry) and which(entry)])


def segments(domain: Domain) -> list[os.stat_result]:
    """Shared memory objects of a domain, without looking who has them."""
    return [status for _, status in _files(SHARED_MEMORY, domain.prefix)]


def _entries(domain: Domain) -> Iterator[_Entry]:
    prefix = domain.prefix

    def of(
        folder: Path, suffix: str, kind: Literal["held", "node", "port"], owner: Callable[[str], str]
    ) -> Iterator[_Entry]:
        for name, status in _files(folder, prefix, suffix):
            # What all nodes of the domain share stays for ever, once it is made.
            is_shared_by_all = name.endswith(".global_mgmt") and status.st_size > 0
            if not stat.S_ISDIR(status.st_mode) and not is_shared_by_all:
                mode = stat.S_IMODE(status.st_mode)
                yield _Entry(str(folder / name), _identity(status), mode, status.st_size, kind, owner(name))

    yield from of(SHARED_MEMORY, "", "held", partial(_always, ""))
    yield from of(domain.services, ".service", "held", partial(_always, ""))
    yield from of(Path(domain.root), ".event", "port", lambda name: name[len(prefix) : -len(".event")])
    for identifier, status in _files(domain.nodes, ""):
        if stat.S_ISDIR(status.st_mode):
            yield from of(domain.nodes / identifier, "", "node", partial(_always, identifier))
    # Last, because as long as they are there somebody else can take up the work.
    for entry in of(domain.nodes, "", "node", lambda name: name[len(prefix) :].partition(".node_monitor")[0]):
        if ".node_monitor" in entry.path:
            yield entry


def _always(owner: str, _: str) -> str:
    return owner


def _files(folder: Path, prefix: str, suffix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for item in found:
            if item.name.startswith(prefix) and item.name.endswith(suffix):
                with contextlib.suppress(OSError):
                    yield item.name, item.stat(follow_symlinks=False)


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _held_files(domain: Domain) -> set[_Identity]:
    """Files of the domain that a process which can be seen has open or mapped."""
    beginnings = (f"{domain.root}/", f"{SHARED_MEMORY}/{domain.prefix}")
    held: set[_Identity] = set()
    for process in Path("/proc").glob("[0-9]*"):
        takes_part = False
        with contextlib.suppress(OSError), os.scandir(process / "fd") as links:
            for link in links:
                with contextlib.suppress(OSError):
                    if os.readlink(link.path).startswith(beginnings):
                        held.add(_identity(os.stat(link.path)))
                        takes_part = True
        # Other releases may map a segment and close it; who maps one has other files of the domain open.
        if takes_part:
            held.update(_mapped_files(process / "maps", beginnings[1]))
    return held


def _mapped_files(maps: Path, beginning: str) -> Iterator[_Identity]:
    """Mapped files whose path begins like that, all of them in shared memory."""
    with contextlib.suppress(OSError):
        device = os.stat(SHARED_MEMORY).st_dev
        for line in maps.read_text(errors="replace").splitlines():
            # Address, permissions, offset, device, inode, path. Source: proc(5).
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith(beginning):
                yield device, int(fields[4])


def _is_locked(monitor: str) -> bool:
    """Whether a process, visible or not, holds the lock of a node's monitor."""
    try:
        # While it is being made it can only be written to.
        descriptor = os.open(monitor, os.O_WRONLY)
    except OSError:
        return False
    try:
        # struct flock of Linux, where alone /proc makes this question worth asking: a lock of the whole file.
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
    finally:
        os.close(descriptor)
    (kind,) = struct.unpack_from("h", answer)
    return bool(kind != fcntl.F_UNLCK)
