"""Errors from writing video files."""

from __future__ import annotations

from ..errors import Iox2VideoError


class RecordError(Iox2VideoError):
    """Base class of errors from recordings."""


class TargetError(RecordError, ValueError):
    """A codec or container is unknown, or the two cannot be combined."""


class RecordFileError(RecordError, OSError):
    """The file cannot be written. It keeps the frames that were already written."""
