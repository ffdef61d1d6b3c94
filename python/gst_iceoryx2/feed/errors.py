"""Errors of sources of frames.

Iox2VideoError
└── FeedError
    ├── SourceError (OSError)       a file or camera does not exist, cannot be read, has no video, or has vanished
    └── SettingError (ValueError)   a setting is invalid, or the format cannot be produced
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class FeedError(Iox2VideoError):
    """Base class of errors of sources."""


class SourceError(FeedError, OSError):
    """A file or camera does not exist, cannot be read, has no video, or has vanished."""


class SettingError(FeedError, ValueError):
    """A setting is invalid, or the format cannot be produced."""
