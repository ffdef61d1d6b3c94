"""Errors from bridges.

    Iox2VideoError
    └── BridgeError
        ├── EndpointError (ValueError)   an end or a setting is invalid, or the two ends are the same
        └── NetworkError (OSError)       Zenoh cannot use the endpoints, or the folder for this user's sockets

A message never stops a bridge, because any process can send to a key. A bridge counts and logs invalid messages.
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class BridgeError(Iox2VideoError):
    """Base class of errors from bridges."""


class EndpointError(BridgeError, ValueError):
    """An end or a setting of a bridge is invalid, or the two ends are the same."""


class NetworkError(BridgeError, OSError):
    """Zenoh cannot use the endpoints, or the folder for this user's sockets cannot be used."""
