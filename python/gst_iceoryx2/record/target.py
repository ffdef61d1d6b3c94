"""The kind of file: container, codec and their options. Needs no PyAV."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from .errors import TargetError

CODECS: Final = {"x264": "libx264", "prores": "prores_ks", "ffv1": "ffv1"}
"""Codecs: our name to the name of FFmpeg's encoder."""

PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Presets of x264, from fast with large files to slow with small files."""

DEFAULT_PRESET: Final = "veryfast"
"""Preset of x264 that `record` uses if none is named."""

_FITTING: Final = {
    ".mkv": ("x264", "ffv1", "prores"),
    ".mov": ("x264", "prores"),
    ".mp4": ("x264",),
}
# Ticks a second. Matroska's muxer always counts milliseconds.
_TICKS: Final = {".mkv": 1_000, ".mov": 1_000_000, ".mp4": 1_000_000}


@dataclass(frozen=True, slots=True)
class Target:
    """A file to record to, checked by its name.

    Attributes:
        path: The file.
        codec: One of `CODECS`.
        preset: One of `PRESETS`, for x264.
    """

    path: Path
    codec: str = "x264"
    preset: str = DEFAULT_PRESET

    @classmethod
    def of(cls, file: str | os.PathLike[str], codec: str = "x264", preset: str = DEFAULT_PRESET) -> Target:
        """The target for a file name.

        Raises:
            TargetError: The codec, container or preset is unknown, or the container cannot hold the codec.
        """
        path = Path(file)
        if codec not in CODECS:
            raise TargetError(f"unknown codec {codec!r}: {_instead(codec, CODECS)}")
        if preset not in PRESETS:
            raise TargetError(f"unknown preset {preset!r}: {_instead(preset, PRESETS)}")
        fitting = _FITTING.get(path.suffix.lower())
        if fitting is None:
            what = f"the container {path.suffix!r} is unknown" if path.suffix else "it has no ending"
            raise TargetError(f"cannot record to {str(file)!r}: {what}; name it .mkv, .mp4 or .mov")
        if codec not in fitting:
            others = " or ".join(suffix for suffix, codecs in _FITTING.items() if codec in codecs)
            raise TargetError(f"{path.suffix} files cannot hold {codec}: name it {others}, or use {fitting[0]}")
        return cls(path, codec, preset)

    @property
    def tick(self) -> Fraction:
        """Resolution of times in the container, in seconds."""
        return Fraction(1, _TICKS[self.path.suffix.lower()])

    @property
    def is_lossless(self) -> bool:
        """Whether the file stores pixels without loss."""
        return self.codec == "ffv1"

    @property
    def container_options(self) -> dict[str, str]:
        """Options of FFmpeg's muxer. A file that is cut off plays up to there."""
        if self.path.suffix.lower() == ".mkv":
            return {"cluster_time_limit": "1000", "flush_packets": "1"}
        # Fragments during the recording become an ordinary file at its end. With delay_moov the index is written after
        # the first fragment, when the shift by B-frames is known.
        return {
            "movflags": "+hybrid_fragmented+frag_keyframe+delay_moov",
            "video_track_timescale": str(self.tick.denominator),
            "flush_packets": "1",
        }

    def codec_options(self, pixel_format: str) -> dict[str, str]:
        """Options of FFmpeg's encoder for pictures of this pixel format."""
        if self.codec == "x264":
            return {"preset": self.preset, "crf": "20"}
        if self.codec == "prores":
            return {"profile": "hq" if pixel_format.startswith("yuv422") else "4444", "vendor": "apl0"}
        return {"level": "3", "slicecrc": "1"}

    @property
    def keeps_pixel_aspect_ratio(self) -> bool:
        """Whether the file stores the pixel aspect ratio. PyAV cannot set it in Matroska, so there the codec must."""
        return (self.codec, self.path.suffix.lower()) != ("prores", ".mkv")


def _instead(asked: str, known: dict[str, str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(asked.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
