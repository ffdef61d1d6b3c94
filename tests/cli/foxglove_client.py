"""A client of Foxglove's protocol over WebSocket (https://docs.foxglove.dev, subprotocol foxglove.sdk.v1)."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from typing import Any

_TEXT, _BINARY = 1, 2
_MESSAGE_DATA = 1
_HEAD = struct.Struct("<BIQ")


class FoxgloveClient:
    """Connects, and reads what the server offers.

    Attributes:
        channels: The channels that the server offers, by topic.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._socket.makefile("rb")
        self._subscriptions: dict[int, str] = {}
        self.channels: dict[str, Any] = {}
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            "GET / HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: foxglove.sdk.v1",
        )
        self._socket.sendall("\r\n".join((*lines, "", "")).encode())
        assert self._file.readline().startswith(b"HTTP/1.1 101 ")
        while self._file.readline() != b"\r\n":
            pass

    def await_topics(self, *topics: str) -> None:
        """Read until the server offers these topics."""
        while not set(topics) <= self.channels.keys():
            self._read()

    def subscribe(self, *topics: str) -> None:
        self.await_topics(*topics)
        asked = []
        for topic in topics:
            number = len(self._subscriptions) + 100
            self._subscriptions[number] = topic
            asked.append({"id": number, "channelId": self.channels[topic]["id"]})
        self._send({"op": "subscribe", "subscriptions": asked})

    def message(self) -> tuple[str, int, bytes]:
        """Wait for a message; return its topic, its time in nanoseconds, and its bytes."""
        while (found := self._read()) is None:
            pass
        return found

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> FoxgloveClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, message: dict[str, Any]) -> None:
        data, mask = json.dumps(message).encode(), os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self._socket.sendall(struct.pack(">BBH", 0x80 | _TEXT, 0x80 | 126, len(data)) + mask + masked)

    def _read(self) -> tuple[str, int, bytes] | None:
        first, second = self._file.read(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._file.read(2 if size == 126 else 8), "big")
        data = self._file.read(size)
        if first & 15 == _TEXT:
            told = json.loads(data)
            if told["op"] == "advertise":
                self.channels |= {channel["topic"]: channel for channel in told["channels"]}
        elif first & 15 == _BINARY and data[0] == _MESSAGE_DATA:
            _, number, at = _HEAD.unpack_from(data)
            return self._subscriptions[number], at, data[_HEAD.size :]
        return None
