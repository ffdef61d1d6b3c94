"""The messages of the protocol and the keys of its kernel objects.

The messages are native structs of 64-bit little-endian C++ programs, without a version number. They are the same in
Shmdata 1.0.2 to 1.3.77.
"""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

from .errors import TypeTextError

CONNECT_SIZE: Final = 4112
"""Size in bytes of the first message, and of the copy that a reader sends back."""
UPDATE_SIZE: Final = 16
"""Size in bytes of the message that announces a frame."""
QUIT: Final = b"\x02\x00"
"""The last message from either side."""
MAX_TYPE: Final = 4095
"""Maximum length of the type text in bytes."""
SEGMENT_PROJECT: Final = ord("n")
SEMAPHORE_PROJECT: Final = ord("m")
READERS: Final = 0
"""Index of the semaphore that counts the readers that have not released the frame."""
WRITER: Final = 1
"""Index of the semaphore that is 1 while a writer is writing."""

_UPDATE = struct.Struct("<H6xQ")
_CONNECT = struct.Struct("<H6xQ4096s")


class Keys(NamedTuple):
    """SysV keys for the segment and semaphores of a path."""

    segment: int
    semaphores: int


def keys_of(path: Path) -> Keys:
    """Return the keys that glibc's `ftok` derives from the socket at `path`, which must exist."""
    meta = path.stat()
    file = (meta.st_dev & 0xFF) << 16 | (meta.st_ino & 0xFFFF)
    return Keys(SEGMENT_PROJECT << 24 | file, SEMAPHORE_PROJECT << 24 | file)


def connect_message(type_text: str, segment_size: int) -> bytes:
    """Return a writer's first message, the greeting."""
    return _CONNECT.pack(0, segment_size, check_type(type_text))


def receive_greeting(connection: socket.socket) -> bytes:
    """Receive a writer's complete greeting.

    Raises:
        OSError: The greeting did not arrive completely within the timeout of `connection`. It is a ConnectionResetError
            if the writer closed the connection.
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
    """Return the type text in a writer's greeting; bytes that are not valid UTF-8 are replaced."""
    return greeting[16:].split(b"\0", 1)[0].decode("utf-8", "replace")


def update_message(size: int) -> bytes:
    """Return the message that announces a frame of `size` bytes."""
    return _UPDATE.pack(1, size)


def announced_size(message: bytes) -> int | None:
    """Return the size in bytes of the frame that a message announces; None if it is not an announcement."""
    if len(message) < UPDATE_SIZE:
        return None
    kind, size = _UPDATE.unpack_from(message)
    return int(size) if kind == 1 else None


def is_quit(message: bytes) -> bool:
    """Return whether a message is a good-bye."""
    return message[:2] == QUIT


def check_type(type_text: str) -> bytes:
    """Check a type text and return it as bytes.

    Raises:
        TypeTextError: The type text has more than 4095 bytes or contains a NUL.
    """
    text = type_text.encode()
    if len(text) > MAX_TYPE:
        raise TypeTextError(f"the type text has {len(text)} bytes, but at most {MAX_TYPE} are allowed")
    if b"\0" in text:
        raise TypeTextError("the type text contains a NUL")
    return text
