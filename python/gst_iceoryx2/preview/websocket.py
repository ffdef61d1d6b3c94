"""The server side of a WebSocket (RFC 6455, version 13), with only the features that the preview's page needs.

The server sends pictures as binary messages and status as text messages, and receives short text messages. It closes
the connection on a fragmented or long message. Servers do not mask their frames, so all viewers receive the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = _OPCODES = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
# The page's messages are shorter than this.
_MAX_INCOMING: Final = 1024
_MAX_CONTROL: Final = 125  # RFC 6455 section 5.5
# A whole record of TLS (RFC 8446 section 5.1). What is left of a record would not make the socket readable.
_RECEIVED_AT_ONCE: Final = 1 << 14

# RFC 6455 section 7.4.1
_NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED: Final = 1003
NOT_UTF8: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
_NEVER_SENT: Final = (1004, 1005, 1006, 1015)


class WebSocketClosed(Exception):
    """The client has closed the connection or violated the protocol; nothing more can be sent."""


def accept_key(headers: Mapping[str, str]) -> str | None:
    """Return the value of Sec-WebSocket-Accept for a valid WebSocket request; None for other requests.

    Args:
        headers: Header fields by lower-case name.
    """
    key = headers.get("sec-websocket-key", "")
    upgrades = [part.strip().lower() for part in headers.get("connection", "").split(",")]
    if "upgrade" not in upgrades or headers.get("upgrade", "").lower() != "websocket" or not _KEY.fullmatch(key):
        return None
    if headers.get("sec-websocket-version") != "13":
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def _head(opcode: int, length: int) -> bytes:
    if length < 126:
        return bytes((0x80 | opcode, length))
    if length < 1 << 16:
        return struct.pack(">BBH", 0x80 | opcode, 126, length)
    return struct.pack(">BBQ", 0x80 | opcode, 127, length)


def binary_message(*parts: bytes) -> bytes:
    """Format a binary message as one frame. It can be sent on any number of connections."""
    return b"".join((_head(_BINARY, sum(map(len, parts))), *parts))


def page_message(about: Mapping[str, object], data: bytes) -> bytes:
    """Format a picture or a packet: length of a JSON text (4 bytes, big-endian), JSON text, and the data."""
    head = json.dumps(about, separators=(",", ":")).encode()
    return binary_message(len(head).to_bytes(4, "big"), head, data)


def text_message(text: str) -> bytes:
    """Format a text message as one frame."""
    data = text.encode()
    return _head(_TEXT, len(data)) + data


class WebSocket:
    """One connection, after its handshake. Not thread-safe.

    Args:
        connection: The socket, with a timeout. A client that does not read for this time is disconnected.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()
        self._closed = False

    def fileno(self) -> int:
        """File descriptor, for `select` and `poll`."""
        return self._socket.fileno()

    def send(self, message: bytes) -> None:
        """Send a message created by `binary_message` or `text_message`. Blocks for at most the socket's timeout.

        Raises:
            WebSocketClosed: The client has disconnected, or reads too slowly.
        """
        try:
            self._socket.sendall(message)
        except OSError as exc:
            self._closed = True
            raise WebSocketClosed(str(exc)) from exc

    def receive(self) -> list[str]:
        """Receive text messages, and answer pings. Does not wait for bytes, so call it after `select`.

        Raises:
            WebSocketClosed: The client has disconnected, closed the WebSocket, or violated the protocol.
        """
        timeout = self._socket.gettimeout()
        try:
            # The socket is also readable if TLS has received a part of a record, or one without bytes for us.
            self._socket.settimeout(0)
            data = self._socket.recv(_RECEIVED_AT_ONCE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return []
        except OSError as exc:
            raise WebSocketClosed(str(exc)) from exc
        finally:
            self._socket.settimeout(timeout)
        if not data:
            raise WebSocketClosed("end of file")
        self._received += data
        texts = []
        while (frame := self._next_frame()) is not None:
            opcode, payload = frame
            if opcode == _TEXT:
                try:
                    texts.append(payload.decode())
                except UnicodeDecodeError:
                    self._fail(NOT_UTF8)
            elif opcode == _PING:
                self.send(_head(_PONG, len(payload)) + payload)
            elif opcode == _CLOSE:
                self.close(_answer_to_close(payload))
                raise WebSocketClosed("closed by the client")
        return texts

    def close(self, code: int = 1000) -> None:
        """Send a close frame if this does not block. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self._socket.settimeout(0)
            self._socket.send(_head(_CLOSE, 2) + code.to_bytes(2, "big"))
        except OSError:
            return

    def _fail(self, code: int) -> None:
        self.close(code)
        raise WebSocketClosed(f"protocol error, closed with {code}")

    def _next_frame(self) -> tuple[int, bytes] | None:
        data = self._received
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        opcode, is_last, length, at = first & 0x0F, first & 0x80, second & 0x7F, 2
        is_control = opcode & 0x8
        # No extensions were negotiated, and clients must mask all their frames (sections 5.1 and 5.2).
        if first & 0x70 or not second & 0x80 or opcode not in _OPCODES:
            self._fail(PROTOCOL_ERROR)
        if is_control and (not is_last or length > _MAX_CONTROL):
            self._fail(PROTOCOL_ERROR)
        if opcode in (_CONTINUATION, _BINARY) or not is_last:
            self._fail(UNSUPPORTED)
        if length > _MAX_CONTROL:
            size = 2 if length == 126 else 8
            at += size
            if len(data) < at:
                return None
            length = int.from_bytes(data[2:at], "big")
        if length > _MAX_INCOMING:
            self._fail(TOO_BIG)
        if len(data) < at + 4 + length:
            return None
        mask, masked = data[at : at + 4], data[at + 4 : at + 4 + length]
        del data[: at + 4 + length]
        return opcode, bytes(byte ^ mask[index & 3] for index, byte in enumerate(masked))


def _answer_to_close(payload: bytes) -> int:
    """Return the code with which to answer a close frame with this payload."""
    if not payload:
        return _NORMAL
    code = int.from_bytes(payload[:2], "big")
    return code if len(payload) >= 2 and 1000 <= code < 5000 and code not in _NEVER_SENT else PROTOCOL_ERROR
