"""What keeps this process from taking part in a domain, in words; the twin of crates/core/src/iox2/obstacle.rs.

iceoryx2 has few names for failures, and each has many causes. So the cause is looked for where it is: in the folder of
the domain, in shared memory, in the limits of this process. Both languages tell the same fault with the same text.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import mmap
import os
import resource
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from .._contract import limit, seconds
from ..errors import DomainError, Iox2VideoError, OutOfSharedMemoryError, ServicePermissionError, TransportError
from .domain import DOMAIN_VARIABLE, Domain
from .explain import RELEASE
from .leftovers import SHARED_MEMORY

# Bytes of shared memory that must be free for a participant to start: several times of what nodes, services and
# connections take, because iceoryx2's writes into a full file system would be an uncatchable SIGBUS.
_HOUSEKEEPING: Final = limit("start_memory_bytes")
# Descriptors of a subscriber with one publisher, its node included; counted in /proc/self/fd.
_DESCRIPTORS: Final = limit("start_descriptors")
# What iceoryx2 maps beside frames, and what this process needs to go on.
_MAPPED: Final = limit("start_mapped_bytes")
# Bytes written to see whether a file can be written: one page.
_PAGE: Final = bytes(4096)
# How long the first participant of a prefix may take to make what all of them open.
_MAKING: Final = seconds("first_participant")
# Two counters of 8 bytes each; the first is the release: major, minor, patch, 16 bits each from bit 32 down.
_SHARED: Final = struct.Struct("<QQ")
_SHARED_RELEASE: Final = 10 << 16

_USE_ANOTHER: Final = f"use another domain ({DOMAIN_VARIABLE}=/path/of/yours)"
_ANOTHER: Final = f"or {_USE_ANOTHER}"
_ERRORS: Final[Mapping[str, type[Iox2VideoError]]] = {
    "permission": ServicePermissionError,
    "domain": DomainError,
    "memory": OutOfSharedMemoryError,
    "limit": TransportError,
}


class Obstacle(NamedTuple):
    """One reason.

    Attributes:
        kind: Which class of error it is.
        text: What is wrong, with paths and numbers, and what to do.
    """

    kind: Literal["permission", "domain", "memory", "limit"]
    text: str

    def parts(self) -> tuple[str, str]:
        """What is wrong, and what to do."""
        fault, _, remedy = self.text.partition("; ")
        return fault, remedy

    def error(self, doing: str) -> Iox2VideoError:
        """The error to raise; `doing` is what failed, from `taking_part` or like it."""
        return _ERRORS[self.kind](f"cannot {doing}: {self.text}")


def taking_part(domain: Domain, service: str | None = None) -> str:
    """What failed: taking part in a domain, for a service where one is known."""
    where = f"the iceoryx2 domain {domain.root}"
    return f"take part in {where}" if service is None else f"open {json.dumps(service)} in {where}"


def before_start(domain: Domain) -> Obstacle | None:
    """What must not be tried: it would hang, be a bus error, or follow somebody's links. Costs some ten µs."""
    return in_folders(domain) or in_shared_memory(domain) or _file_size()


def after_failure(domain: Domain, memory: int = 0, file: str | None = None) -> Obstacle | None:
    """Look for the cause of a failure, by trying what iceoryx2 does.

    Args:
        domain: Where it happened.
        memory: Bytes of shared memory that were to be mapped beside iceoryx2's own.
        file: One that iceoryx2 had to read.

    Returns:
        What is in the way; None if nothing is found now.
    """
    tried: tuple[Callable[[], Obstacle | None], ...] = (
        lambda: before_start(domain),
        _descriptors,
        lambda: _address_space(memory + _MAPPED),
        lambda: None if file is None else _reading(Path(file)),
        lambda: _writing(domain),
    )
    return next(filter(None, (attempt() for attempt in tried)), None)


# -- the folder --------------------------------------------------------------------------------------------------------


