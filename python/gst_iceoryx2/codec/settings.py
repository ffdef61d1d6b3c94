"""Codecs, and what an encoder must know of its target. Does not import PyAV."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Protocol

CODECS: Final = {"x264": "libx264", "prores": "prores_ks", "ffv1": "ffv1", "raw": "rawvideo"}
"""Maps our codec names to the names of FFmpeg's encoders."""

PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Presets for x264, from fast with large files to slow with small files."""

DEFAULT_PRESET: Final = "veryfast"
"""The preset for x264 that is used by default."""


class EncoderSettings(Protocol):
    """The codec of a track, and the limits of its container."""

    @property
    def name(self) -> str:
        """What is written, as messages call it."""

    @property
    def codec(self) -> str:
        """One of `CODECS`."""

    @property
    def tick(self) -> Fraction:
        """Resolution of timestamps, in seconds."""

    @property
    def is_lossless(self) -> bool:
        """Whether pixels must be stored without loss."""

    @property
    def keeps_pixel_aspect_ratio(self) -> bool:
        """Whether the pixel aspect ratio is stored."""

    def codec_options(self, pixel_format: str) -> dict[str, str]:
        """Return the options for FFmpeg's encoder, for pictures of this pixel format."""
