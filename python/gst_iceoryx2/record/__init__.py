"""Streams into video files, without GStreamer; needs PyAV (`pip install 'iox2-video[record]'`).

    from gst_iceoryx2.record import record

    done = record("cam0", "cam0.mkv", duration=10)
    print(done.tracks[0].frames, "frames,", done.tracks[0].dropped, "dropped")

Pixels go into the encoder by reference where their layout allows (packed RGB, gray, NV12 and I420 whose
planes follow each other), otherwise with one copy. An encoder that is too slow loses frames in the subscriber's own
buffer, which is bounded and counted, and holds nobody up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import NotLosslessError, RecordError, RecordFileError, TargetError
from .target import CODECS, DEFAULT_PRESET, PRESETS, Target

if TYPE_CHECKING:
    from .recorder import Recorder, Recording, record
    from .track import TrackReport

__all__ = [
    "CODECS",
    "DEFAULT_PRESET",
    "PRESETS",
    "NotLosslessError",
    "RecordError",
    "RecordFileError",
    "Recorder",
    "Recording",
    "Target",
    "TargetError",
    "TrackReport",
    "record",
]


def __getattr__(name: str) -> Any:
    # PyAV takes a third of a second to import, which whoever only judges a file name need not wait for.
    if name in ("Recorder", "Recording", "TrackReport", "record"):
        from . import recorder

        return getattr(recorder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
