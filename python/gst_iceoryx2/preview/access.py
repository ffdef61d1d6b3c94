"""Checks whether a request may use a preview, by the token in the address and the host name in the request.

Every user of a machine, and every web page in its browsers, can connect to a port on 127.0.0.1. The address therefore
contains a secret token. The host name must refer to this machine: after DNS rebinding, a page from another site can
send requests here, but with its own name in the Host header.
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
    """Generate a random 192-bit token."""
    return secrets.token_urlsafe(24)


def token_from(path: str | os.PathLike[str]) -> str:
    """Read the token from a file. If the file does not exist, create it with a new token, readable by this user only.

    Raises:
        ValueError: Other users can read the file.
        OSError: The file can neither be read nor created.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_token() + "\n")
    except FileExistsError:
        pass
    with open(path, encoding="ascii", errors="replace") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise ValueError(
                f"other users can read {os.fspath(path)}; run `chmod 600 {os.fspath(path)}`, or choose a new file"
            )
        return file.read(1000).strip()


def is_loopback(host: str) -> bool:
    """Return whether an address or a host name is reachable only from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AccessCheck:
    """Checks tokens, host names and origins of requests.

    Args:
        host: Address on which the server listens.
        token: Secret part of the address; None generates a random one.

    Attributes:
        token: The token in use.

    Raises:
        ValueError: The token is too short, or contains characters that are not allowed in an address.
    """

    def __init__(self, host: str, token: str | None = None) -> None:
        self.token: Final = new_token() if token is None else token
        if len(self.token) < _MIN_TOKEN or not _SAFE.issuperset(self.token):
            raise ValueError(
                f"the token has {len(self.token)} characters; use at least {_MIN_TOKEN}, only letters, digits, - and _"
            )
        self._is_local = is_loopback(host)
        self._names = {"localhost"}
        if not self._is_local:
            self._names |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}

    def knows_token(self, token: str) -> bool:
        """Return whether this is the token. The comparison takes constant time."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def knows_host(self, host: str | None) -> bool:
        """Return whether a Host header names this machine. The port is not checked, because it may be forwarded.

        DNS rebinding does not work with IP addresses. If the server is open to other machines, any IP address is
        accepted, otherwise only loopback addresses.
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
        """Return whether the preview's page opens this WebSocket, or a program other than a browser (no origin)."""
        return origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
