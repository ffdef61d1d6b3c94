"""Publish and subscribe to encoded video: packets that each contain one encoded picture, from H.264 to AV1.

    from gst_iceoryx2.packets import PacketSubscriber

    for packet in PacketSubscriber("cam0", codec="h264"):
        print(packet.is_keyframe, len(packet.data), packet.age)

A subscriber starts at a keyframe, and gives nothing between a gap and the next keyframe, so that a decoder can decode
everything that it receives. Packets are borrowed, like frames: their bytes stay in shared memory.
"""

from __future__ import annotations

from .._wire.packet import VideoPacketHeader
from .._wire.stamp import Stamp
from ._lookback import Lookback, LookbackError, PastPicture, lookback
from .packet import Packet
from .publisher import PacketPublisher, PacketPublisherStats
from .subscriber import PacketSubscriber, PacketSubscriberStats

__all__ = [
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

# Help texts and error messages show the public module, not the private one that defines the object.
for _name in __all__:
    if "._" in getattr(globals()[_name], "__module__", ""):
        globals()[_name].__module__ = __name__
