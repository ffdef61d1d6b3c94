"""Forwards streams between services, Sh4lt paths, ROS 2 topics and Zenoh keys. Keys can reach other machines.

    from gst_iceoryx2.bridge import Bridge

    Bridge("cam0", "zenoh:site/cam0", connect=["tcp/192.168.1.5:7447"]).run()

Keys and topics require eclipse-zenoh (`pip install 'iox2-video[bridge]'`). docs/bridge.md describes the messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .endpoint import Endpoint, check_pair
from .errors import BridgeError, EndpointError, NetworkError

if TYPE_CHECKING:
    from .bridge import Bridge, Bridged

__all__ = [
    "Bridge",
    "BridgeError",
    "Bridged",
    "Endpoint",
    "EndpointError",
    "NetworkError",
    "check_pair",
]


def __getattr__(name: str) -> Any:
    # Imported on demand, because checking the names of ends needs neither numpy nor iceoryx2.
    if name in ("Bridge", "Bridged"):
        from . import bridge

        return getattr(bridge, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
