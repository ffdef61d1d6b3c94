"""Who may come in: the token in the address, and the names under which this server may be called.

File modes keep other users of the machine from the frames; a port on 127.0.0.1 is open to all of them, and to every web
page in a browser on it. So the address has a secret part, and a request must be for a name that can only mean this
machine: a page from elsewhere whose own name has been made to point here (DNS rebinding) says so in its Host header.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
import stat
from typing import Final

_MIN_TOKEN: Final = 16
_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_HOST: Final = re.compile(r"(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d*)?", re.ASCII | re.IGNORECASE)


def new_token() -> str:
    """A token that nobody can guess: 192 bits."""
    return secrets.token_urlsafe(24)


def token_from(path: str | os.PathLike[str]) -> str:
    """The token in a file; a file that does not exist yet is made, with a new one, for this user alone.

    Raises:
        ValueError: Other users can read the file.
        OSError: It can neither be read nor made.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_token() + "\n")
    except FileExistsError:
        pass
    with open(path, encoding="ascii", errors="replace") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise ValueError(
                f"{os.fspath(path)} can be read by other users: chmod 600 it, or name a file that is not there"
            )
        return file.read(1000).strip()


def is_loopback(host: str) -> bool:
    """Whether an address, or a name for one, stays within this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AccessCheck:
    """Decides about each request.

    Args:
        host: Where the server listens.
        token: Secret part of the address; None draws one.

    Attributes:
        token: The one in use.

    Raises:
        ValueError: The token is short, or has characters that do not belong into an address.
    """

    def __init__(self, host: str, token: str | None = None) -> None:
        self.token: Final = new_token() if token is None else token
        if len(self.token) < _MIN_TOKEN or not _SAFE.issuperset(self.token):
            raise ValueError(
                f"token: it has {len(self.token)} characters; wanted are {_MIN_TOKEN} or more, letters, digits, - and _"
            )
        self._is_local = is_loopback(host)
        self._names = {"localhost"}
        if not self._is_local:
            self._names |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}

    def knows_token(self, token: str) -> bool:
        """Whether this is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def knows_host(self, host: str | None) -> bool:
        """Whether a Host header names this machine; any port will do, for those who forward one.

        An address in digits cannot be rebound: behind --host any is good, else those of the loopback.
        """
        match = _HOST.fullmatch(host or "")
        if match is None:
            return False
        name = (match[1] or match[2]).lower().rstrip(".")
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._is_local

    def knows_origin(self, origin: str | None, host: str) -> bool:
        """Whether a WebSocket is asked for by our own page; programs that are no browsers send no origin."""
        return origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
