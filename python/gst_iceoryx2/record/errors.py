"""What can go wrong with a recording.

Iox2VideoError
└── RecordError
    ├── TargetError (ValueError)      a codec or container that is unknown, or that do not go together
    ├── RecordFileError (OSError)     the file cannot be written: it exists, no permission, disk full …
    └── NotLosslessError (ValueError) pixels that a lossless file cannot hold as they are
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class RecordError(Iox2VideoError):
    """Base of what this package raises on purpose."""


class TargetError(RecordError, ValueError):
    """A codec or container is unknown, or the two do not go together."""


class RecordFileError(RecordError, OSError):
    """The file cannot be written; what is in it so far stays."""


class NotLosslessError(RecordError, ValueError):
    """A lossless file cannot hold these pixels as they are."""
