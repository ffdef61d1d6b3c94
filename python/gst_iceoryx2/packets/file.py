"""Writes packets to video files without decoding and encoding them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from .._extras.av import SUBTITLE_OPTIONS, add_subtitles, av, open_media, subtitle
from ._decoding_order import DecodingOrder
from ._stream_format import FormatReader, StreamFormat
from .container import Container, occupy
from .errors import RecordFileError
from .packet import Packet

_NS: Final = 1_000_000_000
# Longest time from decoding a picture to its presentation that is believed.
_MAX_REORDER: Final = 10 * _NS
# Completing a file changes bytes in its beginning.
_HEAD: Final = 1 << 16


class PacketFile:
    """A video file that packets are written to as they are.

    The file starts at a keyframe. If the size, the codec or the parameter sets change, it continues in a second file:
    `day.mkv`, `day-2.mkv`. In that file, time starts again at 0. All files can be played if the process is killed.

    A file can have several tracks. Each track changes to the second file at its next keyframe. The first packets are
    kept in memory until each track has had a keyframe.

    Args:
        path: The file. Its ending selects the container: .mkv, .mp4 or .mov.
        overwrite: Whether to replace existing files. Otherwise, a second file has the next free number.
        titles: Title of each track.
        subtitles: Title of each track of subtitles, which `write_text` writes. Only .mkv files can contain them.
        on_written: Called with the index of the track, the packet, the file and the time in this file in seconds, after
            a packet was written.

    Attributes:
        files: Paths written so far, in order.
        written: Packets written.

    Raises:
        TargetError: The container is unknown.
        RecordFileError: The file already exists, or cannot be written.

    Example:
        Write a stream to a file until it ends:

            from gst_iceoryx2.packets import PacketSubscriber
            from gst_iceoryx2.record import PacketFile

            begin = None
            with PacketSubscriber("cam0") as subscriber, PacketFile("cam0.mp4") as file:
                for packet in subscriber:
                    if begin is None:
                        begin = packet.captured_at
                    file.write(packet, packet.captured_at - begin)
            print(file.files)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        titles: Sequence[str] = ("",),
        subtitles: Sequence[str] = (),
        on_written: Callable[[int, Packet, Path, float], None] | None = None,
    ) -> None:
        self._target = Container.of_packets(path, "h264")
        self._subtitles = subtitles
        self._on_written = on_written
        self._overwrite = overwrite
        self._tracks = [_Track(title) for title in titles]
        self._held: list[tuple[Packet, int, int]] = []
        self._newest: _Part | None = None
        # Files that are not complete yet.
        self._parts: list[_Part] = []
        self._failure: RecordFileError | None = None
        self._is_ours = occupy(self._target.path, overwrite)
        self.files: list[Path] = []
        self.written = 0

    def write(self, packet: Packet, moment: int, track: int = 0) -> bool:
        """Write a packet.

        Args:
            packet: The packet. It is copied.
            moment: Presentation time, in nanoseconds from the start of the first file.
            track: Index of its track.

        Returns:
            Whether the packet was written, or is kept until all tracks have had a keyframe. False if it was skipped.

        Raises:
            RecordFileError: Writing failed, for example because the disk is full. Files keep what was written before.
            TargetError: The container cannot hold the codec.
        """
        one = self._tracks[track]
        if packet.is_keyframe and not self._begin_group(one, packet):
            return False
        if one.format is None or not one.is_decodable:
            one.skipped += 1
            return False
        self._place(packet, moment, track)
        return True

    def write_text(self, index: int, file: Path, begin: float, duration: float, text: str) -> None:
        """Write a subtitle. A file that is complete is not changed.

        Args:
            index: Index of its track of subtitles.
            file: The file.
            begin: Time in the file, in seconds.
            duration: Duration in seconds.
            text: The text.

        Raises:
            RecordFileError: Writing failed, for example because the disk is full.
        """
        for part in self._parts:
            if part.path == file:
                try:
                    part.write_text(index, begin, duration, text)
                except av.FFmpegError as exc:
                    raise _explained(file, exc) from exc

    @property
    def skipped(self) -> int:
        """Packets not written because no keyframe preceded them."""
        return sum(track.skipped for track in self._tracks)

    @property
    def invalid(self) -> int:
        """Keyframes not written because they contain no parameter sets that can be understood."""
        return sum(track.invalid for track in self._tracks)

    def skipped_of(self, track: int) -> int:
        """Return `skipped` of one track."""
        return self._tracks[track].skipped

    def invalid_of(self, track: int) -> int:
        """Return `invalid` of one track."""
        return self._tracks[track].invalid

    def format(self, track: int = 0) -> StreamFormat | None:
        """Return the format of a track's newest keyframe; None before the first one."""
        return self._tracks[track].format

    def close(self) -> None:
        """Complete all files. New files without a picture are removed. Idempotent.

        Raises:
            RecordFileError: Writing failed, and `write` has not raised this yet.
        """
        self._held.clear()
        parts, self._parts, self._newest = self._parts, [], None
        for part in parts:
            self._complete(part)
        if not self.files and self._is_ours:
            with contextlib.suppress(OSError):
                self._target.path.unlink()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> PacketFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The first error is the one to tell.
        with contextlib.nullcontext() if kind is None else contextlib.suppress(RecordFileError):
            self.close()

    def _begin_group(self, track: _Track, packet: Packet) -> bool:
        """Note the format of a keyframe; return whether it can be decoded."""
        found = track.reader.read(packet)
        track.is_decodable = found is not None
        if found is None:
            track.invalid += 1
            return False
        Container.of_packets(self._target.path, found.codec)
        track.format = found
        return True

    def _place(self, packet: Packet, moment: int, track: int) -> None:
        one = self._tracks[track]
        if self._newest is None:
            self._held.append((packet.copy(), moment, track))
            if all(each.format for each in self._tracks):
                self._begin_first()
            return
        if packet.is_keyframe and (one.part is not self._newest or not one.part.fits(track, one.format)):
            self._move(one, track, moment)
        part = one.part
        assert part is not None
        try:
            seconds = part.write(packet, moment, track)
        except av.FFmpegError as exc:
            raise _explained(part.path, exc) from exc
        self.written += 1
        if self._on_written is not None:
            self._on_written(track, packet, part.path, seconds)

    def _begin_first(self) -> None:
        self._newest = self._part(self._target.path, 0, is_ours=self._is_ours)
        held, self._held = self._held, []
        for packet, moment, track in held:
            # The format may have changed while another track was awaited.
            if packet.is_keyframe:
                self._begin_group(self._tracks[track], packet)
            self._place(packet, moment, track)

    def _move(self, one: _Track, track: int, moment: int) -> None:
        """Let a track continue in the newest file, or in another one if its format is not that file's."""
        before = one.part
        assert self._newest is not None
        if not self._newest.fits(track, one.format):
            path, is_ours = self._next_path()
            self._newest = self._part(path, moment, is_ours=is_ours)
        one.part = self._newest
        if before is not None and all(each.part is not before for each in self._tracks):
            self._parts.remove(before)
            self._complete(before)
            if self._failure is not None:
                raise self._failure

    def _part(self, path: Path, begin: int, *, is_ours: bool) -> _Part:
        formats = [(track.title, track.format) for track in self._tracks]
        try:
            part = _Part(path, self._target, formats, begin, self._subtitles, is_ours=is_ours)
        except av.FFmpegError as exc:
            raise _explained(path, exc) from exc
        self._parts.append(part)
        self.files.append(path)
        return part

    def _complete(self, part: _Part) -> None:
        """Complete a file; keep the first failure, and remove a new file without a picture."""
        try:
            part.close()
        except av.FFmpegError as exc:
            self._failure = self._failure or _explained(part.path, exc)
        if part.is_ours and not plays(part.path):
            self.files.remove(part.path)
            with contextlib.suppress(OSError):
                part.path.unlink()

    def _next_path(self) -> tuple[Path, bool]:
        """Create another file, or choose one to replace; return its path, and whether this created it."""
        first, number = self._target.path, len(self.files) + 1
        while True:
            path = first.with_name(f"{first.stem}-{number}{first.suffix}")
            if self._overwrite or not path.exists():
                return path, occupy(path, self._overwrite)
            number += 1


