"""Parses the names of ends. Does not import numpy or Zenoh."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from .._iox2.service_name import is_packet_service
from .._wire.packet import packet_service
from .._wire.results import check_detector, parse_results_service, results_service
from ..discovery.names import SH4LT, full_name, short_name
from .errors import EndpointError
from .ros2.topic import ROS2, Topic

Kind: TypeAlias = Literal["service", "packets", "results", "path", "key", "topic"]

_PREFIXES: Final[dict[str, Kind]] = {SH4LT: "path", "zenoh:": "key", ROS2: "topic"}

# Between the key of the frames and the name of the detector.
_BELOW: Final = "/@results/"


class Endpoint(NamedTuple):
    """One end of a bridge.

    Attributes:
        kind: "service" (frames), "packets", "results", "path" (Sh4lt), "key" (Zenoh) or "topic" (ROS 2).
        name: Full name of the service or topic, the path, or the key.
    """

    kind: Kind
    name: str

    @classmethod
    def of(cls, text: str, detector: str | None = None) -> Endpoint:
        """Parse the name of an end.

        Args:
            text: `cam0`, `cam0@h264`, `video/cam0/frame/v2`, `sh4lt:/tmp/cam0`, `zenoh:site/cam0` or
                `ros2:/cam0/image_raw`.
            detector: The detector whose results the end carries; None = it carries video.

        Raises:
            EndpointError: The name is empty, is the full name of results, or is that of a topic that ROS 2 does not
                allow; or the end cannot carry results.
            InvalidServiceNameError: The name of the detector cannot be used.
        """
        kind: Kind = next((kind for prefix, kind in _PREFIXES.items() if text.startswith(prefix)), "service")
        name = full_name(text) if kind == "service" else text.partition(":")[2]
        _refuse_results(kind, name)
        if kind == "service" and is_packet_service(name):
            kind = "packets"
        if not name:
            raise EndpointError(f"{text!r} lacks a name; use NAME, sh4lt:PATH, zenoh:KEY or ros2:/TOPIC")
        if kind == "topic":
            Topic.of(name)
        end = cls(kind, name)
        return end if detector is None else _of_results(end, detector)

    def __str__(self) -> str:
        if self.kind in ("service", "packets", "results"):
            return short_name(self.name)
        prefix = next(prefix for prefix, kind in _PREFIXES.items() if kind == self.kind)
        return f"{prefix}{self.name}"

    @property
    def topic(self) -> Topic | None:
        """The topic; None for other ends."""
        return Topic.of(self.name) if self.kind == "topic" else None

    @property
    def is_remote(self) -> bool:
        """Whether the end is reached over Zenoh."""
        return self.kind in ("key", "topic")


def _refuse_results(kind: Kind, name: str) -> None:
    """Refuse the full name of results, which is made from the name of the frames and that of the detector."""
    found = parse_results_service(name) if kind == "service" else None
    if kind == "key" and _BELOW in name:
        key, _, detector = name.partition(_BELOW)
        name, found = f"zenoh:{name}", (f"zenoh:{key}", detector)
    if found is not None:
        raise EndpointError(f"{name} carries results of a detector; use {found[0]} with --results {found[1]}")


def _of_results(end: Endpoint, detector: str) -> Endpoint:
    """Return the end that carries the results of a detector, given the end that carries the frames."""
    if end.kind in ("service", "packets"):
        return Endpoint("results", results_service(end.name, detector))
    if end.kind == "key":
        # Subscribers to patterns such as `site/**` do not get names with an "@", so they see only pictures.
        return Endpoint("key", f"{end.name}{_BELOW}{check_detector(detector)}")
    raise EndpointError(f"{end} cannot carry results of detectors; with --results, use NAME or zenoh:KEY")


def check_pair(source: Endpoint, target: Endpoint) -> None:
    """Refuse a bridge from an end to itself, or with a topic and another end on a network.

    Raises:
        EndpointError: Both ends are the same, or cannot be combined.
    """
    if source == target:
        raise EndpointError(f"both ends are {source}; a bridge needs two different ends")
    if source.is_remote and target.is_remote and "topic" in (source.kind, target.kind):
        raise EndpointError(
            f"{source} and {target} are both on a network; bridge {source} to a service, and the service to {target}"
        )


def packets_source(source: Endpoint, target: Endpoint, codec: str | None) -> Endpoint | None:
    """Return the service of packets that a bridge reads; None if it reads something else.

    Args:
        source: Where frames or packets come from.
        target: Where they go.
        codec: What the user chose; None = nothing.

    Raises:
        EndpointError: The ends, or an end and the codec, do not match.
    """
    topic = source.topic or target.topic
    if topic is not None:
        return _packets_of_topic(source, target, topic, codec)
    if source.kind != "packets" and codec != "h264":
        if target.kind == "packets" and source.kind != "key":
            raise EndpointError(f"{target} takes packets, but {source} has frames; bridge a key or {source}@h264 to it")
        return None
    if source.kind == "packets":
        if codec not in (None, source.name.rpartition("@")[2].partition("/")[0]):
            raise EndpointError(f"{source} has packets already; leave out --codec {codec}")
        if target.kind == "path":
            frames = str(source).rpartition("@")[0]
            raise EndpointError(f"{target} takes raw video, not packets; bridge {frames} to it")
        return source
    if source.kind == "key":
        raise EndpointError(f"packets from {source} are forwarded as they are; leave out --codec h264")
    if source.kind == "path":
        raise EndpointError(f"{source} has no encoder; bridge it to a service NAME, and NAME to {target}")
    if target.kind != "key":
        raise EndpointError(f"{target} takes frames as they are; --codec h264 is only for a zenoh:KEY")
    return Endpoint("packets", packet_service(short_name(source.name), "h264")[0])


def _packets_of_topic(source: Endpoint, target: Endpoint, topic: Topic, codec: str | None) -> Endpoint | None:
    """Do what `packets_source` does, for a bridge with a topic, whose name says what it carries."""
    if codec is not None:
        raise EndpointError(
            f"leave out --codec {codec}: the end of the topic's name chooses; "
            "/compressed is JPEG, /ffmpeg and /foxglove are H.264, and other names are raw pictures"
        )
    other = target if source.kind == "topic" else source
    if topic.has_packets and other.kind == "path":
        raise EndpointError(f"{other} has raw video, but {topic.name} has packets; bridge through a service NAME")
    if not topic.has_packets and other.kind == "packets":
        raise EndpointError(
            f"{other} has packets, but {topic.name} has pictures; use a topic that ends in /ffmpeg or /foxglove"
        )
    if source.kind == "topic" or not topic.has_packets:
        return None
    return (
        source if source.kind == "packets" else Endpoint("packets", packet_service(short_name(source.name), "h264")[0])
    )
