"""Errors from sources of frames.

Iox2VideoError
└── FeedError
    ├── SourceError (OSError)       a file or camera does not exist, cannot be read, lacks video, or has disappeared
    └── SettingError (ValueError)   a setting is invalid, or the format cannot be produced
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class FeedError(Iox2VideoError):
    """Base class of errors from sources of frames."""


class SourceError(FeedError, OSError):
    """A file or camera does not exist, cannot be read, does not contain video, or has disappeared."""


class SettingError(FeedError, ValueError):
    """A setting is invalid, or the format cannot be produced."""
