"""The bridge: receives frames, packets or results at one end and forwards them to the other."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from .._wire.results import MAX_RESULTS_BYTES
from .._wire.stamp import monotonic_ns
from ..discovery.thinning import Thinning
from ..errors import ClosedError, FormatError
from ..work import Work
from .endpoint import Endpoint, check_pair, packets_source
from .ends import From, To
from .errors import EndpointError, NetworkError
from .message import ATTACHMENT_MAX, MESSAGE_MAX, Codec, Unsound
from .parcel import HOPS_MAX, Parcel
from .ros2.topic import Topic
from .sockets import meeting, own_folder

if TYPE_CHECKING:
    from .ros2.node import Node

_log: Final = logging.getLogger("gst_iceoryx2")

DEFAULT_QUALITY: Final = 85
# Longest wait for a frame, in seconds. `stop` and progress take effect within this time.
_WAIT: Final = 0.1
# How long a keyframe may wait for a slow network, in seconds. Smaller messages wait for a tenth of it.
_PATIENCE: Final = 1.0
# Zenoh drops larger messages of results before it allocates memory for them.
_RESULTS_MESSAGE_MAX: Final = MAX_RESULTS_BYTES + 2 * ATTACHMENT_MAX


@dataclass(frozen=True, slots=True)
class Bridged:
    """Progress or final result of a bridge.

    Attributes:
        passed: Number of frames, packets or results forwarded.
        passed_over: Number of frames skipped because newer frames were waiting, of packets skipped up to a keyframe, or
            of results that were dropped on the way to this bridge or in it.
        unwanted: Number of frames that arrived while the target had no receiver. The same for results.
        skipped: Number of frames skipped because of `max_fps`.
        refused: Number of frames and messages that could not be forwarded, by kind of fault.
        size: Number of bytes forwarded.
    """

    passed: int
    passed_over: int
    unwanted: int
    skipped: int
    refused: dict[str, int]
    size: int


class Bridge(Work[Bridged]):
    """Receives frames, packets or the results of a detector at one end and forwards them to another.

    A bridge never queues frames, but always forwards the newest one. Packets wait for a slow target, at most those of a
    group of pictures; then the bridge continues at a keyframe. Of results, the newest 64 wait. A bridge keeps running
    when a stream ends, and when other processes exit and restart.

    Args:
        source: Where frames come from: NAME, NAME@h264 (packets), sh4lt:PATH, zenoh:KEY or ros2:/TOPIC.
        target: Where frames go: NAME, NAME@h264 (only packets), sh4lt:PATH, zenoh:KEY or ros2:/TOPIC. A service NAME
            that receives packets publishes them as NAME@h264, and decodes them while NAME has readers.
        codec: Encoding for keys: "jpeg" pictures, "raw" pixels with all metadata, or the "h264" packets of the stream.
            None = "jpeg" for frames. The name of a topic says what it carries.
        results: Name of a detector. The bridge forwards its results instead of frames, between services NAME and keys.
            They keep the identity of their frames, so they match the frames on both sides.
        quality: JPEG quality, 1 to 100.
        max_fps: Maximum number of frames to forward per second; None forwards all.
        listen: Zenoh endpoints to listen on. Without `listen` and `connect`, a bridge reaches only bridges of the same
            user on the same machine.
        connect: Zenoh endpoints to connect to; for topics, those of the router, by default "tcp/localhost:7447".
        frames: Number of frames, packets or results after which to stop; None means no limit.
        frame_id: Coordinate frame in the messages of a topic; None = the name of the source.
        camera_info: Calibration file of ROS 2's camera_calibration, to publish beside the pictures of a topic.

    Raises:
        EndpointError: The source or target is not a valid end, both are the same, or a setting or file is invalid.
        InvalidServiceNameError: The name of the detector cannot be used.
        NetworkError: Zenoh cannot use the endpoints.
        MissingExtraError: The source or target is a key or a topic, but eclipse-zenoh is not installed.
        ServiceError: The service cannot be opened.
        Sh4ltError: The path cannot be used.
    """

    def __init__(
        self,
        source: str,
        target: str,
        *,
        codec: Codec | None = None,
        results: str | None = None,
        quality: int = DEFAULT_QUALITY,
        max_fps: float | None = None,
        listen: Sequence[str] = (),
        connect: Sequence[str] = (),
        frames: int | None = None,
        frame_id: str | None = None,
        camera_info: Path | str | None = None,
    ) -> None:
        super().__init__()
        self.source, self.target = Endpoint.of(source, results), Endpoint.of(target, results)
        check_pair(self.source, self.target)
        self._has_results = results is not None
        self._noun, self._nouns = ("result", "results") if self._has_results else ("frame", "frames")
        if self._has_results and (codec is not None or max_fps is not None):
            raise EndpointError("results are forwarded as they are; leave out codec and max_fps")
        if codec not in (None, *get_args(Codec)):
            raise EndpointError(f"unknown codec {codec!r}; use jpeg, raw or h264")
        self._packets = None if self._has_results else packets_source(self.source, self.target, codec)
        if self._packets is not None and max_fps is not None:
            raise EndpointError("--max-fps cannot leave out packets, because later ones need them; bridge NAME@@FPS")
        if not 1 <= quality <= 100:
            raise EndpointError(f"quality is {quality}, but must be between 1 and 100")
        has_key = "key" in (self.source.kind, self.target.kind)
        topic = self.source.topic or self.target.topic
        if (connect and not (has_key or topic)) or (listen and not has_key):
            raise EndpointError(
                "--listen and --connect require one end to be a zenoh:KEY; a ros2:/TOPIC takes only --connect"
            )
        if self.target.topic is None and (frame_id is not None or camera_info is not None):
            raise EndpointError("--frame-id and --camera-info require the target to be a ros2:/TOPIC")
        self._id = secrets.token_hex(8)
        self._frames = frames
        self._thinning = Thinning(max_fps)
        self._passed = self._unwanted = self._size = 0
        self._is_flowing = False
        self._refused: Counter[str] = Counter()
        self._last: Bridged | None = None
        # Closes the session or node.
        self._opened = ExitStack()
        self._session: Any = None
        self._from: From | None = None
        self._to: To | None = None
        try:
            if has_key:
                self._session = self._open_session(listen, connect)
            if topic is not None:
                self._session = _node(self._id, connect)
                self._opened.callback(self._session.close)
            self._from = self._source()
            if self.target.topic is None:
                self._to = self._target("raw" if self._has_results else codec or "jpeg", quality)
            else:
                self._to = self._topic(self.target.topic, quality, frame_id, camera_info)
        except BaseException:
            self.close()
            raise

    def run(self, progress: Callable[[Bridged], None] | None = None) -> Bridged:
        """Forward frames until `stop` is called or `frames` is reached, then close both ends.

        Args:
            progress: Called with the numbers so far ten times per second, in the thread that called `run`.

        Returns:
            The final numbers.

        Raises:
            ServiceError: The target service cannot be created, for example because it has another publisher.
            Sh4ltError: The target path cannot be written, for example because it has another writer.
            ClosedError: The bridge is closed.
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
        """Return the numbers so far; after `run`, the final numbers."""
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
        """Close both ends. Idempotent."""
        source, target = self._from, self._to
        self._from = self._to = self._session = None
        for end in (source, target):
            if end is not None:
                end.close()
        self._opened.close()

    def _pass_one(self, source: From, target: To) -> None:
        parcel = None
        try:
            source.want(target.is_wanted)
            parcel = source.next(_WAIT)
            if target.is_keyframe_wanted:
                source.request_keyframe()
            if parcel is None:
                target.tend()
                return
            self._check_hops(parcel)
            if parcel.is_end and not self._is_flowing:
                # Forward an end of stream only once. A service does not carry its hops, and repeats it to late
                # subscribers, so it could circulate in a loop of bridges.
                return
            self._is_flowing = not parcel.is_end
            if not target.is_wanted:
                self._unwanted += not parcel.is_end
            elif self._takes(parcel):
                parcel.hops = (*parcel.hops, self._id)
                self._size += target.put(parcel)
                self._passed += not parcel.is_end
        except Unsound as exc:
            self._refuse(exc.kind, str(exc))
        except FormatError as exc:
            self._refuse(f"{self._noun} cannot be sent to the target", str(exc))
        except MemoryError as exc:
            self._refuse("out of memory", str(exc))
        finally:
            if parcel is not None:
                parcel.release()

    def _takes(self, parcel: Parcel) -> bool:
        # Packets are not thinned, because later ones need them.
        is_whole = parcel.is_end or parcel.header is not None
        return is_whole or self._thinning.takes(parcel.captured_at or monotonic_ns())

    def _check_hops(self, parcel: Parcel) -> None:
        # Any process that can send to the source can also forge hops, so invalid hops must not end the bridge.
        if self._id in parcel.hops:
            others = len(parcel.hops) - parcel.hops.index(self._id) - 1
            through, them = ("another bridge", "the two") if others == 1 else (f"{others} other bridges", "them")
            raise Unsound(
                "bridge loop",
                f"{self._nouns} sent to {self.target} come back to {self.source} through {through}; stop one of {them}",
            )
        if len(parcel.hops) >= HOPS_MAX:
            raise Unsound(
                "too many hops",
                f"the {self._noun} has crossed {len(parcel.hops)} bridges, but the limit is {HOPS_MAX - 1}; "
                "check for a loop",
            )

    def _refuse(self, kind: str, details: str) -> None:
        self._refused[kind] += 1
        if self._refused[kind] == 1:
            _log.warning("refused from %s: %s (more of this kind are only counted)", self.source, details)

    def _open_session(self, listen: Sequence[str], connect: Sequence[str]) -> Any:
        # Newer frames replace older ones, but each result belongs to its own frame, and packets to the next packets.
        patience = _PATIENCE if self._has_results or self._packets is not None else 0.0
        message_max = _RESULTS_MESSAGE_MAX if self._has_results else MESSAGE_MAX
        session = _session((self.source, self.target), listen, connect, message_max, patience)
        from .._extras.zenoh import close_session

        self._opened.callback(close_session, session)
        return session

    def _source(self) -> From:
        # Imported on demand, because only keys need Zenoh.
        kind, name = self.source
        if self._has_results:
            return self._results_source()
        if self._packets is not None:
            from .packet_ends import FromPackets

            return FromPackets(self._packets.name)
        if kind == "service":
            from .service_ends import FromService

            return FromService(name)
        if kind == "path":
            from .path_ends import FromPath

            # Sending to a key or another path may take a long time, during which the path's writer would wait.
            return FromPath(name, borrows=self.target.kind == "service")
        if self.source.topic is not None:
            from .ros2.source import FromTopic

            return FromTopic(self._session, self.source.topic)
        from .key_ends import FromKey

        return FromKey(self._session, name)

    def _results_source(self) -> From:
        if self.source.kind == "results":
            from .results_ends import FromResults

            return FromResults(self.source.name)
        from .results_key import FromResultsKey

        return FromResultsKey(self._session, self.source.name)

    def _target(self, codec: Codec, quality: int) -> To:
        kind, name = self.target
        if kind == "results":
            from .results_ends import ToResults

            return ToResults(name)
        if kind == "packets":
            from .packet_ends import ToPackets

            return ToPackets(name)
        if kind == "service":
            if self.source.kind in ("key", "packets", "topic"):
                from .packet_ends import ToStream

                return ToStream(name)
            from .service_ends import ToService

            return ToService(name)
        if kind == "path":
            from .path_ends import ToPath

            return ToPath(name)
        from .key_ends import ToKey

        return ToKey(self._session, name, codec, quality, self._id)

    def _topic(self, topic: Topic, quality: int, frame_id: str | None, camera_info: Path | str | None) -> To:
        from .ros2.calibration import Calibration
        from .ros2.target import ToTopic

        calibration = None if camera_info is None else Calibration.read(Path(camera_info))
        name = Path(self.source.name).name if self.source.kind == "path" else str(self.source).partition("@")[0]
        return ToTopic(self._session, topic, quality, name if frame_id is None else frame_id, calibration)


def _node(bridge: str, connect: Sequence[str]) -> Node:
    """Return the ROS 2 node of the bridge with this ID."""
    from .ros2.node import Node
    from .ros2.topic import domain_of

    return Node(f"iox2_video_bridge_{bridge}", domain_of(), connect)


def _session(
    ends: tuple[Endpoint, Endpoint], listen: Sequence[str], connect: Sequence[str], message_max: int, patience: float
) -> Any:
    """Open the Zenoh session for the keys among both ends of a bridge."""
    from .._extras.zenoh import ZenohError, check_key, open_session, reason

    for end in ends:
        if end.kind == "key":
            try:
                check_key(end.name)
            except ValueError as exc:
                raise EndpointError(str(exc)) from exc
    try:
        if listen or connect:
            return open_session(listen, connect, message_max, patience)
        with meeting(own_folder()) as (own, others):
            listen = [own]
            return open_session(listen, others, message_max, patience)
    except ValueError as exc:
        raise EndpointError(str(exc)) from exc
    except ZenohError as exc:
        raise NetworkError(f"Zenoh cannot use {', '.join((*listen, *connect))}: {reason(exc)}") from exc
