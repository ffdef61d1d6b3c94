"""Containers of video files: what they can hold, and FFmpeg's options for them. Does not import PyAV."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from .errors import RecordFileError, TargetError

VIDEO_FILES: Final = (".mkv", ".mp4", ".mov")
"""Endings of files that FFmpeg writes."""
MCAP: Final = ".mcap"
"""Ending of files of messages, which only recordings can be."""

# Of raw video that is encoded for the file, and of packets that are encoded already.
_FITTING: Final = {
    MCAP: ("x264", "raw", "h264", "h265", "av1"),
    ".mkv": ("x264", "ffv1", "prores", "h264", "h265", "av1"),
    ".mov": ("x264", "prores", "h264", "h265"),
    ".mp4": ("x264", "h264", "h265", "av1"),
}
# Ticks per second. FFmpeg's Matroska muxer always counts milliseconds.
_TICKS: Final = {".mcap": 1_000_000, ".mkv": 1_000, ".mov": 1_000_000, ".mp4": 1_000_000}


@dataclass(frozen=True, slots=True)
class Container:
    """The container of a video file. The ending of its name has been checked.

    Attributes:
        path: The file.
    """

    path: Path

    @classmethod
    def of_packets(cls, file: str | os.PathLike[str], codec: str) -> Container:
        """Return the container of a file for packets that are encoded already.

        Args:
            file: The file.
            codec: "h264", "h265" or "av1".

        Raises:
            TargetError: The container is unknown, or cannot hold the codec.
        """
        if codec not in fitting(file):
            raise TargetError(cannot_contain(file, codec))
        return cls(Path(file))

    @property
    def tick(self) -> Fraction:
        """Resolution of timestamps in the container, in seconds."""
        return Fraction(1, _TICKS[self.path.suffix.lower()])

    @property
    def has_subtitles(self) -> bool:
        """Whether the container can hold subtitles as plain text."""
        return self.path.suffix.lower() == ".mkv"

    @property
    def container_options(self) -> dict[str, str]:
        """Options for FFmpeg's muxer. With them, a truncated file plays up to the point where it ends."""
        if self.path.suffix.lower() == ".mkv":
            return {"cluster_time_limit": "1000", "flush_packets": "1"}
        # The file consists of fragments during the recording, and becomes an ordinary file at the end. With delay_moov,
        # the index is written after the first fragment, when the time shift due to B-frames is known.
        return {
            "movflags": "+hybrid_fragmented+frag_keyframe+delay_moov",
            "video_track_timescale": str(self.tick.denominator),
            "flush_packets": "1",
        }


def fitting(file: str | os.PathLike[str], kinds: tuple[str, ...] = VIDEO_FILES) -> tuple[str, ...]:
    """Return the codecs that a file's container can hold.

    Args:
        file: The file.
        kinds: Endings that are allowed.

    Raises:
        TargetError: The file has another ending.
    """
    suffix = Path(file).suffix
    if suffix.lower() not in kinds:
        what = f"the container {suffix!r} is unknown" if suffix else "the name has no ending"
        if suffix.lower() == MCAP:
            what = "only record writes .mcap files"
        raise TargetError(f"cannot record to {str(file)!r}: {what}; use {', '.join(kinds[:-1])} or {kinds[-1]}")
    return _FITTING[suffix.lower()]


def cannot_contain(file: str | os.PathLike[str], codec: str, kinds: tuple[str, ...] = VIDEO_FILES) -> str:
    """Return a sentence that says which containers can hold a codec. Arguments are as in `fitting`."""
    others = " or ".join(suffix for suffix in kinds if codec in _FITTING[suffix])
    return f"{Path(file).suffix} files cannot contain {codec}; use {others}"


def occupy(path: Path, overwrite: bool) -> bool:
    """Check that the file can be written; return whether this created it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    existed = path.exists()
    try:
        os.close(os.open(path, flags if overwrite else flags | os.O_EXCL, 0o666))
    except FileExistsError as exc:
        raise RecordFileError(f"{path} already exists; choose another name, or use --overwrite") from exc
    except OSError as exc:
        raise RecordFileError(f"cannot write {path}: {exc.strerror}") from exc
    return not existed
