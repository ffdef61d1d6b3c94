"""Finds out whether the packets of a stream can be had without encoding it again."""

from __future__ import annotations

from typing import Literal, TypeAlias

from .._iox2.domain import current_domain
from .._wire.packet import packet_service
from .._wire.rendition import codec_of
from .demand import DemandFinder
from .names import full_name, short_name
from .served import served, supervisors

Encoded: TypeAlias = Literal["running", "on demand"]


def encoded(name: str, codec: str = "h264") -> Encoded | None:
    """Return whether a process publishes the packets of a stream, or would do so for a reader.

    Args:
        name: Name of the stream: `cam0`, or of its packets: `cam0@h264`.
        codec: "h264", "h265" or "av1".

    Returns:
        "running" if a live process publishes them. "on demand" if it does not, but a supervisor (`iox2-video serve`)
        starts an encoder for the first reader. None if reading them would wait for nothing.

    Example:
        Read packets only if somebody encodes:

            from gst_iceoryx2.discovery import encoded

            if encoded("cam0") is not None:
                print("no second encoder is needed")
    """
    short = short_name(name)
    packets, codec = packet_service(short, None if codec_of(short) else codec)
    domain = current_domain()
    demand = DemandFinder(domain).find()
    if packets in demand and demand[packets].publishers:
        return "running"
    if codec != "h264":
        return None
    source = full_name(short.removesuffix(f"@{codec}"))
    if source in served(domain):
        return "on demand"
    serves_all = None in supervisors(domain).values()
    return "on demand" if serves_all and source in demand and demand[source].publishers else None
