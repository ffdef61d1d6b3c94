"""One page that watches: sends it the newest pictures as fast as it takes them, and no faster."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from .._wire.stamp import monotonic_ns
from .channel import Channel, JpegPicture
from .websocket import POLICY, WebSocket, WebSocketClosed, text_message

# Pictures of a stream on their way to a page. One would make the way there and back part of every picture's time.
_WINDOW: Final = 3
_STATUS_INTERVAL: Final = 0.5
# A page that has pictures and says nothing for so long does not watch.
_PATIENCE: Final = 30.0
# Milliseconds since a page was opened; no page is open for longer than 300,000 years.
_MAX_CLOCK: Final = 1e16


class Viewer:
    """Serves one WebSocket until it closes. The page tells which streams it wants, and each picture it has drawn.

    What the page has not confirmed is limited, so nothing piles up on the way; while it cannot take a picture it does
    not count as somebody who wants one, and it gets the newest afterwards, not those it missed.

    Args:
        websocket: The connection, after its handshake.
        channels: The streams, by their numbers.
    """

    def __init__(self, websocket: WebSocket, channels: Sequence[Channel]) -> None:
        self._websocket = websocket
        self._channels = channels
        self._watched: set[int] = set()
        self._last: dict[int, JpegPicture | None] = {}
        self._on_their_way: dict[int, deque[int]] = {index: deque() for index in range(len(channels))}
        self._heard = time.monotonic()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._ends = False

    def wake(self) -> None:
        """A picture is there, or the end is near; from any thread."""
        # A full pipe rings already; a closed one belongs to a viewer that has gone.
        with contextlib.suppress(OSError):
            self._rope.send(b"!")

    def end(self) -> None:
        """Make `serve` return; from any thread."""
        self._ends = True
        self.wake()

    def serve(self) -> None:
        """Send pictures and status until the page goes, stalls, or `end` is called."""
        poll = select.poll()
        poll.register(self._websocket, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        next_status = 0.0
        try:
            while not self._ends:
                now = time.monotonic()
                if now >= next_status:
                    self._send_status()
                    next_status = now + _STATUS_INTERVAL
                self._send_pictures()
                for descriptor, _ in poll.poll(max(1, (next_status - time.monotonic()) * 1000)):
                    if descriptor == self._bell.fileno():
                        self._bell.recv(4096)
                    else:
                        self._hear()
                if any(self._on_their_way.values()) and time.monotonic() - self._heard > _PATIENCE:
                    return
        except WebSocketClosed:
            return
        finally:
            for channel in self._channels:
                channel.want(self, None)
            self._bell.close()
            self._rope.close()

    # -- to the page -------------------------------------------------------------------------------------------------

    def _send_status(self) -> None:
        streams = []
        for channel in self._channels:
            status = channel.status()._asdict()
            status["encode_ms"] = round(1000 * status.pop("encode_seconds") / max(1, status["encoded"]), 2)
            streams.append(status)
        self._websocket.send(text_message(json.dumps({"streams": streams}, separators=(",", ":"))))

    def _send_pictures(self) -> None:
        for index in self._watched:
            channel, on_their_way = self._channels[index], self._on_their_way[index]
            picture = channel.picture
            if picture is not None and picture is not self._last.get(index) and len(on_their_way) < _WINDOW:
                # Taken note of before: sending may wait, and a newer one is then due at once.
                self._last[index] = picture
                on_their_way.append(picture.number)
                self._say_what_is_wanted(index)
                self._websocket.send(picture.message)

    def _say_what_is_wanted(self, index: int) -> None:
        takes = index in self._watched and len(self._on_their_way[index]) < _WINDOW
        self._channels[index].want(self, self.wake if takes else None)

    # -- from the page -----------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        for text in self._websocket.receive():
            self._heard = time.monotonic()
            try:
                message = json.loads(text)
            except (ValueError, RecursionError):
                message = None
            if not self._do(message):
                self._websocket.close(POLICY)
                raise WebSocketClosed(f"a message that makes no sense: {text[:80]!r}")

    def _do(self, message: object) -> bool:
        """Do what a message asks for; False if it asks for nothing that can be done."""
        match message:
            case {"drawn": [int(index), int(number)]} if index in self._on_their_way:
                on_their_way = self._on_their_way[index]
                while on_their_way and on_their_way[0] <= number:
                    on_their_way.popleft()
                self._say_what_is_wanted(index)
            case {"watch": [*indices]} if all(isinstance(index, int) for index in indices):
                # A page that was open before may know more streams than there are now.
                self._watched = self._on_their_way.keys() & set(indices)
                for index in self._on_their_way:
                    self._say_what_is_wanted(index)
            case {"clock": int(asked) | float(asked)} if abs(asked) < _MAX_CLOCK:
                answer = {"clock": [asked, monotonic_ns() / 1e6]}
                self._websocket.send(text_message(json.dumps(answer)))
            case _:
                return False
        return True
