"""SysV shared memory and semaphores through ctypes, as far as the protocol needs them. Linux only."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from .dialect import READERS, WRITER, Keys

_IPC_CREAT: Final = 0o1000
_IPC_EXCL: Final = 0o2000
_IPC_NOWAIT: Final = 0o4000
_IPC_RMID: Final = 0
_IPC_STAT: Final = 2
_SEM_UNDO: Final = 0x1000
_SHM_RDONLY: Final = 0o10000
_GETVAL: Final = 12
_MREMAP_MAYMOVE_FIXED: Final = 1 | 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_libc.shmdt.argtypes = [ctypes.c_void_p]
_libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
]  # fmt: skip
_libc.mremap.restype = ctypes.c_void_p
_libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_shmget = _libc.shmget
_semtimedop = _libc.semtimedop
_semtimedop.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
_FAILED: Final = ctypes.c_void_p(-1).value


class _IpcPerm(ctypes.Structure):
    _fields_ = [
        ("key", ctypes.c_int), ("uid", ctypes.c_uint), ("gid", ctypes.c_uint), ("cuid", ctypes.c_uint),
        ("cgid", ctypes.c_uint), ("mode", ctypes.c_ushort), ("pad1", ctypes.c_ushort), ("seq", ctypes.c_ushort),
        ("pad2", ctypes.c_ushort), ("unused1", ctypes.c_ulong), ("unused2", ctypes.c_ulong),
    ]  # fmt: skip


class _ShmidDs(ctypes.Structure):
    """`struct shmid_ds` of 64-bit Linux. Source: bits/types/struct_shmid_ds.h of glibc 2.36."""

    _fields_ = [
        ("perm", _IpcPerm), ("size", ctypes.c_size_t), ("atime", ctypes.c_long), ("dtime", ctypes.c_long),
        ("ctime", ctypes.c_long), ("creator", ctypes.c_int), ("last", ctypes.c_int), ("attached", ctypes.c_ulong),
        ("unused4", ctypes.c_ulong), ("unused5", ctypes.c_ulong),
    ]  # fmt: skip


class _SemBuf(ctypes.Structure):
    _fields_ = [("number", ctypes.c_ushort), ("change", ctypes.c_short), ("flags", ctypes.c_short)]


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def max_segment() -> int:
    """The kernel's limit for one segment in bytes."""
    return int(Path("/proc/sys/kernel/shmmax").read_text(encoding="ascii"))


def find_segment(key: int) -> int:
    """Id of the segment at a key."""
    return _check(_shmget(key, 0, 0))


def _status(identity: int) -> _ShmidDs:
    status = _ShmidDs()
    _check(_libc.shmctl(identity, _IPC_STAT, ctypes.byref(status)))
    return status


class SegmentStatus(NamedTuple):
    """What the kernel says of a segment.

    Attributes:
        size: Bytes.
        creator: Process that made it.
        attached: How many times it is attached now.
        key: Its key; 0 for one that is removed with its last user.
        owner: User whose it is.
    """

    size: int
    creator: int
    attached: int
    key: int
    owner: int


def segment_status(key: int) -> SegmentStatus:
    """Ask about the segment at a key, without attaching it.

    Raises:
        OSError: There is none, or it is another user's.
    """
    status = _status(find_segment(key))
    perm = status.perm
    return SegmentStatus(status.size, status.creator, status.attached, perm.key, perm.uid)


def remove(keys: Keys) -> None:
    """Remove whatever lies at these keys: a dead writer's."""
    segment = _shmget(keys.segment, 0, 0)
    if segment >= 0:
        _libc.shmctl(segment, _IPC_RMID, None)
    semaphores = _libc.semget(ctypes.c_int(keys.semaphores), 2, 0)
    if semaphores >= 0:
        _libc.semctl(semaphores, 0, _IPC_RMID)


def remove_if_dead(keys: Keys) -> None:
    """Remove what lies at the keys of a new socket, unless a live process made it and has it attached."""
    try:
        status = _status(find_segment(keys.segment))
    except OSError:
        remove(keys)
        return
    try:
        os.kill(status.creator, 0)
        alive = True
    except ProcessLookupError:
        alive = False
    except PermissionError:
        alive = True
    if not (alive and status.attached):
        remove(keys)