class _Track:
    """A track: the format of its newest keyframe, and the file that it is written to."""

    __slots__ = ("format", "invalid", "is_decodable", "part", "reader", "skipped", "title")

    def __init__(self, title: str) -> None:
        self.title = title
        self.reader = FormatReader()
        self.format: StreamFormat | None = None
        self.part: _Part | None = None
        self.is_decodable = False
        self.skipped = self.invalid = 0


class _Part:
    """One file.

    Attributes:
        path: Its path.
        is_ours: Whether it did not exist before.
    """

    def __init__(
        self,
        path: Path,
        target: Container,
        tracks: Sequence[tuple[str, StreamFormat | None]],
        begin: int,
        subtitles: Sequence[str],
        *,
        is_ours: bool,
    ) -> None:
        self.path = path
        self.is_ours = is_ours
        self._tick = target.tick
        self._begin = begin
        self._formats = [format for _, format in tracks if format is not None]
        self._orders = [DecodingOrder(may_reorder=format.may_reorder) for format in self._formats]
        options = target.container_options | (SUBTITLE_OPTIONS if subtitles else {})
        self._container = open_media(f"file:{path}", "w", options=options)
        for title, format in tracks:
            assert format is not None
            stream = self._container.add_stream_from_template(format.template, opaque=True)
            stream.time_base = self._tick
            stream.metadata["title"] = title
            if format.codec == "h265" and path.suffix.lower() != ".mkv":
                # Apple's players know no other tag of H.265.
                stream.codec_context.codec_tag = "hvc1"
        self._subtitles = [add_subtitles(self._container, title, self._tick) for title in subtitles]
        self._container.start_encoding()

    def fits(self, track: int, format: StreamFormat | None) -> bool:
        """Return whether a track has this format."""
        own = self._formats[track]
        return format is not None and (own.codec, own.parameter_sets) == (format.codec, format.parameter_sets)

    def write(self, packet: Packet, moment: int, track: int) -> float:
        """Write a packet of a track; return its time in seconds."""
        shift = None if packet.pts is None or packet.dts is None else packet.pts - packet.dts
        pts = self._ticks(moment - self._begin)
        earlier = self._ticks(shift) if shift is not None and 0 <= shift <= _MAX_REORDER else None
        # PyAV would keep borrowed memory until the packet is written, which may be much later.
        muxed = av.Packet(bytes(packet.data))
        muxed.stream, muxed.time_base = self._container.streams.video[track], self._tick
        muxed.pts, muxed.dts = self._orders[track].times(pts, earlier)
        muxed.is_keyframe = packet.is_keyframe
        self._container.mux_one(muxed)
        return float(muxed.pts * self._tick)

    def write_text(self, index: int, begin: float, duration: float, text: str) -> None:
        """Write a subtitle, with times in seconds."""
        self._container.mux_one(subtitle(self._subtitles[index], begin, duration, text))

    def close(self) -> None:
        """Complete the file."""
        complete(self._container, self.path)

    def _ticks(self, nanoseconds: int) -> int:
        return int(Fraction(nanoseconds, _NS) / self._tick + Fraction(1, 2))


def complete(container: Any, path: Path) -> None:
    """Complete a file. If this fails, what was written before can be played.

    At the end, FFmpeg hides the index of each fragment in one box and appends an index of the whole file. If that does
    not fit onto the disk, the file would have no index.

    Raises:
        FFmpegError: Writing failed.
    """
    with path.open("rb") as file:
        head, size = file.read(_HEAD), os.fstat(file.fileno()).st_size
    try:
        container.close()
    except av.FFmpegError:
        with path.open("r+b") as file:
            file.write(head)
            file.truncate(size)
        raise


def plays(path: Path) -> bool:
    """Return whether a file contains a picture."""
    try:
        with open_media(f"file:{path}") as container:
            return any(packet.size for packet in container.demux())
    except av.FFmpegError:
        return False


def _explained(path: Path, exc: Any) -> RecordFileError:
    return RecordFileError(f"cannot write {path}: {exc.strerror or exc}")
