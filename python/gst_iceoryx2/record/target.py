"""What kind of file: container and codec, which go together, and how they are set up. Needs no PyAV."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from .errors import TargetError

CODECS: Final = {"x264": "libx264", "prores": "prores_ks", "ffv1": "ffv1"}
"""Our name of a codec to FFmpeg's of its encoder."""

PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Settings of x264, from little work and large files to much work and small files."""

DEFAULT_PRESET: Final = "veryfast"
"""Preset of x264 that `record` uses if none is named."""

_FITTING: Final = {
    ".mkv": ("x264", "ffv1", "prores"),
    ".mov": ("x264", "prores"),
    ".mp4": ("x264",),
}
# Matroska's muxer counts milliseconds and cannot be told otherwise.
_TICKS: Final = {".mkv": 1_000, ".mov": 1_000_000, ".mp4": 1_000_000}


@dataclass(frozen=True, slots=True)
class Target:
    """A file to be, checked by name.

    Attributes:
        path: The file.
        codec: One of `CODECS`.
        preset: One of `PRESETS`; of x264 only.
    """

    path: Path
    codec: str = "x264"
    preset: str = DEFAULT_PRESET

    @classmethod
    def of(cls, file: str | os.PathLike[str], codec: str = "x264", preset: str = DEFAULT_PRESET) -> Target:
        """The target for a file name.

        Raises:
            TargetError: Unknown codec, container or preset, or codec and container do not go together.
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
            raise TargetError(f"{codec} does not go into {path.suffix} files: name it {others}, or use {fitting[0]}")
        return cls(path, codec, preset)

    @property
    def tick(self) -> Fraction:
        """The finest time that the container keeps, in seconds."""
        return Fraction(1, _TICKS[self.path.suffix.lower()])

    @property
    def is_lossless(self) -> bool:
        """Whether the pixels come out of the file as they went in."""
        return self.codec == "ffv1"

    @property
    def container_options(self) -> dict[str, str]:
        """Options of FFmpeg's muxer: what is written so far can be played, whatever happens to this process."""
        if self.path.suffix.lower() == ".mkv":
            return {"cluster_time_limit": "1000", "flush_packets": "1"}
        # Fragments while recording, an ordinary file once it ends; delay_moov because B-frames shift the beginning, and
        # what puts it right is known only after the first fragment.
        return {
            "movflags": "+hybrid_fragmented+frag_keyframe+delay_moov",
            "video_track_timescale": str(self.tick.denominator),
            "flush_packets": "1",
        }

    def codec_options(self, pixel_format: str) -> dict[str, str]:
        """Options of FFmpeg's encoder for pictures of one of its formats."""
        if self.codec == "x264":
            return {"preset": self.preset, "crf": "20"}
        if self.codec == "prores":
            return {"profile": "hq" if pixel_format.startswith("yuv422") else "4444", "vendor": "apl0"}
        return {"level": "3", "slicecrc": "1"}

    @property
    def keeps_pixel_aspect_ratio(self) -> bool:
        """Whether the file says how wide a pixel is. PyAV cannot tell Matroska's muxer, so there the codec has to."""
        return (self.codec, self.path.suffix.lower()) != ("prores", ".mkv")


def _instead(asked: str, known: dict[str, str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(asked.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
