"""One HTTP request and its answer, on bytes (RFC 9112 sections 2 to 6); no connection is needed here.

The server answers one request a connection and then closes it, so a body or a second request is never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

MAX_HEAD: Final = 16 * 1024
"""Bytes of a request's first line and header fields, the empty line included."""

END_OF_HEAD: Final = b"\r\n\r\n"

_LINE: Final = re.compile(r"([A-Z]+) (?:(?i:http)://([^ /?#@]+))?(/[!-~]*) HTTP/1\.(\d)")
_FIELD: Final = re.compile(r"([\w!#$%&'*+.^`|~-]+):([^\x00-\x08\x0a-\x1f\x7f]*)", re.ASCII)
# A second one of these would mean something else to another program.
_SINGLE: Final = frozenset(
    ("content-length", "host", "origin", "sec-websocket-key", "sec-websocket-version", "transfer-encoding")
)


class Refusal(Exception):
    """A request that gets an error as its answer.

    Args:
        status: HTTP status code.
        why: One sentence for the person who asked.
        headers: Header fields of the answer.
    """

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers

    def answer(self) -> bytes:
        """What to send."""
        return answer(self.status, f"{self}\n", "text/plain; charset=utf-8", self.headers)


class Request(NamedTuple):
    """The head of a request.

    Attributes:
        method: For instance `GET`.
        path: Begins with a slash; without the query.
        host: The name under which the server was asked, with its port; None if the request has none.
        headers: Header fields by their names in lower case; values of equal names are joined with commas.
        can_upgrade: Whether the connection may become a WebSocket: nothing was sent behind the head.
    """

    method: str
    path: str
    host: str | None
    headers: dict[str, str]
    can_upgrade: bool


def parse(data: bytes) -> Request:
    """Read the head of a request.

    Args:
        data: The head, and what was received behind it.

    Raises:
        Refusal: The head does not end within `MAX_HEAD` bytes, breaks the rules of HTTP/1.1, or announces a body.
    """
    head, end, rest = data.partition(END_OF_HEAD)
    if not end:
        raise Refusal(431, f"The head of the request is longer than {MAX_HEAD:,} bytes.")
    first, *lines = head.decode("latin-1").split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise Refusal(400, "The first line is not a request of HTTP/1.1 for a path.")
    headers: dict[str, str] = {}
    for text in lines:
        field = _FIELD.fullmatch(text)
        if field is None:
            raise Refusal(400, "A header field is malformed.")
        name, value = field[1].lower(), field[2].strip(" \t")
        if name in headers:
            if name in _SINGLE:
                raise Refusal(400, f"The request has more than one header field {name}.")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise Refusal(400, "A request to this server has no body.")
    method, authority, target, minor = line.groups()
    if "host" not in headers and minor != "0":
        raise Refusal(400, "The request has no header field host.")
    # A whole address names the host; the header field then does not count (RFC 9112 section 3.2.2).
    host = authority or headers.get("host")
    return Request(method, target.partition("?")[0], host, headers, can_upgrade=minor != "0" and not rest)


def answer(
    status: int, text: str, kind: str, headers: Mapping[str, str] | None = None, *, with_body: bool = True
) -> bytes:
    """An answer behind which the connection is closed.

    Args:
        status: HTTP status code.
        text: The body.
        kind: Its media type.
        headers: Further header fields.
        with_body: False for the answer to HEAD.
    """
    body = text.encode()
    fields = {
        "Date": formatdate(usegmt=True),
        "Server": "iox2-video",
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Connection": "close",
        **(headers or {}),
    }
    return _head(status, fields) + (body if with_body else b"")


def upgrade(key: str) -> bytes:
    """The answer that makes a WebSocket of the connection.

    Args:
        key: Value of Sec-WebSocket-Accept.
    """
    return _head(101, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": key})


def _head(status: int, fields: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD
