"""Parses the names of ends. Does not import numpy or Zenoh."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from .._iox2.service_name import is_packet_service
from .._wire.packet import packet_service
from ..discovery.names import SH4LT, full_name, short_name
from .errors import EndpointError

Kind: TypeAlias = Literal["service", "packets", "path", "key"]

_ZENOH: Final = "zenoh:"


class Endpoint(NamedTuple):
    """One end of a bridge.

    Attributes:
        kind: "service" (frames), "packets", "path" (Sh4lt) or "key" (Zenoh).
        name: Full name of the service, the path, or the key.
    """

    kind: Kind
    name: str

    @classmethod
    def of(cls, text: str) -> Endpoint:
        """Parse `cam0`, `cam0@h264`, `video/cam0/frame/v2`, `sh4lt:/tmp/cam0` or `zenoh:site/cam0`.

        Raises:
            EndpointError: The name is empty.
        """
        kind: Kind = "path" if text.startswith(SH4LT) else "key" if text.startswith(_ZENOH) else "service"
        name = full_name(text) if kind == "service" else text.partition(":")[2]
        if kind == "service" and is_packet_service(name):
            kind = "packets"
        if not name:
            raise EndpointError(f"{text!r} lacks a name; use NAME, sh4lt:PATH or zenoh:KEY")
        return cls(kind, name)

    def __str__(self) -> str:
        if self.kind in ("service", "packets"):
            return short_name(self.name)
        return f"{SH4LT if self.kind == 'path' else _ZENOH}{self.name}"


def check_pair(source: Endpoint, target: Endpoint) -> None:
    """Refuse a bridge from an end to itself.

    Raises:
        EndpointError: Both ends are the same.
    """
    if source == target:
        raise EndpointError(f"both ends are {source}; a bridge needs two different ends")


def packets_source(source: Endpoint, target: Endpoint, codec: str | None) -> Endpoint | None:
    """Return the service of packets that a bridge reads; None if it reads something else.

    Args:
        source: Where frames or packets come from.
        target: Where they go.
        codec: What the user chose; None = nothing.

    Raises:
        EndpointError: The ends, or an end and the codec, do not match.
    """
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
