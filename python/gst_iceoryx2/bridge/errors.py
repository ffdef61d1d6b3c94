"""Errors of bridges.

    Iox2VideoError
    └── BridgeError
        ├── EndpointError (ValueError)   a name is not a valid end, or the two ends are the same
        └── NetworkError (OSError)       Zenoh cannot use the endpoints, or the folder of this user's sockets

A message never ends a bridge, because any process can send to a key. A bridge counts and logs bad messages.
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class BridgeError(Iox2VideoError):
    """Base class of errors of bridges."""


class EndpointError(BridgeError, ValueError):
    """A name is not a valid end of a bridge, or the two ends are the same."""


class NetworkError(BridgeError, OSError):
    """Zenoh cannot use the endpoints, or the folder of this user's sockets cannot be used."""
