"""What can go wrong with a bridge.

    Iox2VideoError
    └── BridgeError
        ├── EndpointError (ValueError)   an end that is none, or two ends that make no bridge
        ├── NetworkError (OSError)       Zenoh cannot use the endpoints that were given
        └── CircleError (RuntimeError)   frames come back to the bridge that sent them

What is wrong with a single message is no error, but counted: anybody can send to a key.
"""

from __future__ import annotations

from .._errors import Iox2VideoError


class BridgeError(Iox2VideoError):
    """Base of what this package raises on purpose."""


class EndpointError(BridgeError, ValueError):
    """An end cannot be one, or two ends make no bridge."""


class NetworkError(BridgeError, OSError):
    """Zenoh cannot use the endpoints that were given."""


class CircleError(BridgeError, RuntimeError):
    """Frames come back to the bridge that sent them."""
