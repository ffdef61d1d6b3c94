"""Errors from encoders."""

from __future__ import annotations

from ..errors import Iox2VideoError


class EncoderError(Iox2VideoError):
    """A GStreamer encoder cannot be used, or failed."""


class NotLosslessError(Iox2VideoError, ValueError):
    """A lossless codec cannot store these pixels unchanged."""
