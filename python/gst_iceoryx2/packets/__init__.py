"""Publish and subscribe to encoded video: packets that each contain one encoded picture, from H.264 to AV1.

    from gst_iceoryx2.packets import PacketSubscriber

    for packet in PacketSubscriber("cam0", codec="h264"):
        print(packet.is_keyframe, len(packet.data), packet.age)

A subscriber starts at a keyframe, and gives nothing between a gap and the next keyframe, so that a decoder can decode
everything that it receives. Packets are borrowed, like frames: their bytes stay in shared memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._wire.packet import VideoPacketHeader
    from .._wire.stamp import Stamp
    from ._lookback import Lookback, PastPicture, lookback
    from .clip import Clip
    from .errors import LookbackError
    from .packet import Packet
    from .publisher import PacketPublisher, PacketPublisherStats
    from .subscriber import PacketSubscriber, PacketSubscriberStats

__all__ = [
    "Clip",
    "Lookback",
    "LookbackError",
    "Packet",
    "PacketPublisher",
    "PacketPublisherStats",
    "PacketSubscriber",
    "PacketSubscriberStats",
    "PastPicture",
    "Stamp",
    "VideoPacketHeader",
    "lookback",
]

# Imported on demand, because commands that only need an error or the name of a container should not load iceoryx2.
_MODULES = {
    "Clip": ".clip",
    "Lookback": "._lookback",
    "LookbackError": ".errors",
    "Packet": ".packet",
    "PacketPublisher": ".publisher",
    "PacketPublisherStats": ".publisher",
    "PacketSubscriber": ".subscriber",
    "PacketSubscriberStats": ".subscriber",
    "PastPicture": "._lookback",
    "Stamp": ".._wire.stamp",
    "VideoPacketHeader": ".._wire.packet",
    "lookback": "._lookback",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_MODULES[name], __name__), name)
    # Help texts and error messages show the public module, not the private one that defines the object.
    if "._" in found.__module__:
        found.__module__ = __name__
    return found