def in_folders(domain: Domain) -> Obstacle | None:
    """Whether the folders of a domain are somebody else's, or no folders; those that do not exist are fine."""
    root = Path(domain.root)
    try:
        link = root.lstat()
        if stat.S_ISLNK(link.st_mode):
            if link.st_uid not in _trusted():
                return _foreign(root, link)
            if not os.path.lexists(os.path.realpath(root)):
                target = os.readlink(root)
                return Obstacle("domain", f"{root} is a symbolic link to {target}, which does not exist; {_make(root)}")
        found = _unsuitable(root, root.stat())
    except OSError as exc:
        return None if exc.errno == errno.ENOENT else _refused(root, exc)
    for folder in (domain.services, domain.nodes):
        try:
            found = found or _unsuitable(folder, folder.lstat())
        except OSError as exc:
            found = found or (None if exc.errno == errno.ENOENT else _refused(folder, exc))
    return found or next(_links(domain.nodes), None)


def _unsuitable(folder: Path, status: os.stat_result) -> Obstacle | None:
    if stat.S_ISLNK(status.st_mode):
        return Obstacle("domain", f"{folder} is a symbolic link, where iceoryx2 makes a folder; remove it, {_ANOTHER}")
    if not stat.S_ISDIR(status.st_mode):
        return Obstacle("domain", f"{folder} is not a folder; remove it, {_ANOTHER}")
    if status.st_uid not in _trusted():
        return _foreign(folder, status)
    return None if os.access(folder, os.R_OK | os.X_OK) else _closed(folder)


def _links(nodes: Path) -> Iterator[Obstacle]:
    """Symbolic links where iceoryx2 makes a folder for each node."""
    with contextlib.suppress(OSError), os.scandir(nodes) as found:
        for item in found:
            if item.is_symlink():
                yield from filter(None, (_unsuitable(Path(item.path), item.stat(follow_symlinks=False)),))


def _trusted() -> tuple[int, int]:
    """Users whose folder may be used: their links are followed, and their files are removed after a crash."""
    return os.geteuid(), 0


def _foreign(folder: Path, status: os.stat_result) -> Obstacle:
    return Obstacle(
        "permission",
        f"{folder} belongs to user {status.st_uid} (this process runs as {os.geteuid()}); "
        f"run all participants as one user, {_ANOTHER}",
    )


def _make(folder: Path) -> str:
    return f"make it, remove {folder}, {_ANOTHER}"


def _writing(domain: Domain) -> Obstacle | None:
    """Try to make what a participant makes: the folders, a file in each, a socket."""
    root = Path(domain.root)
    missing = [folder for folder in (root, *root.parents) if not os.path.lexists(folder)]
    for folder in (*reversed(missing), domain.services, domain.nodes):
        try:
            # Source: iceoryx2's own mode, on disk.
            folder.mkdir(0o750, exist_ok=True)
        except OSError as exc:
            return _refused(folder, exc)
    # No name of iceoryx2's, so that no clean-up takes it for one.
    name = f"probe{os.getpid()}_{time.monotonic_ns()}"
    for folder in (domain.services, domain.nodes, root):
        probe = folder / name
        try:
            with contextlib.ExitStack() as made:
                descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
                made.callback(os.unlink, probe)
                made.callback(os.close, descriptor)
                os.write(descriptor, _PAGE)
        except OSError as exc:
            return _refused(folder, exc)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.bind(str(root / name))
            os.unlink(root / name)
    except OSError as exc:
        return _refused(root, exc)
    return None


def _reading(file: Path) -> Obstacle | None:
    try:
        status = file.lstat()
    except OSError as exc:
        return None if exc.errno == errno.ENOENT else _refused(file, exc)
    return None if os.access(file, os.R_OK) else _foreign(file, status)