class Segment:
    """An attached segment: every view of it refers to it, and therefore can never dangle.

    It is detached when the last of them has gone. `copy_out()` puts a private copy in its place, at the same address.
    """

    __slots__ = ("__weakref__", "_address", "_mapped", "_owned", "_process", "identity", "size")

    def __init__(self, identity: int, *, owned: bool = False) -> None:
        self._address = 0
        self._owned = False
        self._process = os.getpid()
        self._mapped = 0
        self.identity = identity
        self.size = int(_status(identity).size)
        address = _libc.shmat(identity, None, 0 if owned else _SHM_RDONLY)
        if address == _FAILED:
            _check(-1)
        self._address = address
        self._owned = owned

    @classmethod
    def create(cls, key: int, size: int, mode: int) -> Segment:
        """Create a writer's segment; `discard()` removes it."""
        identity = _check(_shmget(key, max(size, 1), _IPC_CREAT | _IPC_EXCL | mode))
        try:
            return cls(identity, owned=True)
        except OSError:
            _libc.shmctl(identity, _IPC_RMID, None)
            raise

    def memory(self) -> memoryview:
        """All of its bytes, borrowed; writable for the owner only. The view keeps the segment attached."""
        bytes_there = (ctypes.c_ubyte * self.size).from_address(self._address)
        bytes_there.segment = self  # type: ignore[attr-defined]
        view = memoryview(bytes_there).cast("B")
        return view if self._owned else view.toreadonly()

    def copy_out(self, size: int) -> None:
        """Put a private copy of the first `size` bytes in the segment's place, at its address.

        Raises:
            OSError: There is no memory for the copy; the segment stays attached.
        """
        if self._mapped:
            return
        whole = -(-self.size // mmap.PAGESIZE) * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        copy = _libc.mmap(None, whole, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        if copy == _FAILED:
            _check(-1)
        ctypes.memmove(copy, self._address, min(size, self.size))
        if _libc.mremap(copy, whole, whole, _MREMAP_MAYMOVE_FIXED, self._address) == _FAILED:
            number = ctypes.get_errno()
            _libc.munmap(copy, whole)
            raise OSError(number, os.strerror(number))
        self._mapped = whole

    def discard(self) -> None:
        """Remove a writer's segment from the kernel; it stays attached for arrays that are still looked at."""
        if self._owned:
            self._owned = False
            if os.getpid() == self._process:
                _libc.shmctl(self.identity, _IPC_RMID, None)

    def __del__(self) -> None:
        if self._mapped:
            _libc.munmap(self._address, self._mapped)
        elif self._address:
            _libc.shmdt(self._address)
        self.discard()


class Step(NamedTuple):
    """One step of a semaphore operation: add, take, or wait for zero."""

    number: int
    change: int
    undone: bool = False
    at_once: bool = False


class Operation:
    """Steps that are done in one go, laid out for the kernel once and for all.

    Args:
        steps: What to do.
        timeout: Seconds to wait for it to be possible.
    """

    __slots__ = ("_limit", "_steps", "arguments")

    def __init__(self, *steps: Step, timeout: float = 0.02) -> None:
        self._steps = (_SemBuf * len(steps))()
        for place, step in zip(self._steps, steps, strict=True):
            place.number, place.change = step.number, step.change
            place.flags = (_SEM_UNDO if step.undone else 0) | (_IPC_NOWAIT if step.at_once else 0)
        self._limit = _TimeSpec(int(timeout), int(timeout % 1 * 1e9))
        self.arguments = (ctypes.addressof(self._steps), len(steps), ctypes.addressof(self._limit))


class Outcome(Enum):
    """How a bounded semaphore operation ended."""

    DONE = "done"
    TIMED_OUT = "timed out"
    REMOVED = "removed"


# Looking up a member takes as long as the system call does.
DONE: Final = Outcome.DONE


class Semaphores:
    """The two semaphores of a path."""

    __slots__ = ("_owned", "_process", "identity")

    def __init__(self, key: int) -> None:
        self._owned = False
        self._process = os.getpid()
        self.identity = _check(_libc.semget(ctypes.c_int(key), 2, 0))

    @classmethod
    def create(cls, key: int, mode: int) -> Semaphores:
        """Create a writer's set, both 0. Never one with id 0, which other readers take for no set."""
        made = cls.__new__(cls)
        made._owned = False
        made._process = os.getpid()
        flags = _IPC_CREAT | _IPC_EXCL | mode
        made.identity = _check(_libc.semget(ctypes.c_int(key), 2, flags))
        if made.identity == 0:
            # The kernel does not give the same id twice in a row.
            _libc.semctl(0, 0, _IPC_RMID)
            made.identity = _check(_libc.semget(ctypes.c_int(key), 2, flags))
        made._owned = True
        return made

    def readers(self) -> int:
        """Readers that have not finished (plus the writer, while it is inside)."""
        return _check(_libc.semctl(self.identity, READERS, _GETVAL))

    def has_writer(self) -> bool:
        """Whether a writer is inside."""
        return _check(_libc.semctl(self.identity, WRITER, _GETVAL)) > 0

    def operate(self, operation: Operation) -> Outcome:
        """Do the steps, waiting without the GIL."""
        if _semtimedop(self.identity, *operation.arguments) == 0:
            return DONE
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return Outcome.TIMED_OUT
        if number in (errno.EIDRM, errno.EINVAL):
            return Outcome.REMOVED
        raise OSError(number, os.strerror(number))

    def discard(self) -> None:
        """Remove the set, if it is ours."""
        if self._owned:
            self._owned = False
            # A forked child's copy: the set is the parent's.
            if os.getpid() == self._process:
                _libc.semctl(self.identity, 0, _IPC_RMID)

    def __del__(self) -> None:
        if getattr(self, "_owned", False):
            self.discard()
