"""Serves one page: sends the newest pictures as fast as the page draws them, or packets that the page decodes."""

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
from .packet_flow import PacketFlow
from .results_channel import ResultsFlow
from .websocket import POLICY, WebSocket, WebSocketClosed, text_message

# Maximum number of unconfirmed pictures per stream. With 1, every picture would wait for a round trip.
_WINDOW: Final = 3
_STATUS_INTERVAL: Final = 0.5
# A page that does not confirm any picture for this many seconds is disconnected.
_STALLED: Final = 30.0
# Maximum value of a page's clock, in milliseconds: about 300,000 years.
_MAX_CLOCK: Final = 1e16


class Viewer:
    """Serves one WebSocket until it closes. The page selects the streams that it wants, and confirms drawn pictures.

    The number of unconfirmed pictures is limited, so that pictures do not pile up in transit. A page at the limit is
    not sent pictures. When it confirms one, it receives the newest picture; older ones are skipped.

    The page also says which streams it can decode. It receives their packets instead, if another process encodes them.

    Args:
        websocket: The connection, after its handshake.
        channels: The streams. A stream's number is its index.
        max_fps: Maximum number of pictures per second that the page draws of each stream; None draws all.
        results_wait: Longest time in seconds that the page holds a picture for its results.
    """

    def __init__(
        self,
        websocket: WebSocket,
        channels: Sequence[Channel],
        max_fps: float | None = None,
        results_wait: float = 0.0,
    ) -> None:
        self._websocket = websocket
        self._channels = channels
        self._max_fps = max_fps
        self._results_wait = results_wait
        self._watched: set[int] = set()
        # Streams that the page decodes, and those of them of which it is sent packets at present.
        self._decodable: set[int] = set()
        self._flows: dict[int, PacketFlow] = {}
        # Streams whose results the page draws.
        self._with_results: set[int] = set()
        self._results = [ResultsFlow(channel.results) for channel in channels]
        self._last: dict[int, JpegPicture | None] = {}
        self._unconfirmed: dict[int, deque[int]] = {index: deque() for index in range(len(channels))}
        self._awaits_picture: dict[int, bool] = dict.fromkeys(self._unconfirmed, False)
        self._received_at = time.monotonic()
        self._wake_end, self._waker = socket.socketpair()
        self._wake_end.setblocking(False)
        self._waker.setblocking(False)
        self._ends = False

    def wake(self) -> None:
        """Wake `serve` to send a picture or to return. Thread-safe."""
        # If the socket is full, `serve` will wake up anyway. If it is closed, the viewer has gone.
        with contextlib.suppress(OSError):
            self._waker.send(b"!")

    def end(self) -> None:
        """Make `serve` return. Thread-safe."""
        self._ends = True
        self.wake()

    def serve(self) -> None:
        """Send pictures and status until the page closes or stalls, or until `end` is called."""
        poll = select.poll()
        poll.register(self._websocket, select.POLLIN)
        poll.register(self._wake_end, select.POLLIN)
        next_status = 0.0
        try:
            while not self._ends:
                now = time.monotonic()
                if now >= next_status:
                    self._choose()
                    self._send_status()
                    next_status = now + _STATUS_INTERVAL
                self._send_pictures()
                self._send_packets()
                self._send_results()
                for descriptor, _ in poll.poll(max(1, (next_status - time.monotonic()) * 1000)):
                    if descriptor == self._wake_end.fileno():
                        self._wake_end.recv(4096)
                    else:
                        self._receive()
                if self._has_unconfirmed() and time.monotonic() - self._received_at > _STALLED:
                    return
        except WebSocketClosed:
            return
        finally:
            for channel in self._channels:
                channel.want(self, None)
                channel.packets.want(self, None)
                for results in channel.results:
                    results.want(self, None)
                channel.watch(self, as_packets=None)
            self._wake_end.close()
            self._waker.close()

    # -- to the page -------------------------------------------------------------------------------------------------

    def _send_status(self) -> None:
        streams = []
        for channel in self._channels:
            status = channel.status()._asdict()
            status["results"] = [one._asdict() for one in status["results"]]
            status["encode_ms"] = round(1000 * status.pop("encode_seconds") / max(1, status["encoded"]), 2)
            streams.append(status)
        message = {"streams": streams, "max_fps": self._max_fps, "results_wait": 1000 * self._results_wait}
        self._websocket.send(text_message(json.dumps(message, separators=(",", ":"))))

    def _send_pictures(self) -> None:
        for index in (index for index, awaits in self._awaits_picture.items() if awaits):
            channel, unconfirmed = self._channels[index], self._unconfirmed[index]
            picture = channel.picture
            if picture is not None and picture is not self._last.get(index) and len(unconfirmed) < _WINDOW:
                # Recorded before sending, because sending may block while a newer picture arrives.
                self._last[index] = picture
                unconfirmed.append(picture.number)
                self._tell_channel(index)
                self._results[index].note(picture.frame)
                self._websocket.send(picture.message)

    def _send_packets(self) -> None:
        for index in self._watched & self._decodable - self._flows.keys():
            if self._channels[index].has_packets:
                # The first packets have arrived.
                self._choose_way(index)
        for index, flow in self._flows.items():
            for packet in flow.take():
                self._results[index].note(packet.frame)
                self._websocket.send(packet.message)

    def _send_results(self) -> None:
        for index in self._with_results:
            for found in self._results[index].take():
                self._websocket.send(found.message)

    def _choose(self) -> None:
        for index in self._unconfirmed:
            self._choose_way(index)
            for results in self._channels[index].results:
                results.want(self, self.wake if index in self._with_results else None)

    def _choose_way(self, index: int) -> None:
        """Choose between packets and pictures of a stream, and tell the channel."""
        channel = self._channels[index]
        is_watched = index in self._watched
        wants_packets = is_watched and channel.offers_packets() and index in self._decodable
        channel.packets.want(self, self.wake if wants_packets else None)
        if not (wants_packets and channel.has_packets):
            self._flows.pop(index, None)
        elif index not in self._flows:
            self._flows[index] = PacketFlow(channel.packets)
            self._unconfirmed[index].clear()
        is_sent_packets = index in self._flows or (wants_packets and channel.expects_packets)
        channel.watch(self, as_packets=is_sent_packets if is_watched else None)
        self._awaits_picture[index] = is_watched and not is_sent_packets
        self._tell_channel(index)

    def _tell_channel(self, index: int) -> None:
        takes = self._awaits_picture[index] and len(self._unconfirmed[index]) < _WINDOW
        self._channels[index].want(self, self.wake if takes else None)

    def _has_unconfirmed(self) -> bool:
        return any(self._unconfirmed.values()) or any(flow.has_unconfirmed for flow in self._flows.values())

    # -- from the page -----------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        for text in self._websocket.receive():
            self._received_at = time.monotonic()
            try:
                message = json.loads(text)
            except (ValueError, RecursionError):
                message = None
            if not self._handle(message):
                self._websocket.close(POLICY)
                raise WebSocketClosed(f"invalid message: {text[:80]!r}")

    def _handle(self, message: object) -> bool:
        """Handle a message; return whether it is valid."""
        match message:
            case {"drawn": [int(index), int(number)]} if index in self._unconfirmed:
                unconfirmed = self._unconfirmed[index]
                while unconfirmed and unconfirmed[0] <= number:
                    unconfirmed.popleft()
                self._tell_channel(index)
            case {"watch": [*indices]} if all(isinstance(index, int) for index in indices):
                # A page from an earlier server may request streams that this one does not have.
                self._watched = self._unconfirmed.keys() & set(indices)
                self._choose()
            case {"decodes": [*indices]} if all(isinstance(index, int) for index in indices):
                self._decodable = self._unconfirmed.keys() & set(indices)
                self._choose()
            case {"results": [*indices]} if all(isinstance(index, int) for index in indices):
                self._with_results = self._unconfirmed.keys() & set(indices)
                self._choose()
            case {"decoded": [int(index), int(number)]} if index in self._unconfirmed:
                if index in self._flows:
                    self._flows[index].confirm(number)
            case {"restart": int(index)} if index in self._unconfirmed:
                if index in self._flows:
                    self._flows[index].restart()
            case {"clock": int(asked) | float(asked)} if abs(asked) < _MAX_CLOCK:
                answer = {"clock": [asked, monotonic_ns() / 1e6]}
                self._websocket.send(text_message(json.dumps(answer)))
            case _:
                return False
        return True
