"""Frames from one end to another, whatever the ends are."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from .._thinning import Thinning
from .._wire.stamp import monotonic_ns
from .._work import Work
from ..errors import ClosedError, FormatError
from .endpoint import Endpoint, check_pair
from .ends import From, To
from .errors import EndpointError, NetworkError
from .message import MESSAGE_MAX, Codec, Unsound
from .parcel import HOPS_MAX, Parcel
from .sockets import meeting, own_folder

_log: Final = logging.getLogger("gst_iceoryx2")

DEFAULT_QUALITY: Final = 85
_LOOK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Bridged:
    """How far a bridge is, or what became of it.

    Attributes:
        passed: Frames handed over.
        passed_over: Frames left behind because newer ones were there.
        unwanted: Frames for which nobody was there at the other end.
        skipped: Frames left out because of `max_fps`.
        refused: Messages and frames that could not be passed on, by what was wrong with them.
        size: Bytes handed over.
    """

    passed: int
    passed_over: int
    unwanted: int
    skipped: int
    refused: dict[str, int]
    size: int


class Bridge(Work[Bridged]):
    """Takes frames from one end and hands them to another; never queues, the newest frame goes first.

    Goes on when a stream ends, and when either end comes and goes.

    Args:
        source: Where from: NAME, sh4lt:PATH or zenoh:KEY.
        target: Where to, likewise.
        codec: What goes to a key: "jpeg", or "raw" for the very pixels with everything that is known of them.
        quality: Of JPEG, 1 to 100.
        max_fps: Frames a second at most.
        listen: Zenoh endpoints to listen on. Without `listen` and `connect`, only bridges of this user on this machine
            are reached.
        connect: Zenoh endpoints to connect to.
        frames: Frames after which to end; None = none.
        until_end: Whether to end with the stream.

    Raises:
        EndpointError: An end is none, or both are the same.
        NetworkError: Zenoh cannot use the endpoints.
        MissingExtraError: An end is a key, and eclipse-zenoh is not installed.
        ServiceError: A service cannot be had.
        Sh4ltError: A path cannot be used.
    """

    def __init__(
        self,
        source: str,
        target: str,
        *,
        codec: Codec = "jpeg",
        quality: int = DEFAULT_QUALITY,
        max_fps: float | None = None,
        listen: Sequence[str] = (),
        connect: Sequence[str] = (),
        frames: int | None = None,
        until_end: bool = False,
    ) -> None:
        super().__init__()
        self.source, self.target = Endpoint.of(source), Endpoint.of(target)
        check_pair(self.source, self.target)
        if codec not in get_args(Codec):
            raise EndpointError(f"unknown codec {codec!r}: there are jpeg and raw")
        if not 1 <= quality <= 100:
            raise EndpointError(f"quality is {quality}, it must be 1 to 100")
        has_key = "key" in (self.source.kind, self.target.kind)
        if (listen or connect) and not has_key:
            raise EndpointError("endpoints to listen on and to connect to are Zenoh's, and no end is a zenoh:KEY")
        self._id = secrets.token_hex(8)
        self._frames = frames
        self._until_end = until_end
        self._thinning = Thinning(max_fps)
        self._passed = self._unwanted = self._size = 0
        self._is_flowing = False
        self._refused: Counter[str] = Counter()
        self._last: Bridged | None = None
        self._session: Any = None
        self._from: From | None = None
        self._to: To | None = None
        try:
            if has_key:
                self._session = _session(self, listen, connect)
            self._from = self._source()
            self._to = self._target(codec, quality)
        except BaseException:
            self.close()
            raise

    def run(self, progress: Callable[[Bridged], None] | None = None) -> Bridged:
        """Pass frames on until `stop` is called or a limit is reached; then close everything.

        Args:
            progress: Called ten times a second, from this thread, with how far it is.

        Returns:
            What became of it.

        Raises:
            ServiceError: The service to publish cannot be had: somebody publishes there, say.
            Sh4ltError: The path to write cannot be had.
        """
        source, target = self._from, self._to
        if source is None or target is None:
            raise ClosedError(f"this bridge from {self.source} to {self.target} is closed")
        try:
            while not self._stop.is_set() and (self._frames is None or self._passed < self._frames):
                self._pass_one(source, target)
                self._report_to(progress)
        finally:
            self._last = self.report()
            self.close()
        return self._last

    def report(self) -> Bridged:
        """How far it is; afterwards, what became of it."""
        if self._last is not None:
            return self._last
        return Bridged(
            self._passed,
            0 if self._from is None else self._from.passed_over,
            self._unwanted,
            self._thinning.skipped,
            dict(self._refused),
            self._size,
        )

    def close(self) -> None:
        """Let go of both ends. Idempotent."""
        source, target, session = self._from, self._to, self._session
        self._from = self._to = self._session = None
        for end in (source, target, session):
            if end is not None:
                end.close()

    def _pass_one(self, source: From, target: To) -> None:
        parcel = None
        try:
            parcel = source.next(_LOOK)
            if parcel is None:
                return
            self._check_trail(parcel)
            if parcel.is_end and self._until_end:
                self._stop.set()
            if parcel.is_end and not self._is_flowing:
                # Ends are told again to whoever joins late, and carry no trail through services.
                return
            self._is_flowing = not parcel.is_end
            if not target.is_wanted:
                self._unwanted += not parcel.is_end
            elif parcel.is_end or self._thinning.takes(parcel.captured_at or monotonic_ns()):
                parcel.trail = (*parcel.trail, self._id)
                self._size += target.put(parcel)
                self._passed += not parcel.is_end
        except Unsound as exc:
            self._refuse(exc.kind, str(exc))
        except FormatError as exc:
            self._refuse("a frame that cannot go there", str(exc))
        except MemoryError as exc:
            self._refuse("a frame for which there is no memory", str(exc))
        finally:
            if parcel is not None:
                parcel.release()

    def _check_trail(self, parcel: Parcel) -> None:
        # Anybody who can send to the source can also make up a trail, so it never ends the bridge.
        if self._id in parcel.trail:
            others = len(parcel.trail) - parcel.trail.index(self._id) - 1
            through = "another bridge" if others == 1 else f"{others} other bridges"
            raise Unsound(
                "bridge loop",
                f"frames sent to {self.target} come back to {self.source} through {through}; stop one of the bridges",
            )
        if len(parcel.trail) >= HOPS_MAX:
            raise Unsound(
                "a frame that has crossed too many bridges",
                f"{len(parcel.trail)}, at most {HOPS_MAX - 1} are allowed; is there a loop of bridges?",
            )

    def _refuse(self, kind: str, details: str) -> None:
        self._refused[kind] += 1
        if self._refused[kind] == 1:
            _log.warning("refused from %s: %s (further ones of this kind are counted only)", self.source, details)

    def _source(self) -> From:
        # Each kind of end is imported where there is one: only keys need Zenoh.
        kind, name = self.source
        if kind == "service":
            from .service import FromService

            return FromService(name)
        if kind == "path":
            from .path import FromPath

            # Writing to a key or another path may take long, and the path's writer would wait for it.
            return FromPath(name, borrows=self.target.kind == "service")
        from .key import FromKey

        return FromKey(self._session, name)

    def _target(self, codec: Codec, quality: int) -> To:
        kind, name = self.target
        if kind == "service":
            from .service import ToService

            return ToService(name)
        if kind == "path":
            from .path import ToPath

            return ToPath(name)
        from .key import ToKey

        return ToKey(self._session, name, codec, quality)


def _session(bridge: Bridge, listen: Sequence[str], connect: Sequence[str]) -> Any:
    """A Zenoh session for the keys of a bridge."""
    from .._extras.zenoh import ZenohError, check_key, open_session, reason

    for end in (bridge.source, bridge.target):
        if end.kind == "key":
            try:
                check_key(end.name)
            except ValueError as exc:
                raise EndpointError(str(exc)) from exc
    try:
        if listen or connect:
            return open_session(listen, connect, MESSAGE_MAX)
        with meeting(own_folder()) as (own, others):
            listen = [own]
            return open_session(listen, others, MESSAGE_MAX)
    except ValueError as exc:
        raise EndpointError(str(exc)) from exc
    except ZenohError as exc:
        raise NetworkError(f"Zenoh cannot use {', '.join((*listen, *connect))}: {reason(exc)}") from exc