def _refused(path: Path, error: OSError) -> Obstacle:
    """Say what the operating system's answer means for a path that was to be made, entered or written."""
    number = error.errno or 0
    if number in (errno.EACCES, errno.EPERM):
        return _closed(path)
    if number in (errno.EMFILE, errno.ENFILE):
        return _descriptors() or Obstacle("limit", f"{path} cannot be opened: {_words(number)}")
    if number == errno.EFBIG:
        return _file_size() or Obstacle("limit", f"{path} cannot be written: {_words(number)}")
    text = {
        errno.EROFS: f"{_nearest(path)} is on a read-only file system; mount it writable, {_ANOTHER}",
        errno.ENOSPC: f"the file system of {_nearest(path)} {_fullness(_nearest(path))}, {_ANOTHER}",
        errno.EDQUOT: f"the disk quota of user {os.geteuid()} on {_nearest(path)} is used up; remove files, {_ANOTHER}",
        errno.ENOTDIR: f"{_nearest(path)} is not a folder; remove it, {_ANOTHER}",
        errno.EEXIST: f"{_nearest(path)} is not a folder; remove it, {_ANOTHER}",
        errno.ELOOP: f"{path} is a symbolic link that leads to itself; remove it, {_ANOTHER}",
        errno.ENAMETOOLONG: f"a name in {path} is longer than its file system takes; {_USE_ANOTHER}",
    }.get(number)
    if text is None:
        text = f"{path} cannot be used: {_words(number)}; {_USE_ANOTHER} on a local disk where sockets can be made"
    return Obstacle("domain", text)


def _fullness(path: Path) -> str:
    with contextlib.suppress(OSError):
        status = os.statvfs(path)
        if status.f_files and not status.f_favail:
            return f"has its {status.f_files} files; remove some"
    return "is full; remove what fills it"


def _words(number: int) -> str:
    return f"{os.strerror(number)} (os error {number})"


def _nearest(path: Path) -> Path:
    """The path, or the lowest thing above it that can be seen."""
    return next((one for one in (path, *path.parents) if os.path.lexists(one)), path)


def _closed(path: Path) -> Obstacle:
    """The highest thing on the way to a path that this user may not enter, or write where the way ends."""
    way = [*reversed(path.parents), path]
    # Where all folders can be entered, it is the last one that cannot be read or written.
    shut = next((one for one in way if os.path.isdir(one) and not os.access(one, os.X_OK)), _nearest(path))
    try:
        status = shut.stat()
    except OSError:
        shut, status = Path("/"), Path("/").stat()
    if status.st_uid != os.geteuid():
        return _foreign(shut, status)
    return Obstacle(
        "permission",
        f"{shut} has the mode {stat.S_IMODE(status.st_mode):04o}, which keeps its own user {status.st_uid} out; "
        f"chmod 0700 {shut}, {_ANOTHER}",
    )


# -- shared memory -----------------------------------------------------------------------------------------------------


def shared_by_all(domain: Domain) -> Path:
    """The object in shared memory that every participant opens first, whatever its folder."""
    # Source: iceoryx2-cal/src/dynamic_storage/mod.rs: names of objects begin with a hash of their type's name.
    kind = hashlib.sha1(b"iceoryx2::node::global_management_segment::State", usedforsecurity=False).hexdigest()
    return SHARED_MEMORY / f"{domain.prefix}{kind}_node.{RELEASE.replace('.', '_')}.global_mgmt"


def in_shared_memory(domain: Domain) -> Obstacle | None:
    """Whether shared memory is missing, closed, full, or spoilt for this prefix."""
    if os.uname().sysname != "Linux":
        return None
    try:
        status = os.statvfs(SHARED_MEMORY)
    except FileNotFoundError:
        return Obstacle("memory", "there is no /dev/shm; mount it: mount -t tmpfs tmpfs /dev/shm")
    except OSError as exc:
        return Obstacle("memory", f"/dev/shm cannot be used: {_words(exc.errno or 0)}")
    if status.f_flag & os.ST_RDONLY:
        return Obstacle("memory", "/dev/shm is read-only; mount it writable: mount -o remount,rw /dev/shm")
    if not os.access(SHARED_MEMORY, os.R_OK | os.W_OK | os.X_OK):
        mode = stat.S_IMODE(SHARED_MEMORY.stat().st_mode)
        return Obstacle(
            "memory",
            f"/dev/shm has the mode {mode:04o}, and user {os.geteuid()} may not write there; chmod 1777 /dev/shm",
        )
    free = status.f_bavail * status.f_frsize
    # A tmpfs without a limit has neither blocks nor inodes.
    if status.f_blocks and free < _HOUSEKEEPING:
        return Obstacle(
            "memory",
            f"it needs {_HOUSEKEEPING} bytes of shared memory beside frames, /dev/shm has {free} free; enlarge it "
            "(docker run --shm-size=…, mount -o remount,size=… /dev/shm), or remove what fills it",
        )
    if status.f_files and not status.f_favail:
        return Obstacle(
            "memory",
            f"/dev/shm has its {status.f_files} files; raise the number (mount -o remount,nr_inodes=… /dev/shm), or "
            "remove some",
        )
    return _spoilt(domain)


