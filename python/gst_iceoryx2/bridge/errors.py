"""What can go wrong with a bridge.

    Iox2VideoError
    └── BridgeError
        ├── EndpointError (ValueError)   an end that is none, or two ends that make no bridge
        └── NetworkError (OSError)       Zenoh cannot use the endpoints, or this user's bridges cannot meet

A message never ends a bridge, because anybody can send to a key: what is wrong with it is counted and logged.
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class BridgeError(Iox2VideoError):
    """Base of what this package raises on purpose."""


class EndpointError(BridgeError, ValueError):
    """An end cannot be one, or two ends make no bridge."""


class NetworkError(BridgeError, OSError):
    """Zenoh cannot use the endpoints, or the folder in which this user's bridges meet cannot be used."""
