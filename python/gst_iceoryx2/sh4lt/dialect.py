"""The protocol's messages and the keys of its kernel objects.

The messages are native structs of a 64-bit little-endian C++ program, without a version number: Shmdata 1.0.2 to
1.3.77.
"""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

from .errors import TypeTextError

CONNECT_SIZE: Final = 4112
"""Size of the first message, and of the reader's copy of it, in bytes."""
UPDATE_SIZE: Final = 16
"""Size of the message before each frame in bytes."""
QUIT: Final = b"\x02\x00"
"""The last message of either side."""
MAX_TYPE: Final = 4095
"""Longest type text in bytes."""
SEGMENT_PROJECT: Final = ord("n")
SEMAPHORE_PROJECT: Final = ord("m")
READERS: Final = 0
"""Index of the semaphore that counts the readers that have not finished."""
WRITER: Final = 1
"""Index of the semaphore that is 1 while a writer writes."""

_UPDATE = struct.Struct("<H6xQ")
_CONNECT = struct.Struct("<H6xQ4096s")


class Keys(NamedTuple):
    """SysV keys of a path's segment and semaphores."""

    segment: int
    semaphores: int


def keys_of(path: Path) -> Keys:
    """The keys that glibc's `ftok` derives from the socket at `path`, which must exist."""
    meta = path.stat()
    file = (meta.st_dev & 0xFF) << 16 | (meta.st_ino & 0xFFFF)
    return Keys(SEGMENT_PROJECT << 24 | file, SEMAPHORE_PROJECT << 24 | file)


def connect_message(type_text: str, segment_size: int) -> bytes:
    """A writer's first message, its greeting."""
    return _CONNECT.pack(0, segment_size, check_type(type_text))


def receive_greeting(connection: socket.socket) -> bytes:
    """Receive a writer's whole greeting.

    Raises:
        OSError: The greeting is not complete within the timeout of `connection`; ConnectionResetError if the writer
            leaves instead.
    """
    greeting = b""
    deadline = time.monotonic() + (connection.gettimeout() or 0.0)
    while len(greeting) < CONNECT_SIZE:
        if time.monotonic() > deadline:
            raise TimeoutError
        part = connection.recv(CONNECT_SIZE - len(greeting))
        if not part:
            raise ConnectionResetError
        greeting += part
    return greeting


def type_text_of(greeting: bytes) -> str:
    """The type text in a writer's greeting; bytes that are not UTF-8 are replaced."""
    return greeting[16:].split(b"\0", 1)[0].decode("utf-8", "replace")


def update_message(size: int) -> bytes:
    """The message that announces a frame of `size` bytes."""
    return _UPDATE.pack(1, size)


def announced_size(message: bytes) -> int | None:
    """Size of the frame that a message announces in bytes; None if the message is not an announcement."""
    if len(message) < UPDATE_SIZE:
        return None
    kind, size = _UPDATE.unpack_from(message)
    return int(size) if kind == 1 else None


def is_quit(message: bytes) -> bool:
    """Whether a message is a good-bye."""
    return message[:2] == QUIT


def check_type(type_text: str) -> bytes:
    """The type text as bytes.

    Raises:
        TypeTextError: The type text has more than 4095 bytes or contains a NUL.
    """
    text = type_text.encode()
    if len(text) > MAX_TYPE:
        raise TypeTextError(f"the type text has {len(text)} bytes; at most {MAX_TYPE} are possible")
    if b"\0" in text:
        raise TypeTextError("the type text contains a NUL")
    return text
