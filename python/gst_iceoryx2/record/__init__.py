"""Records streams to video files without GStreamer. Needs PyAV (`pip install 'iox2-video[record]'`).

    from gst_iceoryx2.record import record

    done = record("cam0", "cam0.mkv", duration=10)
    print(done.tracks[0].frames, "frames,", done.tracks[0].dropped, "dropped")

The encoder reads pixels directly from shared memory if it supports their layout: packed RGB, gray, and NV12 or I420
with adjacent planes. Other layouts are copied once. If the encoder is too slow, the recorder's own buffer drops frames,
which are counted. The publisher never waits.

`results=["yolo"]` writes the results of a detector to a file beside the recording, a line for each frame.

`sync=0.005` records only frames that several cameras captured at most 5 ms apart, as many in each track.

`PacketFile` writes packets that are encoded already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..codec.errors import NotLosslessError
from ..codec.settings import CODECS, DEFAULT_PRESET, PRESETS
from .errors import RecordError, RecordFileError, TargetError
from .target import Target, check_sync, copies_packets

if TYPE_CHECKING:
    from ..packets.file import PacketFile
    from .recorder import Recorder, Recording, record
    from .results_log import ResultsReport
    from .set_tracks import SetsReport
    from .track import TrackReport

__all__ = [
    "CODECS",
    "DEFAULT_PRESET",
    "PRESETS",
    "NotLosslessError",
    "PacketFile",
    "RecordError",
    "RecordFileError",
    "Recorder",
    "Recording",
    "ResultsReport",
    "SetsReport",
    "Target",
    "TargetError",
    "TrackReport",
    "check_sync",
    "copies_packets",
    "record",
]


def __getattr__(name: str) -> Any:
    # Imported on demand: importing PyAV takes a third of a second, and checking a file name does not need it.
    if name in ("Recorder", "Recording", "ResultsReport", "SetsReport", "TrackReport", "record"):
        from . import recorder

        return getattr(recorder, name)
    if name == "PacketFile":
        from ..packets import file

        return file.PacketFile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
