"""Answers the readers of a ring over its socket (SPEC.md section 12)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from .._wire.packet import PACKET_FLAG_DISCONT, PACKET_FLAG_EOS, PACKET_VERSION, VideoPacketHeader
from .._wire.ring import LATEST_END, RECORD, RingRequest, RingStatus, refusal
from .ring import Kept, Ring

MAX_READERS: Final = 8
# Longest time in which a reader sends its request, or reads a packet, in seconds.
_PATIENCE: Final = 10.0
_LATEST_END: Final = LATEST_END * 1_000_000_000
# Time that packets may need from their capture to this process, in nanoseconds.
_DELAY: Final = 1_000_000_000
# Time that readers get to receive their end, in seconds.
_LEAVES_WITHIN: Final = 0.5
# Packets that are sent before new ones are received.
_TURN: Final = 16
# A ring that begins later than a request by less than this is not called too short, in seconds.
_TOLERANCE: Final = 0.1
# A newest packet that is older than this is told, in seconds.
_STALE: Final = 2.0
_END: Final = VideoPacketHeader(version=PACKET_VERSION, flags=PACKET_FLAG_EOS)
_END_CUT: Final = VideoPacketHeader(version=PACKET_VERSION, flags=PACKET_FLAG_EOS | PACKET_FLAG_DISCONT)


class RingServer:
    """Sends packets of a ring to its readers.

    Each reader has a position in the ring, and one packet that is being sent to it. So a slow reader holds no more than
    that: packets that were removed from the ring meanwhile are missing for it, and it is told.

    Args:
        ring: The ring. Call `tell` after each change.
        codec: Codec of its packets.

    Attributes:
        readers: Number of connected readers.
        served: Requests answered.
        refused: Requests refused, because they were invalid or late, or because there were too many readers.
        dropped: Readers that left before the end, or read too slowly.
    """

    def __init__(self, ring: Ring, codec: str) -> None:
        self.readers = self.served = self.refused = self.dropped = 0
        self._ring = ring
        self._codec = codec
        self._news = asyncio.Event()
        self._is_ending = False
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self) -> None:
        """Wake the readers that wait for new packets."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def end(self) -> None:
        """Send each reader its end, and wait for a moment until all have left."""
        self._is_ending = True
        self.tell()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LEAVES_WITHIN)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Only one packet is kept in the connection's own buffer.
        writer.transport.set_write_buffer_limits(high=0)
        self.readers += 1
        try:
            request = await self._request(reader, writer)
            if request is not None:
                await self._answer(writer, request, time.monotonic_ns())
                self.served += 1
        except (OSError, asyncio.TimeoutError):
            self.dropped += 1
            writer.transport.abort()
        finally:
            self.readers -= 1
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> RingRequest | None:
        """Return a connection's request; None if it was refused."""
        try:
            if self.readers > MAX_READERS:
                raise ValueError(f"the ring already has {MAX_READERS} readers, which is its limit; try again later")
            line = await asyncio.wait_for(reader.readline(), _PATIENCE)
            request = RingRequest.of(line)
            if (request.end or 0) > time.monotonic_ns() + _LATEST_END:
                raise ValueError(f'"end" is more than {LATEST_END} s from now')
            return request
        except asyncio.TimeoutError:
            error = f"no request arrived within {_PATIENCE:g} s"
        except ValueError as exc:
            error = str(exc)
        self.refused += 1
        await self._send(writer, refusal(error))
        return None

    async def _answer(self, writer: asyncio.StreamWriter, request: RingRequest, now: int) -> None:
        """Send the state of the ring, the packets that were asked for, and an end."""
        await self._send(writer, self.status(request, now).to_line())
        if request.end is None:
            return
        ring = self._ring
        position = ring.first if request.begin is None else ring.position_at(request.begin)
        end = request.end
        until = end + _DELAY if end > now else now
        count, is_cut = 0, False
        while await self._is_there(position, until):
            # The packets in between were removed. The ring always begins at a keyframe.
            is_cut = position < ring.first
            position = max(position, ring.first)
            kept = ring.at(position)
            if kept.at > end:
                break
            await self._send(writer, _record(kept, is_cut=is_cut))
            is_cut = False
            position, count = position + 1, count + 1
            if count % _TURN == 0:
                await asyncio.sleep(0)
        # A slow reader is also told if the rest of what it asked for was removed.
        await self._send(writer, RECORD.pack(bytes(_END_CUT if is_cut else _END), 0))

    async def _is_there(self, position: int, until: int) -> bool:
        """Wait until there is a packet at a position or after it; return False if none arrives in time."""
        while position >= self._ring.end:
            remaining = (until - time.monotonic_ns()) / 1e9
            if self._is_ending or remaining <= 0:
                return False
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), remaining)
        return True

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer.is_closing():
            raise ConnectionResetError("the reader has left")
        writer.write(data)
        if writer.transport.get_write_buffer_size():
            await asyncio.wait_for(writer.drain(), _PATIENCE)

    def status(self, request: RingRequest, now: int) -> RingStatus:
        """Return the state of the ring for a request that arrived at a time in nanoseconds."""
        ring, span = self._ring, self._ring.span()
        first, last = span or (None, None)
        note = None if request.end is None else self._note(request.begin, span, now)
        return RingStatus(self._codec, len(ring), ring.bytes, first, last, ring.seconds, ring.max_bytes, note)

    def _note(self, begin: int | None, span: tuple[int, int] | None, now: int) -> str | None:
        """Return what is missing of what was asked for, as a sentence."""
        if span is None:
            return "the ring is empty, because no packet has arrived yet"
        silent = (now - span[1]) / 1e9
        missing = 0.0 if begin is None else (span[0] - begin) / 1e9
        if silent > _STALE:
            return f"no packet has arrived for {silent:.1f} s"
        if begin is None or missing <= _TOLERANCE:
            return None
        ring = self._ring
        if ring.is_full:
            reason = f"keep_bytes is {ring.max_bytes / 1e6:g} MB, and they are full"
        elif span[1] - begin > ring.seconds * 1e9:
            reason = f"keep is {ring.seconds:g} s"
        else:
            reason = "the ring has started since"
        return f"the first {missing:.1f} s are missing: {reason}"


def _record(kept: Kept, *, is_cut: bool) -> bytes:
    """Return a packet as it is sent; `is_cut` = packets are missing before it."""
    header = VideoPacketHeader.from_buffer_copy(kept.header)
    if is_cut:
        header.flags |= PACKET_FLAG_DISCONT
    return RECORD.pack(bytes(header), len(kept.data)) + kept.data
