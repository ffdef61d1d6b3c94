"""A client of the preview's WebSocket in Python, in the place of the page's script."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import socket
import ssl
import struct
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from gst_iceoryx2 import jpeg


class Shown(NamedTuple):
    """A received picture."""

    about: dict[str, Any]
    jpeg: bytes

    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        return jpeg.decode(self.jpeg)


class Sent(NamedTuple):
    """A received packet."""

    about: dict[str, Any]
    data: bytes

    @property
    def number(self) -> int:
        number: int = self.about["number"]
        return number

    @property
    def is_key(self) -> bool:
        return bool(self.about["key"])


class Found(NamedTuple):
    """Received results."""

    about: dict[str, Any]
    cells: bytes


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    text: str


def get(url: str, *, tls: ssl.SSLContext | None = None, **headers: str) -> Answer:
    """Request an address, with any Host header (None = without)."""
    parts = urlsplit(url)
    if tls is None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    else:
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=60, context=tls)
    try:
        connection.putrequest("GET", parts.path, skip_host="Host" in headers)
        for name, value in headers.items():
            if value:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read().decode())
    finally:
        connection.close()


class PageClient:
    """One viewer.

    Args:
        url: Of the page.
        watch: Streams that it wants from the beginning.
        decodes: Streams whose packets it decodes.
        origin: Of whose page the script is; None = of no page's.
        tls: Whom it trusts, for HTTPS.
    """

    def __init__(
        self,
        url: str,
        watch: list[int] | None = None,
        origin: str | None = None,
        tls: ssl.SSLContext | None = None,
        decodes: list[int] | None = None,
    ) -> None:
        parts = urlsplit(url)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {parts.path}live HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Origin: {origin}"] if origin else []
        # Everything is ready before it connects: a server under attack does not wait long for the first bytes.
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._file = self._socket.makefile("rb")
        status = int(self._file.readline().split()[1])
        headers = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if status != 101:
            self.close()
            raise ConnectionRefusedError(status)
        digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        if decodes is not None:
            self.say(decodes=decodes)
        if watch is not None:
            self.say(watch=watch)

    def say(self, **message: Any) -> None:
        """Send a message in JSON."""
        self.send_raw(0x81, json.dumps(message).encode())

    def say_together(self, *messages: dict[str, Any]) -> None:
        """Send messages in JSON by one call."""
        self.send_bytes(b"".join(self._frame(0x81, json.dumps(message).encode()) for message in messages))

    def send_raw(self, first: int, payload: bytes, masked: bool = True) -> None:
        """Send a WebSocket frame."""
        self.send_bytes(self._frame(first, payload, masked))

    @staticmethod
    def _frame(first: int, payload: bytes, masked: bool = True) -> bytes:
        length, bit = len(payload), 0x80 if masked else 0
        if length < 126:
            head = bytes((first, bit | length))
        elif length < 1 << 16:
            head = struct.pack(">BBH", first, bit | 126, length)
        else:
            head = struct.pack(">BBQ", first, bit | 127, length)
        mask = os.urandom(4)
        data = bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload)) if masked else payload
        return head + (mask if masked else b"") + data

    def send_bytes(self, data: bytes) -> None:
        """Send raw bytes."""
        self._socket.sendall(data)

    def close_code(self) -> int:
        """The code of the close frame. Earlier frames are skipped."""
        while (frame := self.receive())[0] != 8:
            pass
        return int.from_bytes(frame[1], "big")

    def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        first, length = self._exactly(2)
        assert first & 0x80
        assert length < 128, "a server masks nothing"
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        return first & 0x0F, self._exactly(length)

    def next(self) -> Shown | Sent | Found | dict[str, Any]:
        """The next picture or packet (not confirmed), results, or message."""
        opcode, payload = self.receive()
        if opcode == 1:
            message: dict[str, Any] = json.loads(payload)
            return message
        assert opcode == 2, (opcode, payload)
        (length,) = struct.unpack(">I", payload[:4])
        about = json.loads(payload[4 : 4 + length])
        kind = Found if "detector" in about else Sent if "key" in about else Shown
        return kind(about, payload[4 + length :])

    def picture(self, timeout: float = 60) -> Shown:
        """The next picture; it is confirmed."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if isinstance(one := self.next(), Shown):
                self.say(drawn=[one.about["stream"], one.about["number"]])
                return one
        raise AssertionError(f"no picture within {timeout} s")

    def packet(self, timeout: float = 60, *, confirms: bool = True) -> Sent:
        """The next packet; it is confirmed."""
        deadline, seen = time.monotonic() + timeout, None
        while time.monotonic() < deadline:
            if isinstance(one := self.next(), Sent):
                if confirms:
                    self.say(decoded=[one.about["stream"], one.number])
                return one
            seen = one if isinstance(one, dict) else seen
        raise AssertionError(f"no packet within {timeout} s: {seen}")

    def results(self, timeout: float = 60) -> tuple[Found, list[str]]:
        """The next results, and the names of the pictures before them, which are confirmed."""
        deadline, names = time.monotonic() + timeout, []
        while time.monotonic() < deadline:
            match self.next():
                case Found() as found:
                    return found, names
                case Shown() as one:
                    self.say(drawn=[one.about["stream"], one.about["number"]])
                    names.append(one.about["frame"])
        raise AssertionError(f"no results within {timeout} s")

    def status(self, **wanted: Any) -> dict[str, Any]:
        """The next status of the first stream with these values. Pictures and packets in between are confirmed."""
        deadline, seen = time.monotonic() + 60, None
        while time.monotonic() < deadline:
            one = self.next()
            if isinstance(one, Shown):
                self.say(drawn=[one.about["stream"], one.about["number"]])
            elif isinstance(one, Sent):
                self.say(decoded=[one.about["stream"], one.number])
            elif "streams" in one:
                seen = one["streams"][0]
                if all(seen[name] == value for name, value in wanted.items()):
                    return seen
        raise AssertionError(f"not {wanted}: {seen}")

    def close(self) -> None:
        """Close the connection without a close frame."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> PageClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise ConnectionError("the server has closed")
        return data


def metrics(url: str, *, tls: ssl.SSLContext | None = None) -> dict[str, float]:
    """Samples of /metrics by name, for the first stream."""
    found: dict[str, float] = {}
    for line in get(url + "metrics", tls=tls).text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found.setdefault(name.partition("{")[0].removeprefix("iox2_video_"), float(value))
    return found
