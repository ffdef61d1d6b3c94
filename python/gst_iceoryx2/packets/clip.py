"""Writes packets of the past to a video file, without decoding or encoding them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LookbackError
from .packet import Packet

if TYPE_CHECKING:
    from .file import PacketFile


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that was written. As text: "crash.mp4: 25.3 s, 759 frames, 4.1 MB".

    Attributes:
        files: Its files, in order. There is more than one if the size of the pictures or the encoder changed.
        seconds: Time from its first to its last picture.
        frames: Number of pictures.
        size: Bytes of all files.
        note: What is missing of what was asked for, as a sentence; None if nothing is.
    """

    files: tuple[Path, ...]
    seconds: float
    frames: int
    size: int
    note: str | None = None

    def __str__(self) -> str:
        names = ", ".join(map(str, self.files))
        size = f"{self.size / 1e6:.1f} MB" if self.size >= 1e6 else f"{self.size / 1e3:.0f} kB"
        frames = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        return f"{names}: {self.seconds:.1f} s, {frames}, {size}"


def write_clip(packets: Iterable[Packet], file: PacketFile) -> Clip:
    """Write packets to a file, and complete it. Presentation times are capture times, from 0.

    Args:
        packets: Packets with capture times, from a keyframe on. If they end with LookbackError, the clip ends there.
        file: The file.

    Raises:
        RecordFileError: The file cannot be written; it keeps what was written before.
    """
    begin = end = None
    note = None
    with file:
        try:
            for packet in packets:
                at = packet.captured_at or 0
                begin = at if begin is None else begin
                file.write(packet, max(0, at - begin))
                end = at if end is None else max(end, at)
        except LookbackError as exc:
            note = str(exc)
    lost = file.skipped + file.invalid
    if lost and note is None:
        note = f"{lost} packets are not in the clip, because they cannot be decoded"
    seconds = 0.0 if begin is None or end is None else (end - begin) / 1e9
    size = sum(os.stat(path).st_size for path in file.files)
    return Clip(tuple(file.files), seconds, file.written, size, note)
