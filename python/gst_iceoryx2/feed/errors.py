"""What can go wrong with a source of frames.

Iox2VideoError
└── FeedError
    ├── SourceError (OSError)       a file or camera that is not there, cannot be read, has no video, or vanished
    └── SettingError (ValueError)   settings that make no sense together, or a format that cannot be made
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class FeedError(Iox2VideoError):
    """Base of what this package raises on purpose."""


class SourceError(FeedError, OSError):
    """A file or camera is not there, cannot be read, has no video, or vanished."""


class SettingError(FeedError, ValueError):
    """Settings make no sense together, or a format cannot be made."""
