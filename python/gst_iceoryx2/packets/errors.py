"""Errors from rings of packets, and from writing video files."""

from __future__ import annotations

from ..errors import Iox2VideoError


class LookbackError(Iox2VideoError):
    """A ring has nothing from the wanted time, does not answer, or has ended."""


class RecordError(Iox2VideoError):
    """Base class of errors from recordings."""


class TargetError(RecordError, ValueError):
    """A codec or container is unknown, or the two cannot be combined."""


class RecordFileError(RecordError, OSError):
    """The file cannot be written. It keeps the frames that were already written."""