def _spoilt(domain: Domain) -> Obstacle | None:
    """Whether what all participants of a prefix open is unusable: iceoryx2 waits for its size without end."""
    path = shared_by_all(domain)
    deadline = time.monotonic() + _MAKING
    while True:
        try:
            status = path.lstat()
        except OSError:
            return None
        fault = _fault_of(path, status)
        if fault is None:
            return None
        is_old = time.time() - status.st_mtime > _MAKING
        if is_old or not stat.S_ISREG(status.st_mode) or time.monotonic() > deadline:
            break
        # The first participant may be making it.
        time.sleep(0.005)
    another = f"or use a prefix of your own ({DOMAIN_VARIABLE}={domain.root}:yours_)"
    return Obstacle(
        "permission" if status.st_uid != os.geteuid() else "domain",
        f"{path}, which every participant with the prefix {domain.prefix} opens, {fault} and belongs to user "
        f"{status.st_uid} (this process runs as {os.geteuid()}); remove it, {another}",
    )


def _fault_of(path: Path, status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if status.st_size < _SHARED.size:
        return f"has {status.st_size} bytes instead of {_SHARED.size}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError:
        return f"has the mode {stat.S_IMODE(status.st_mode):04o}"
    except OSError:
        # Not a fault of the object, such as too few descriptors.
        return None
    try:
        content = os.read(descriptor, _SHARED.size)
    finally:
        os.close(descriptor)
    is_whole = len(content) == _SHARED.size and _SHARED.unpack(content)[0] == _SHARED_RELEASE
    return None if is_whole else f"was not made by iceoryx2 {RELEASE}"


# -- limits of this process --------------------------------------------------------------------------------------------


def _file_size() -> Obstacle | None:
    return file_size(_HOUSEKEEPING)


def file_size(needed: int) -> Obstacle | None:
    """Whether files of so many bytes, of shared memory too, may be written: beyond the limit SIGXFSZ ends programs."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return None
    return Obstacle(
        "limit",
        f"this process may write files of {limit} bytes, and {needed} are needed; raise the limit "
        "(ulimit -f unlimited, LimitFSIZE=infinity in a systemd unit)",
    )


def _descriptors() -> Obstacle | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    try:
        while len(opened) < _DESCRIPTORS:
            opened.append(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno == errno.ENFILE:
            return Obstacle(
                "limit", "this machine has as many files open as it may; raise the limit (sysctl fs.file-max)"
            )
        if exc.errno != errno.EMFILE:
            return None
        return Obstacle(
            "limit",
            f"this process may open {limit} files, {len(opened)} more than it has open now, and a participant needs up "
            f"to {_DESCRIPTORS}; raise the limit (ulimit -n 65536, LimitNOFILE=65536 in a systemd unit, "
            "docker run --ulimit nofile=65536)",
        )
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return None


def _address_space(needed: int) -> Obstacle | None:
    try:
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return Obstacle("limit", f"this process cannot map {needed} more bytes of memory: {_words(errno.ENOMEM)}")
        return Obstacle(
            "limit",
            f"this process may use {limit} bytes of address space, and cannot map {needed} more; raise the limit "
            "(ulimit -v unlimited, LimitAS=infinity in a systemd unit)",
        )
    return None
