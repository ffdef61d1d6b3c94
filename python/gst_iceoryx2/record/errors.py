"""Errors from recordings.

Iox2VideoError
├── NotLosslessError (ValueError)     a lossless file cannot store the pixels
└── RecordError
    ├── TargetError (ValueError)      a codec or container is unknown, or the two cannot be combined
    └── RecordFileError (OSError)     the file cannot be written: it exists, no permission, disk full …
"""

from __future__ import annotations

from ..packets.errors import RecordError, RecordFileError, TargetError

__all__ = ["RecordError", "RecordFileError", "TargetError"]
