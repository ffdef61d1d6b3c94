"""lockstep.c in Python: the least that pure Python can do for a writer and one reader of the Shmdata protocol.

Usage: python -m benchmarks.python_lockstep write PATH FRAMES FPS BYTES
       python -m benchmarks.python_lockstep read PATH
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.python_meter import Seen
from benchmarks.python_pace import send_frames
from benchmarks.python_sh4lt import drawn, write_stamp
from gst_iceoryx2.sh4lt.dialect import CONNECT_SIZE, READERS, WRITER, keys_of

_CREATE, _REMOVE, _READ_ONLY = 0o1600, 0, 0o10000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_libc.semop.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
_semop = _libc.semop


def _operation(*steps: tuple[int, int]) -> tuple[bytes, int]:
    return b"".join(struct.pack("<Hhh", *step, 0) for step in steps), len(steps)


_ENTER = _operation((READERS, 0), (WRITER, 1), (READERS, 1))
_TOLD = _operation((READERS, 1))
_LEAVE = _operation((READERS, -1), (WRITER, -1))
_LOCK = _operation((WRITER, 0))
_FINISH = _operation((READERS, -1))


def _memory(identity: int, size: int, flags: int) -> memoryview:
    return memoryview((ctypes.c_ubyte * size).from_address(_libc.shmat(identity, None, flags))).cast("B")


def write(path: str, frames: int, fps: int, size: int) -> None:
    pictures, clock = drawn(size), time.monotonic_ns
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        keys = keys_of(Path(path))
        segment = _libc.shmget(ctypes.c_int(keys.segment), ctypes.c_size_t(size), _CREATE)
        semaphores = _libc.semget(ctypes.c_int(keys.semaphores), 2, _CREATE)
        target = _memory(segment, size, 0)
        hello = struct.pack("<QQ", 0, size).ljust(CONNECT_SIZE, b"\0")
        update = struct.pack("<QQ", 1, size)
        reader: socket.socket | None = None

        def send(phase: int, number: int) -> None:
            nonlocal reader
            picture = pictures[number % len(pictures)]
            write_stamp(picture, phase, number, clock())
            if reader is None:
                try:
                    reader, _ = listener.accept()
                    reader.sendall(hello)
                    reader.setblocking(True)
                    reader.recv(CONNECT_SIZE)
                except BlockingIOError:
                    reader = None
            _semop(semaphores, *_ENTER)
            target[:] = picture
            if reader is not None:
                try:
                    reader.send(update)
                    _semop(semaphores, *_TOLD)
                except OSError:
                    reader = None
            _semop(semaphores, *_LEAVE)

        try:
            send_frames(send, frames, fps)
        finally:
            _libc.shmctl(segment, _REMOVE, None)
            _libc.semctl(semaphores, 0, _REMOVE)


def read(path: str) -> None:
    seen, clock = Seen(), time.monotonic_ns
    with socket.socket(socket.AF_UNIX) as writer:
        writer.connect(path)
        hello = writer.recv(CONNECT_SIZE, socket.MSG_WAITALL)
        keys = keys_of(Path(path))
        size = struct.unpack_from("<Q", hello, 8)[0]
        pixels = _memory(_libc.shmget(ctypes.c_int(keys.segment), 0, 0), size, _READ_ONLY)
        semaphores = _libc.semget(ctypes.c_int(keys.semaphores), 2, 0)
        writer.sendall(hello)
        is_last = False
        while not is_last:
            writer.recv(16)
            _semop(semaphores, *_LOCK)
            frame = np.frombuffer(pixels, np.uint8)
            is_last = seen.is_last(frame, clock())
            _semop(semaphores, *_FINISH)
        print(seen.line(), flush=True)


if __name__ == "__main__":
    role, path, *numbers = sys.argv[1:]
    if role == "write":
        write(path, *map(int, numbers))
    else:
        read(path)
