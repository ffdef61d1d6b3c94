"""The location of a stream: the path of its socket, or a label and group from which the path is derived."""

from __future__ import annotations

import os
import stat
import string
from contextlib import suppress
from pathlib import Path
from typing import Final

from .errors import AddressError

MAX_PATH: Final = 107
"""Maximum length of a socket path in bytes."""
DEFAULT_GROUP: Final = "default"
"""Group used if a stream is specified only by its label."""

_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-_.")


def address(label: str, group: str = DEFAULT_GROUP) -> Path:
    """Return the path of the stream with this label and group.

    The path is `$XDG_RUNTIME_DIR/sh4lt/GROUP/LABEL`, or `/tmp/sh4lt-UID/GROUP/LABEL` if the variable is not set. This
    rule is our own, because Sh4lt's rule is unknown. Bytes other than letters, digits, `-`, `_` and `.` are written as
    `%` and two hex digits.

    Args:
        label: Name of the stream.
        group: Group of the stream.

    Returns:
        The path, which may not exist.

    Raises:
        AddressError: A name is empty, "." or "..".

    Example:
        Print the path of a stream:

            from gst_iceoryx2.sh4lt import address

            print(address("cam 0", group="stage"))  # /run/user/1000/sh4lt/stage/cam%200
    """
    return runtime_folder() / _file_name("group", group) / _file_name("label", label)


def runtime_folder() -> Path:
    """Return the folder for this user's streams with labels."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime, "sh4lt") if runtime else Path(f"/tmp/sh4lt-{os.getuid()}")


def resolve(path: str | os.PathLike[str] | None, label: str | None, group: str) -> Path:
    """Return the given path, or else the path for the label and group.

    Raises:
        AddressError: The path is too long, or a name is invalid.
        TypeError: Neither a path nor a label was given.
    """
    if path is not None:
        return check_length(Path(path))
    if label is None:
        raise TypeError("neither a path nor a label was given")
    return check_length(address(label, group))


def check_length(path: Path) -> Path:
    """Return the path if it is short enough for a socket.

    Raises:
        AddressError: The path has more than 107 bytes.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise AddressError(
            f"{path}: the path has {length} bytes, but a socket path can have at most {MAX_PATH}; choose a shorter path"
        )
    return path


def is_socket(path: Path) -> bool:
    """Return whether a socket exists at the path, without connecting to it.

    Raises:
        AddressError: Something other than a socket exists at the path.
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


def prepare_folder(address: Path) -> None:
    """Create the folders for an `address` with mode 0700.

    Raises:
        AddressError: A folder belongs to another user, who could therefore replace the socket.
    """
    for folder in (address.parent.parent, address.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise AddressError(f"{folder} belongs to another user; choose a path instead of a label")


def error_of_use(path: Path, error: OSError) -> OSError:
    """Return the error to raise after the system refused a path. It names the owner if that is another user."""
    reason = error.strerror or str(error)
    with suppress(OSError):
        owner, user = path.stat().st_uid, os.geteuid()
        if isinstance(error, PermissionError) and owner != user:
            whose = f"the path belongs to user {owner} (this process runs as user {user})"
            reason = f"permission denied: {whose}; run both as the same user"
    return OSError(error.errno, reason, os.fspath(path))


def _file_name(what: str, name: str) -> str:
    if name in ("", ".", ".."):
        raise AddressError(f"{what} {name!r} cannot be used in a path: it is empty, '.' or '..'; choose another name")
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in name.encode())
