"""The type of a recording's file: container, codec and their options. Does not import PyAV."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from .._wire.rendition import codec_of
from ..codec.settings import CODECS, DEFAULT_PRESET, PRESETS
from ..discovery.encoded import encoded
from ..discovery.names import short_name
from ..packets.container import MCAP, VIDEO_FILES, Container, cannot_contain, fitting
from .errors import TargetError

_KINDS: Final = (*VIDEO_FILES, MCAP)


@dataclass(frozen=True, slots=True)
class Target:
    """A file to record to. Its name and codec have been checked.

    Attributes:
        path: The file.
        codec: One of `CODECS`, or the codec of packets that are encoded already: "h264", "h265" or "av1".
        preset: One of `PRESETS`; used only for x264.
    """

    path: Path
    codec: str = "x264"
    preset: str = DEFAULT_PRESET

    @classmethod
    def of(cls, file: str | os.PathLike[str], codec: str = "x264", preset: str = DEFAULT_PRESET) -> Target:
        """Create a target from a file name.

        Raises:
            TargetError: The codec, container or preset is unknown, or the container cannot hold the codec.
        """
        if codec not in CODECS:
            raise TargetError(f"unknown codec {codec!r}: {_instead(codec, CODECS)}")
        if preset not in PRESETS:
            raise TargetError(f"unknown preset {preset!r}: {_instead(preset, PRESETS)}")
        known = fitting(file, _KINDS)
        if codec not in known:
            raise TargetError(f"{cannot_contain(file, codec, _KINDS)}, or the codec {known[0]}")
        return cls(Path(file), codec, preset)

    @classmethod
    def of_packets(cls, file: str | os.PathLike[str], codec: str) -> Target:
        """Create a target for packets that are encoded already.

        Args:
            file: The file.
            codec: "h264", "h265" or "av1".

        Raises:
            TargetError: The container is unknown, or cannot hold the codec.
        """
        if codec not in fitting(file, _KINDS):
            raise TargetError(cannot_contain(file, codec, _KINDS))
        return cls(Path(file), codec)

    @property
    def name(self) -> str:
        """The file's name."""
        return str(self.path)

    @property
    def tick(self) -> Fraction:
        """Resolution of timestamps in the container, in seconds."""
        return Container(self.path).tick

    @property
    def is_mcap(self) -> bool:
        """Whether the file consists of messages."""
        return self.path.suffix.lower() == MCAP

    @property
    def is_lossless(self) -> bool:
        """Whether the file stores pixels without loss."""
        return self.codec == "ffv1"

    @property
    def container_options(self) -> dict[str, str]:
        """Options for FFmpeg's muxer. With them, a truncated file plays up to the point where it ends."""
        return Container(self.path).container_options

    def codec_options(self, pixel_format: str) -> dict[str, str]:
        """Return the options for FFmpeg's encoder, for pictures of this pixel format."""
        if self.codec == "x264":
            # Messages are in the order of their frames, so there must be no B-frames.
            return {"preset": self.preset, "crf": "20"} | ({"tune": "zerolatency"} if self.is_mcap else {})
        if self.codec == "prores":
            return {"profile": "hq" if pixel_format.startswith("yuv422") else "4444", "vendor": "apl0"}
        return {"level": "3", "slicecrc": "1"}

    @property
    def keeps_pixel_aspect_ratio(self) -> bool:
        """Whether the file stores the pixel aspect ratio. PyAV cannot set it in Matroska, so the codec must."""
        return (self.codec, self.path.suffix.lower()) != ("prores", ".mkv")


def copies_packets(
    streams: Sequence[str], *, copy: bool | None, codec: str | None, preset: str | None, max_fps: float | None
) -> bool:
    """Return whether streams are recorded without encoding them again.

    Args:
        streams: Names of streams, or of their packets: `cam0`, `cam0@h264`.
        copy: What was asked for; None = if all of them are encoded already.
        codec: Codec that was asked for; None = none.
        preset: Preset that was asked for; None = none.
        max_fps: Rate that was asked for; None = none.

    Raises:
        TargetError: Packets cannot be recorded in this way.
    """
    asked = {"codec": codec, "preset": preset, "max-fps": max_fps}
    options = " and ".join(f"--{name}" for name, value in asked.items() if value is not None)
    packets = [short for short in map(short_name, streams) if codec_of(short)]
    if copy is False and packets:
        source = packets[0].rpartition("@")[0]
        raise TargetError(f"cannot encode {packets[0]} again, because it is a stream of packets; record {source}")
    if (copy or packets) and options:
        what = f"{packets[0]} is encoded already" if packets else "--copy records packets as they are"
        remedy = f"record {packets[0].rpartition('@')[0]}" if packets else "leave out --copy"
        raise TargetError(f"{what}, so {options} cannot be applied; leave out {options}, or {remedy}")
    if copy is None and not options and not packets:
        return all(encoded(name) == "running" for name in streams)
    return bool(copy or packets)


# A larger tolerance would match frames of different moments, and keep many frames waiting.
_MAX_TOLERANCE: Final = 1.0


def check_sync(streams: Sequence[str], tolerance: float, *, copy: bool | None = None) -> None:
    """Check that only frames that belong together can be recorded.

    Args:
        streams: Names of streams.
        tolerance: Largest skew of a set in seconds.
        copy: Whether packets are to be recorded as they are.

    Raises:
        TargetError: They cannot.
    """
    shorts = [short_name(name) for name in streams]
    twice = next((short for short in shorts if shorts.count(short) > 1), None)
    packets = next((short for short in shorts if codec_of(short)), None)
    if packets is not None:
        source = packets.rpartition("@")[0]
        raise TargetError(f"--sync matches frames, but {packets} is a stream of packets; record {source}")
    if copy:
        raise TargetError("--sync matches frames, but --copy records packets; leave out --copy or --sync")
    if len(shorts) < 2:
        raise TargetError("--sync needs at least 2 streams, but there is 1; name another stream, or leave out --sync")
    if twice is not None:
        raise TargetError(f"--sync needs different streams, but {twice} is named twice")
    if not 0 <= tolerance <= _MAX_TOLERANCE:
        raise TargetError(
            f"--sync is {tolerance:g} s, but must be from 0 s to {_MAX_TOLERANCE:g} s; less than half of a frame "
            "interval is a good choice"
        )


def _instead(asked: str, known: dict[str, str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(asked.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"
