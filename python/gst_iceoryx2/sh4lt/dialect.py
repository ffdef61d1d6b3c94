"""What is said on the wire, and where: messages, type text, address rule.

Everything that Sh4lt's own dialect would change is here. The messages are native structs of a 64-bit little-endian C++
program, without version: Shmdata 1.0.2 to 1.3.77.
"""

from __future__ import annotations

import os
import socket
import stat
import string
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

from .errors import AddressError, TypeTextError

CONNECT_SIZE: Final = 4112
UPDATE_SIZE: Final = 16
QUIT: Final = b"\x02\x00"
MAX_TYPE: Final = 4095
MAX_PATH: Final = 107
SEGMENT_PROJECT: Final = ord("n")
SEMAPHORE_PROJECT: Final = ord("m")
READERS: Final = 0
WRITER: Final = 1
DEFAULT_GROUP: Final = "default"

_UPDATE = struct.Struct("<H6xQ")
_CONNECT = struct.Struct("<H6xQ4096s")
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-_.")


class Keys(NamedTuple):
    """SysV keys of a path's segment and semaphores."""

    segment: int
    semaphores: int


def keys_of(path: Path) -> Keys:
    """The keys that glibc's `ftok` gives for the socket at `path`, which must exist."""
    meta = path.stat()
    file = (meta.st_dev & 0xFF) << 16 | (meta.st_ino & 0xFFFF)
    return Keys(SEGMENT_PROJECT << 24 | file, SEMAPHORE_PROJECT << 24 | file)


def connect_message(type_text: str, segment_size: int) -> bytes:
    """The first message of a writer."""
    return _CONNECT.pack(0, segment_size, check_type(type_text))


def receive_greeting(connection: socket.socket) -> bytes:
    """The whole first message of a writer.

    Raises:
        OSError: It does not come whole in the time that `connection` has for one call; ConnectionResetError if the
            writer goes instead.
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


def type_text_of(connect: bytes) -> str:
    """The type text in a writer's first message."""
    return connect[16:].split(b"\0", 1)[0].decode("utf-8", "replace")


def update_message(size: int) -> bytes:
    """The message before a frame of `size` bytes."""
    return _UPDATE.pack(1, size)


def announced_size(message: bytes) -> int | None:
    """Bytes of the frame that a message announces, or None if it is no announcement."""
    if len(message) < UPDATE_SIZE:
        return None
    kind, size = _UPDATE.unpack_from(message)
    return int(size) if kind == 1 else None


def is_quit(message: bytes) -> bool:
    """Whether a message says good-bye."""
    return message[:2] == QUIT


def check_type(type_text: str) -> bytes:
    """The type text as bytes.

    Raises:
        TypeTextError: It has more than 4095 bytes or contains a NUL.
    """
    text = type_text.encode()
    if len(text) > MAX_TYPE:
        raise TypeTextError(f"the type text has {len(text)} bytes; it takes at most {MAX_TYPE}")
    if b"\0" in text:
        raise TypeTextError("the type text contains a NUL")
    return text


def address(label: str, group: str = DEFAULT_GROUP) -> Path:
    """The path of a stream that is named by label and group.

    `$XDG_RUNTIME_DIR/sh4lt/GROUP/LABEL`, or `/tmp/sh4lt-UID/…` without such a folder. This rule is this project's own.

    Raises:
        AddressError: A name is empty or names a folder.
    """
    return runtime_folder() / _file_name("group", group) / _file_name("label", label)


def runtime_folder() -> Path:
    """The folder of all streams that are named by label and group, of this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime, "sh4lt") if runtime else Path(f"/tmp/sh4lt-{os.getuid()}")


def check_path(path: Path) -> Path:
    """The path, if a socket can have it.

    Raises:
        AddressError: It has more than 107 bytes.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise AddressError(
            f"{path}: the path has {length} bytes, a socket's has at most {MAX_PATH}; choose a shorter one"
        )
    return path


def prepare_folder(address: Path) -> None:
    """Make the folders of an address, for this user alone.

    Raises:
        AddressError: A folder belongs to another user, who could take the socket away.
    """
    folders = [address.parent, address.parent.parent]
    for folder in reversed(folders):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise AddressError(f"{folder} belongs to another user; choose a path instead of a label")


def refuse_other_files(path: Path) -> bool:
    """Whether a socket lies at the path.

    Raises:
        AddressError: Something else does.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISSOCK(mode):
        return True
    kinds = [(stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a symbolic link"), (stat.S_ISREG, "a file")]
    what = next((word for matches, word in kinds if matches(mode)), "a device or pipe")
    raise AddressError(f"{path} is {what}, not a socket; choose another path or remove it")


def refused(path: Path, error: OSError) -> OSError:
    """What to raise for a path that the operating system refused: the same, and whose the path is, if that is why."""
    try:
        owner = path.stat().st_uid
    except OSError:
        owner = os.geteuid()
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError) and owner != os.geteuid():
        us = f"this process runs as user {os.geteuid()}"
        reason = f"it belongs to user {owner} ({us}), and there is no permission to use it; run both as the same user"
    return OSError(error.errno, reason, os.fspath(path))


def _file_name(what: str, name: str) -> str:
    if name in ("", ".", ".."):
        raise AddressError(f"{what} {name!r} cannot be used: it is empty or names a folder")
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in name.encode())
