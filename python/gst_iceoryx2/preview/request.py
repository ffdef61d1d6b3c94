"""Parses HTTP requests and formats the responses (RFC 9112 sections 2 to 6).

The server answers one request per connection, then closes the connection. It never reads a body or a second request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

MAX_HEAD: Final = 16 * 1024
"""Maximum size of a request's head in bytes: first line, header fields and the final empty line."""

END_OF_HEAD: Final = b"\r\n\r\n"

_LINE: Final = re.compile(r"([A-Z]+) (?:(?i:http)://([^ /?#@]+))?(/[!-~]*) HTTP/1\.(\d)")
_FIELD: Final = re.compile(r"([\w!#$%&'*+.^`|~-]+):([^\x00-\x08\x0a-\x1f\x7f]*)", re.ASCII)
# HTTP implementations disagree on the meaning of duplicates of these fields.
_SINGLE: Final = frozenset(
    ("content-length", "host", "origin", "sec-websocket-key", "sec-websocket-version", "transfer-encoding")
)


class Refusal(Exception):
    """The request is refused with an error response.

    Args:
        status: HTTP status code.
        why: The reason, as a sentence that the browser shows to the user.
        headers: Header fields of the response.
    """

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers

    def answer(self) -> bytes:
        """Return the error as an HTTP response."""
        return answer(self.status, f"{self}\n", "text/plain; charset=utf-8", self.headers)


class Request(NamedTuple):
    """The head of a request.

    Attributes:
        method: Method, such as `GET`.
        path: Path, including the leading slash, without the query.
        host: Host name and port from the request; None if the request does not state them.
        headers: Header fields by lower-case name. Values of repeated fields are joined with commas.
        can_upgrade: Whether the connection may become a WebSocket: HTTP/1.1, and no bytes after the head.
    """

    method: str
    path: str
    host: str | None
    headers: dict[str, str]
    can_upgrade: bool


def parse(data: bytes) -> Request:
    """Parse the head of a request.

    Args:
        data: The head and any bytes after it.

    Raises:
        Refusal: The head does not end within `MAX_HEAD` bytes, violates HTTP/1.1, or announces a body.
    """
    head, end, rest = data.partition(END_OF_HEAD)
    if not end:
        raise Refusal(431, f"The head of the request is longer than {MAX_HEAD:,} bytes.")
    first, *lines = head.decode("latin-1").split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise Refusal(400, "The first line is not a valid HTTP/1.1 request for a path.")
    headers: dict[str, str] = {}
    for text in lines:
        field = _FIELD.fullmatch(text)
        if field is None:
            raise Refusal(400, "A header field is malformed.")
        name, value = field[1].lower(), field[2].strip(" \t")
        if name in headers:
            if name in _SINGLE:
                raise Refusal(400, f"The request has more than one {name} header field.")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise Refusal(400, "Requests to this server must not have a body.")
    method, authority, target, minor = line.groups()
    if "host" not in headers and minor != "0":
        raise Refusal(400, "The request lacks a host header field.")
    # The host in an absolute address overrides the header field (RFC 9112 section 3.2.2).
    host = authority or headers.get("host")
    return Request(method, target.partition("?")[0], host, headers, can_upgrade=minor != "0" and not rest)


def answer(
    status: int, text: str, kind: str, headers: Mapping[str, str] | None = None, *, with_body: bool = True
) -> bytes:
    """Format a response that closes the connection.

    Args:
        status: HTTP status code.
        text: Text of the body.
        kind: Media type of the body.
        headers: Additional header fields.
        with_body: Whether to send the body; False in the response to HEAD.
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
    """Format the response that turns the connection into a WebSocket.

    Args:
        key: Value of Sec-WebSocket-Accept.
    """
    return _head(101, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": key})


def _head(status: int, fields: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD
