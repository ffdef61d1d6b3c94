"""The SysV shared memory and semaphore calls that the protocol needs, through ctypes. Linux only."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from .._at_end import CALL_AT_END, NOTHING
from .dialect import READERS, WRITER, Keys

_IPC_CREAT: Final = 0o1000
_IPC_EXCL: Final = 0o2000
_IPC_RMID: Final = 0
_IPC_STAT: Final = 2
_SHM_RDONLY: Final = 0o10000
_GETVAL: Final = 12
AT_ONCE: Final = 0o4000
"""Flag of a step that fails instead of waiting (IPC_NOWAIT)."""
UNDO: Final = 0x1000
"""Flag of a step that the kernel reverts if the process dies (SEM_UNDO)."""
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


class SegmentStatus(ctypes.Structure):
    """`struct shmid_ds` on 64-bit Linux. Source: bits/types/struct_shmid_ds.h in glibc 2.36.

    Attributes:
        size: Size in bytes.
        creator: ID of the process that created the segment.
        attached: Number of current attachments.
    """

    size: int
    creator: int
    attached: int

    _fields_ = [
        ("perm", _IpcPerm), ("size", ctypes.c_size_t), ("atime", ctypes.c_long), ("dtime", ctypes.c_long),
        ("ctime", ctypes.c_long), ("creator", ctypes.c_int), ("last", ctypes.c_int), ("attached", ctypes.c_ulong),
        ("unused4", ctypes.c_ulong), ("unused5", ctypes.c_ulong),
    ]  # fmt: skip


class Step(ctypes.Structure):
    """A step that adds `change` to a semaphore, or waits until it is 0 if `change` is 0; see `UNDO` and `AT_ONCE`."""

    _fields_ = [("number", ctypes.c_ushort), ("change", ctypes.c_short), ("flags", ctypes.c_short)]


# Longest wait of a semaphore operation, as a `struct timespec`: 20 ms. After each wait, callers check for dead peers
# and Python runs signal handlers.
_MAX_WAIT: Final = (ctypes.c_long * 2)(0, 20_000_000)
_MAX_WAIT_ADDRESS: Final = ctypes.addressof(_MAX_WAIT)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def max_segment() -> int:
    """Return the kernel's limit for the size of one segment, in bytes."""
    return int(Path("/proc/sys/kernel/shmmax").read_text(encoding="ascii"))


def find_segment(key: int) -> int:
    """Return the ID of the segment with this key."""
    return _check(_shmget(key, 0, 0))


def _status(identity: int) -> SegmentStatus:
    status = SegmentStatus()
    _check(_libc.shmctl(identity, _IPC_STAT, ctypes.byref(status)))
    return status


def segment_status(key: int) -> SegmentStatus:
    """Return the status of the segment with this key, without attaching it.

    Raises:
        OSError: There is no such segment, or it belongs to another user.
    """
    return _status(find_segment(key))


def remove(keys: Keys) -> None:
    """Remove the segment and semaphores with these keys, if they exist."""
    segment = _shmget(keys.segment, 0, 0)
    if segment >= 0:
        _libc.shmctl(segment, _IPC_RMID, None)
    semaphores = _libc.semget(ctypes.c_int(keys.semaphores), 2, 0)
    if semaphores >= 0:
        _libc.semctl(semaphores, 0, _IPC_RMID)


def remove_if_dead(keys: Keys) -> None:
    """Remove the segment and semaphores with these keys unless they are in use.

    They are in use if the process that created the segment is alive and any process has the segment attached.
    """
    with suppress(OSError):
        status = _status(find_segment(keys.segment))
        if status.attached and _is_alive(status.creator):
            return
    remove(keys)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


class Segment:
    """An attached segment. It stays attached while this object or a view of its memory exists."""

    __slots__ = ("__weakref__", "_address", "_at_end", "_mapped", "_process", "identity", "is_owned", "size")
    __del__ = CALL_AT_END

    def __init__(self, identity: int, *, owned: bool = False) -> None:
        self._at_end: Callable[[], object] = NOTHING
        self.is_owned = False
        self._process = os.getpid()
        self._mapped = 0
        self.identity = identity
        self.size = int(_status(identity).size)
        address = _libc.shmat(identity, None, 0 if owned else _SHM_RDONLY)
        if address == _FAILED:
            _check(-1)
        self._address = address
        self.is_owned = owned
        self._at_end = partial(_end_owned_segment, address, identity, self._process) if owned else self._detach()

    @classmethod
    def create(cls, key: int, size: int, mode: int) -> Segment:
        """Create and attach a segment. `discard()` removes it from the kernel."""
        identity = _check(_shmget(key, max(size, 1), _IPC_CREAT | _IPC_EXCL | mode))
        try:
            return cls(identity, owned=True)
        except OSError:
            _libc.shmctl(identity, _IPC_RMID, None)
            raise

    def memory(self) -> memoryview:
        """Return a view of the segment, writable if this object created it. The view keeps the segment attached."""
        bytes_there = (ctypes.c_ubyte * self.size).from_address(self._address)
        bytes_there.segment = self  # type: ignore[attr-defined]
        view = memoryview(bytes_there).cast("B")
        return view if self.is_owned else view.toreadonly()

    def copy_out(self, size: int) -> None:
        """Replace the mapping with a private copy of its first `size` bytes at the same address.

        Raises:
            OSError: There is not enough memory for the copy; the segment stays attached.
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
        self._at_end = partial(_libc.munmap, self._address, whole)

    def discard(self) -> None:
        """Remove the segment from the kernel if this object created it. Existing views stay valid."""
        if self.is_owned:
            self.is_owned = False
            _remove_segment(self.identity, self._process)
            self._at_end = self._detach()

    def _detach(self) -> Callable[[], object]:
        return partial(_libc.shmdt, self._address)


def _end_owned_segment(address: int, identity: int, process: int) -> None:
    _libc.shmdt(address)
    _remove_segment(identity, process)


def _remove_segment(identity: int, process: int) -> None:
    # In a forked child, the segment belongs to the parent.
    if os.getpid() == process:
        _libc.shmctl(identity, _IPC_RMID, None)


class Operation:
    """Steps that the kernel performs atomically once all of them are possible, in the kernel's layout."""

    __slots__ = ("_steps", "arguments")

    def __init__(self, *steps: Step) -> None:
        self._steps = (Step * len(steps))(*steps)
        self.arguments = (ctypes.addressof(self._steps), len(steps), _MAX_WAIT_ADDRESS)


class Outcome(Enum):
    """Result of a semaphore operation."""

    DONE = "done"
    TIMED_OUT = "timed out"
    REMOVED = "removed"


# A constant, because looking up the enum member takes as long as the system call.
DONE: Final = Outcome.DONE


class Semaphores:
    """The two semaphores of a path."""

    __slots__ = ("_at_end", "identity")
    __del__ = CALL_AT_END

    def __init__(self, key: int) -> None:
        self._at_end: Callable[[], object] = NOTHING
        self.identity = _check(_libc.semget(ctypes.c_int(key), 2, 0))

    @classmethod
    def create(cls, key: int, mode: int) -> Semaphores:
        """Create both semaphores with value 0. Their ID is never 0, because other readers treat ID 0 as missing."""
        made = cls.__new__(cls)
        made._at_end = NOTHING
        flags = _IPC_CREAT | _IPC_EXCL | mode
        made.identity = _check(_libc.semget(ctypes.c_int(key), 2, flags))
        if made.identity == 0:
            # The kernel does not assign the same ID twice in a row.
            _libc.semctl(0, 0, _IPC_RMID)
            made.identity = _check(_libc.semget(ctypes.c_int(key), 2, flags))
        made._at_end = partial(_remove_semaphores, made.identity, os.getpid())
        return made

    def readers(self) -> int:
        """Return the number of readers that have not released the frame, plus 1 while a writer is writing."""
        return _check(_libc.semctl(self.identity, READERS, _GETVAL))

    def has_writer(self) -> bool:
        """Return whether a writer is writing."""
        return _check(_libc.semctl(self.identity, WRITER, _GETVAL)) > 0

    def operate(self, operation: Operation) -> Outcome:
        """Perform the steps. This waits for up to 20 ms without the GIL; a signal ends the wait early."""
        if _semtimedop(self.identity, *operation.arguments) == 0:
            return DONE
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return Outcome.TIMED_OUT
        if number in (errno.EIDRM, errno.EINVAL):
            return Outcome.REMOVED
        raise OSError(number, os.strerror(number))

    def discard(self) -> None:
        """Remove the semaphores if this object created them."""
        self._at_end()
        self._at_end = NOTHING


def _remove_semaphores(identity: int, process: int) -> None:
    # In a forked child, the semaphores belong to the parent.
    if os.getpid() == process:
        _libc.semctl(identity, 0, _IPC_RMID)
