"""Records streams to an MCAP file: one channel for each stream, and one for each detector of a stream."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from .._extras.mcap import McapWriter
from ..codec.foxglove import (
    ANNOTATIONS,
    IMAGE,
    VIDEO,
    annotations_message,
    results_topic,
    schema_of,
)
from ..discovery import full_name
from ..packets import Packet
from ..packets.container import occupy
from ..results import Results
from ..video.frame import VideoFrame
from ..video.wall_clock import WallClock
from .encoded_track import FrameEncoder
from .following import NS, Limits
from .mcap_messages import ImageMessages, McapPackets, VideoMessages
from .output import Output
from .packet_track import PacketTrack
from .results_log import Written
from .results_logs import ResultsLogs
from .target import Target
from .track import Track

_OFFSET: Final = "wall_minus_monotonic_ns"


class McapOutput(Output):
    """An MCAP file. Messages have the capture times of their frames, as times of day.

    Args:
        target: The file.
        logs: Logs of the results of detectors.
        topics: Short name of each stream.
        overwrite: Whether to replace an existing file.
        is_copy: Whether to record packets as they are.

    Raises:
        InvalidServiceNameError: Results of a rendition are to be recorded; see `results_topic`.
        RecordFileError: The file already exists, or cannot be written.
    """

    def __init__(
        self, target: Target, logs: ResultsLogs, topics: Sequence[str], *, overwrite: bool, is_copy: bool
    ) -> None:
        super().__init__(target, logs)
        self._topics = topics
        self._results_topics = [results_topic(stream, detector) for stream, detector in logs.sources]
        self._lock = threading.Lock()
        self._clock = WallClock()
        self._packets = McapPackets(topics, self._clock, self.write, self._note) if is_copy else None
        self._writer: McapWriter | None = None
        self._channels: list[int] = []
        self._result_channels: list[int] = []
        self._is_closed = False
        self._is_ours = occupy(target.path, overwrite)

    def add(self, name: str, limits: Limits, *, is_shared: bool) -> None:
        """Add a channel for a stream."""
        index = len(self.tracks)
        if self._packets is not None:
            self.tracks.append(PacketTrack(name, limits, self._packets, index, is_shared=is_shared))
        else:
            self.tracks.append(Track(full_name(name), limits, is_shared=is_shared, logs=self._logs.of(index)))

    def begin(self) -> None:
        """Create the encoders, and write the beginning of the file."""
        for index, track in enumerate(self.tracks):
            if isinstance(track, PacketTrack):
                track.prepare()
            else:
                track.prepare(self._encoder_of(index), self._target.path)
        try:
            writer = self._writer = McapWriter(self._target.path)
            writer.add_metadata("iox2-video", {_OFFSET: str(self._clock.offset)})
        except OSError as exc:
            raise self.explained(exc) from exc
        kind = IMAGE if self._target.codec == "raw" else VIDEO
        self._channels = [writer.add_channel(topic, *schema_of(kind)) for topic in self._topics]
        self._result_channels = [writer.add_channel(topic, *schema_of(ANNOTATIONS)) for topic in self._results_topics]

    def write(self, item: Any) -> None:
        """Write messages, or call the function that gives them."""
        if callable(item):
            item()
            return
        for track, at, data in item:
            self._write(self._channels[track], at, data)

    def write_results(self, index: int, written: Written, results: Results) -> None:
        """Write annotations of a frame."""
        if written.captured_at is not None:
            at = self._clock.at(written.captured_at)
            self._write(self._result_channels[index], at, annotations_message(at, results))

    def close(self, *, has_failed: bool) -> None:
        """Write the last chunk and the index, and remove a new file without a picture."""
        writer = self._writer
        self._is_closed = True
        try:
            if writer is not None:
                writer.close()
        except OSError as exc:
            raise self.explained(exc) from exc
        finally:
            if self._is_ours and not self.plays():
                with contextlib.suppress(OSError):
                    self._target.path.unlink()

    def plays(self) -> bool:
        """Return whether the file contains a picture although writing has failed."""
        return self._writer is not None and self._writer.written > 0

    def _write(self, channel: int, at: int, data: bytes) -> None:
        with self._lock:
            if self._writer is None or self._is_closed:
                return
            try:
                self._writer.add(channel, at, data)
            except OSError as exc:
                raise self.explained(exc) from exc

    def _encoder_of(self, index: int) -> Callable[[VideoFrame], FrameEncoder]:
        topic, clock = self._topics[index], self._clock
        if self._target.codec == "raw":
            return lambda first: ImageMessages(index, topic, clock, first)
        return lambda first: VideoMessages(index, topic, clock, first, self._target)

    def _note(self, track: int, packet: Packet, moment: int) -> None:
        written = Written(self._target.path, 0, moment / NS)
        self._logs.note_packet(track, packet, written, may_reorder=False)
