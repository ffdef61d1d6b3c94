"""The process of a ring: keeps the newest packets of an encoded stream, answers readers, and writes clips."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

from .._iox2.domain import current_domain
from .._iox2.ring_files import listening
from .._wire.packet import PACKET_FLAG_DISCONT
from .._wire.rendition import codec_of
from .._wire.stamp import boot_id
from ..discovery.names import full_name, short_name
from ..errors import Iox2VideoError
from ..packets import Packet, PacketSubscriber
from ..work import Stop
from .clip_rule import ClipRule, watch
from .clips import Clips
from .ring import Kept, Ring
from .ring_server import RingServer

if TYPE_CHECKING:
    from .worker import Commands, Reporter

# Time between two looks for commands, in seconds.
_LOOK: Final = 0.1
# Pause after the stream could not be received, in seconds.
_PAUSE: Final = 0.5
# Time that clips get to end after the readers of the ring, in seconds. The process has 1.5 s for everything.
_CLIPS_END_WITHIN: Final = 0.8
# Time between two requests for a keyframe, in seconds.
_REQUEST_INTERVAL: Final = 1.0


class RingError(Iox2VideoError):
    """A ring cannot be kept."""


def keep(commands: Commands, reporter: Reporter, stop: Stop) -> None:
    """Keep the packets of the supervisor's first line until it is gone; later lines change the limits.

    Raises:
        RingError: Another process keeps this ring, or the folder of the domain cannot be written.
    """
    line = commands.first()
    if line is not None:
        asyncio.run(_Keeper(json.loads(line)).run(commands, reporter, stop))


class _Keeper:
    """A ring, its readers, and its clips."""

    def __init__(self, command: dict[str, Any]) -> None:
        name = command["name"]
        self._service = full_name(name)
        self._ring = Ring(command["keep"], command["keep_bytes"])
        self._server = RingServer(self._ring, codec_of(name) or "")
        self._clips = Clips(name, command["clip"])
        self._source = name.rpartition("@")[0]
        # The rule that is watched for, and the time between two events.
        self._rule: tuple[str | None, float] = (None, 0.0)
        self._watching: asyncio.Task[None] | None = None
        self._requested_at = 0.0
        # Triggers before the start of this process are over.
        self._triggered_at = command["triggered_at"]

    async def run(self, commands: Commands, reporter: Reporter, stop: Stop) -> None:
        try:
            with listening(current_domain(), self._service) as socket:
                if socket is None:
                    raise RingError(f"another process already keeps the packets of {short_name(self._service)}")
                server = await asyncio.start_unix_server(self._server.accept, sock=socket)
                try:
                    await self._work(commands, reporter, stop)
                finally:
                    server.close()
        except OSError as exc:
            where = f"{current_domain().root}: {exc.strerror or exc}"
            raise RingError(f"cannot keep the packets of {short_name(self._service)} in {where}") from exc

    async def _work(self, commands: Commands, reporter: Reporter, stop: Stop) -> None:
        receiving = asyncio.ensure_future(self._receive(reporter))
        self._watch()
        reporter.say(state="running")
        try:
            while not stop.is_set() and not receiving.done():
                line = commands.newest()
                if line is not None:
                    self._obey(json.loads(line))
                if reporter.is_due():
                    reporter.say(ring=self._report())
                await asyncio.sleep(_LOOK)
            if receiving.done():
                await receiving
        finally:
            receiving.cancel()
            if self._watching is not None:
                self._watching.cancel()
            # Clips are readers, too, so they end now.
            await self._server.end()
            await asyncio.to_thread(self._clips.wait, _CLIPS_END_WITHIN)

    def _obey(self, command: dict[str, Any]) -> None:
        self._ring.limit(command["keep"], command["keep_bytes"])
        self._clips.set(command["clip"])
        self._watch()
        if command["triggered_at"] > self._triggered_at:
            self._triggered_at = command["triggered_at"]
            self._clips.trigger(self._triggered_at)

    def _watch(self) -> None:
        """Watch for what the rule of the settings describes, and no longer for that of earlier ones."""
        settings = self._clips.settings
        rule = settings.on, settings.after
        if rule == self._rule:
            return
        self._rule = rule
        if self._watching is not None:
            self._watching.cancel()
        self._watching = None
        if settings.on is not None:
            trigger = self._clips.trigger
            self._watching = asyncio.create_task(
                watch(ClipRule.parse(settings.on), self._source, settings.after, trigger)
            )

    def _report(self) -> dict[str, Any]:
        ring, server, span = self._ring, self._server, self._ring.span()
        return {
            "seconds": 0.0 if span is None else (span[1] - span[0]) / 1e9,
            "bytes": ring.bytes,
            "packets": len(ring),
            "left_out": ring.left_out,
            "readers": server.readers,
            "served": server.served,
            "refused": server.refused,
            "dropped": server.dropped,
        }

    async def _receive(self, reporter: Reporter) -> None:
        """Keep packets until this is cancelled. What is kept stays when the stream fails."""
        while True:
            try:
                with PacketSubscriber(self._service) as subscriber:
                    reporter.say(error=None)
                    await self._receive_from(subscriber)
            except Iox2VideoError as exc:
                reporter.say(error=str(exc))
                await asyncio.sleep(_PAUSE)

    async def _receive_from(self, subscriber: PacketSubscriber) -> None:
        # The loop ends with the stream, which may be resumed.
        while True:
            async for packet in subscriber:
                with packet:
                    is_kept = self._ring.add(_kept(packet))
                self._server.tell()
                if not is_kept and time.monotonic() > self._requested_at + _REQUEST_INTERVAL:
                    # One group of pictures was larger than the ring.
                    self._requested_at = time.monotonic()
                    subscriber.request_keyframe()


def _kept(packet: Packet) -> Kept:
    """Return a copy of a packet. Without a capture time of this machine, it gets the time of its arrival."""
    now = time.monotonic_ns()
    header = packet.header
    at = packet.captured_at
    if at is None:
        at = now
        header.stamp = packet.stamp._replace(boot_id=boot_id(), capture=now)
    if packet.is_discont:
        header.flags |= PACKET_FLAG_DISCONT
    return Kept(min(at, now), packet.is_keyframe, bytes(header), bytes(packet.data))
