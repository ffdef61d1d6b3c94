"""What a recording is written to, with one class for each kind of file."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._extras.av import SUBTITLE_OPTIONS, add_subtitles, av, open_media, subtitle
from ..codec.encoder import Encoder
from ..discovery import full_name
from ..packets import Packet
from ..packets.container import occupy
from ..packets.file import PacketFile, complete, plays
from ..results import Results
from .errors import RecordFileError
from .following import Limits
from .packet_track import PacketTrack
from .results_log import Written
from .results_logs import ResultsLogs
from .set_track import SetTrack
from .target import Target
from .track import Track


class Output(ABC):
    """The file of a recording, and its tracks.

    Attributes:
        tracks: One track for each stream.
    """

    def __init__(self, target: Target, logs: ResultsLogs) -> None:
        self._target = target
        self._logs = logs
        self.tracks: list[Track | PacketTrack | SetTrack] = []

    @property
    def files(self) -> Sequence[Path]:
        """All files. There is more than one if packets were recorded and their format changed."""
        return (self._target.path,)

    @abstractmethod
    def add(self, name: str, limits: Limits, *, is_shared: bool) -> None:
        """Add a track for a stream.

        Args:
            name: Name of the stream or of its packets.
            limits: Limits of the track.
            is_shared: Whether the recording has other tracks.
        """

    @abstractmethod
    def begin(self) -> None:
        """Begin the file. Each track has received its first frame."""

    @abstractmethod
    def write(self, item: Any) -> None:
        """Write what a track gives. Thread-safe."""

    @abstractmethod
    def close(self, *, has_failed: bool) -> None:
        """Complete the file, and remove a new one without a picture.

        Args:
            has_failed: Whether writing has failed before.

        Raises:
            RecordFileError: Completing the file failed.
        """

    @abstractmethod
    def plays(self) -> bool:
        """Return whether the file contains a picture although writing has failed."""

    def write_text(self, index: int, written: Written, duration: float, text: str) -> None:
        """Write a subtitle; see `results_logs.WriteText`. Thread-safe."""
        raise NotImplementedError

    def write_results(self, index: int, written: Written, results: Results) -> None:
        """Write the results of a frame, if the file can hold them; see `results_logs.WriteResults`. Thread-safe."""
        return

    def explained(self, exc: Any) -> RecordFileError:
        """Return the error for one of FFmpeg or of the system."""
        return RecordFileError(f"cannot write {self._target.path}: {exc.strerror or exc}")

    def _has_frames(self) -> bool:
        return any(track.report().frames for track in self.tracks)


class VideoOutput(Output):
    """A video file whose tracks are encoded."""

    def __init__(self, target: Target, logs: ResultsLogs, *, overwrite: bool) -> None:
        super().__init__(target, logs)
        self._lock = threading.Lock()
        self._container: Any = None
        self._subtitles: list[Any] = []
        self._is_ours = occupy(target.path, overwrite)

    def add(self, name: str, limits: Limits, *, is_shared: bool) -> None:
        """Add a track that encodes a stream."""
        logs = self._logs.of(len(self.tracks))
        self.tracks.append(Track(full_name(name), limits, is_shared=is_shared, logs=logs))

    def begin(self) -> None:
        """Create the encoders, and write the beginning of the file."""
        target = self._target
        try:
            options = target.container_options | (SUBTITLE_OPTIONS if self._logs.subtitles else {})
            container = self._container = open_media(f"file:{target.path}", "w", options=options)
            for track in self.tracks:
                assert not isinstance(track, PacketTrack)
                track.prepare(lambda first: Encoder(container, first, target), target.path)
                container.streams.video[-1].metadata["title"] = track.name
            self._subtitles = [add_subtitles(container, title, target.tick) for title in self._logs.subtitles]
            container.start_encoding()
        except av.FFmpegError as exc:
            raise self.explained(exc) from exc

    def write(self, item: Any) -> None:
        """Write the packets of an encoder."""
        with self._lock:
            for packet in item:
                self._container.mux_one(packet)

    def write_text(self, index: int, written: Written, duration: float, text: str) -> None:
        """Write a subtitle."""
        with self._lock:
            try:
                self._container.mux_one(subtitle(self._subtitles[index], written.time, duration, text))
            except av.FFmpegError as exc:
                raise self.explained(exc) from exc

    def close(self, *, has_failed: bool) -> None:
        """Complete the file, and remove a new one without a picture."""
        container, self._container = self._container, None
        failure = None
        if container is not None:
            try:
                complete(container, self._target.path)
            except av.FFmpegError as exc:
                failure = self.explained(exc)
        is_whole = failure is None and not has_failed
        if self._is_ours and not (self._has_frames() and (is_whole or self.plays())):
            with contextlib.suppress(OSError):
                self._target.path.unlink()
        if failure is not None:
            raise failure

    def plays(self) -> bool:
        """Return whether the file contains a picture although writing has failed."""
        return plays(self._target.path)


class PacketOutput(Output):
    """A video file of packets that are encoded already."""

    def __init__(self, target: Target, logs: ResultsLogs, titles: Sequence[str], *, overwrite: bool) -> None:
        super().__init__(target, logs)
        self._lock = threading.Lock()
        self._file = PacketFile(
            target.path,
            overwrite=overwrite,
            titles=titles,
            subtitles=logs.subtitles,
            on_written=self._note,
        )

    @property
    def files(self) -> Sequence[Path]:
        """All files. There is more than one if the format of the packets changed."""
        return self._file.files

    def add(self, name: str, limits: Limits, *, is_shared: bool) -> None:
        """Add a track that copies packets."""
        self.tracks.append(PacketTrack(name, limits, self._file, len(self.tracks), is_shared=is_shared))

    def begin(self) -> None:
        """Prepare the tracks. The file begins at the first keyframes."""
        for track in self.tracks:
            assert isinstance(track, PacketTrack)
            track.prepare()

    def write(self, item: Callable[[], None]) -> None:
        """Call the function that writes a packet."""
        with self._lock:
            item()

    def write_text(self, index: int, written: Written, duration: float, text: str) -> None:
        """Write a subtitle."""
        with self._lock:
            self._file.write_text(index, written.file, written.time, duration, text)

    def close(self, *, has_failed: bool) -> None:
        """Complete all files."""
        self._file.close()

    def plays(self) -> bool:
        """Return whether a file contains a picture although writing has failed."""
        return bool(self._file.files)

    def _note(self, track: int, packet: Packet, file: Path, seconds: float) -> None:
        format = self._file.format(track)
        written = Written(file, self._file.files.index(file), seconds)
        self._logs.note_packet(track, packet, written, may_reorder=format is not None and format.may_reorder)
