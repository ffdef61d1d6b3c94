"""Decodes pictures, and reads them from files, with PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Final

from .._extras.av import PIXEL_FORMATS, av, open_media
from .errors import SettingError, SourceError
from .scaler import Scaler, gstreamer_format
from .source import Lend, Picture, Shape
from .upright import Upright

_NS: Final = 1_000_000_000
_USUAL_RATE: Final = Fraction(30)
_IMAGE_RATE: Final = Fraction(30)
# Source: mcap.dev/spec
_MCAP_MAGIC: Final = b"\x89MCAP0\r\n"
# Maximum number of consecutive damaged packets.
_DAMAGED_MAX: Final = 100


class Decoded:
    """Base class of files, images and network streams. The first picture determines the size and format of all.

    Phones may store pictures rotated, with a tag for the rotation. This class rotates such pictures upright.
    """

    is_live = False
    lost = 0
    _threads = "AUTO"

    def __init__(self, container: Any, what: str, format: str | None, size: tuple[int, int] | None) -> None:
        self._container = container
        self._what = what
        self.damaged = 0
        self._size = size
        self._upright: Upright | None = None
        try:
            if not container.streams.video:
                others = ", ".join(stream.type for stream in container.streams) or "nothing"
                raise SourceError(f"{what} does not contain video, only {others}")
            self._stream = container.streams.video[0]
            self._stream.thread_type = self._threads
            # Kept, because the decoder returns several pictures at once at the end of a short file.
            self._pictures = self._decoded()
            self._first = next(self._pictures, None)
            if self._first is None:
                raise SourceError(f"cannot decode any picture of the video in {what}")
            first = self._first
            name = gstreamer_format(first.format.name) if format is None else format
            if name not in PIXEL_FORMATS:
                raise SettingError(f"cannot convert {what} to {name}; use one of {', '.join(PIXEL_FORMATS)}")
            width, height = (first.width, first.height) if size is None else size
            self._scaler = Scaler(name, width, height, first)
        except BaseException:
            container.close()
            raise

    def _decoded(self) -> Iterator[Any]:
        """Yield the pictures up to the end of the file, without damaged ones."""
        damaged = 0
        try:
            for packet in self._packets():
                try:
                    pictures = packet.decode()
                except av.InvalidDataError as exc:
                    damaged += 1
                    self.damaged += 1
                    if damaged > _DAMAGED_MAX:
                        raise SourceError(
                            f"{self._what} is damaged: {damaged} consecutive packets are unreadable"
                        ) from exc
                    continue
                if pictures:
                    damaged = 0
                for picture in pictures:
                    if self._upright is None:
                        context = self._stream.codec_context
                        self._upright = Upright(picture, context, self._pixel_aspect_ratio(), self._size)
                    yield self._upright.turned(picture)
        except av.FFmpegError as exc:
            raise self._explained(exc) from exc

    def _packets(self) -> Iterator[Any]:
        """Yield the packets of the track; the last one is empty."""
        yield from self._container.demux(self._stream)

    @property
    def about(self) -> str:
        """Where the pictures come from, in words."""
        return f"file {self._what}"

    def _explained(self, exc: Any) -> SourceError:
        return SourceError(f"cannot continue to read {self._what}: {exc.strerror or exc}")

    def _shape(self, framerate: Fraction | None) -> Shape:
        scaler = self._scaler
        fields = {} if scaler.colorimetry is None else {"colorimetry": f"(string){scaler.colorimetry}"}
        fields |= {} if self._upright is None else self._upright.caps
        caps = ", ".join(["video/x-raw", *(f"{name}={value}" for name, value in fields.items())])
        return Shape(scaler.width, scaler.height, scaler.format, framerate, caps if fields else None)

    def _pixel_aspect_ratio(self) -> Fraction:
        ratio = self._stream.sample_aspect_ratio
        return ratio if ratio is not None and ratio > 0 else Fraction(1)

    def _flags(self, picture: Any) -> int:
        return 0 if self._upright is None else self._upright.flags(picture)

    def close(self) -> None:
        """Close the file or connection."""
        self._first, self._pictures = None, iter(())
        self._container.close()


class VideoFile(Decoded):
    """The first video track of a file, or a topic of an MCAP file.

    Args:
        path: The file.
        topic: Topic of an MCAP file whose pictures are played; None = the only one with pictures. Its messages must be
            of the type foxglove.CompressedVideo, RawImage or CompressedImage, as protobuf.
        format: GStreamer's name for the format to publish; None selects the decoded format, or a similar one.
        size: Width and height to scale to; None means no scaling.
        fps: Frames per second at which to play; None uses the timestamps in the file.
        loop: Whether to start again at the end of the file.

    Raises:
        SourceError: The file does not exist, cannot be read, or does not contain video or the topic.
        SettingError: The format cannot be produced, several topics have pictures and `topic` is None, or `topic` is
            given for another kind of file.
        MissingExtraError: The package mcap is needed, and is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        topic: str | None = None,
        format: str | None = None,
        size: tuple[int, int] | None = None,
        fps: Fraction | None = None,
        loop: bool = False,
    ) -> None:
        super().__init__(_open_file(path, topic), str(path), format, size)
        self._fps = fps
        self._loop = loop

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""
        return self._shape(self._fps or self._stream.average_rate or self._stream.guessed_rate)

    @property
    def note(self) -> str | None:
        """What is missing in the file, as a sentence; None if nothing is. Only MCAP files can tell."""
        found: str | None = getattr(self._container, "note", None)
        return found

    def pictures(self, lend: Lend) -> Iterator[Picture]:
        """Yield the pictures of the file; if it loops, indefinitely."""
        rate = self._fps or self._stream.average_rate or _USUAL_RATE
        usual = int(_NS / rate)
        begin, fresh = 0, True
        while True:
            start: int | None = None
            end = begin
            for number, picture in enumerate(self._from_the_beginning(fresh)):
                if self._fps is not None or picture.pts is None:
                    pts = begin + int(number * _NS / rate)
                else:
                    moment = int(picture.pts * picture.time_base * _NS)
                    start = moment if start is None else start
                    pts = max(begin + moment - start, end - usual + 1 if number else begin)
                end = pts + usual
                yield Picture(pts, self._scaler.filler(picture), duration=usual, flags=self._flags(picture))
                del picture
            if not self._loop:
                return
            begin, fresh = end, False

    def _from_the_beginning(self, fresh: bool) -> Iterator[Any]:
        if fresh:
            first, self._first = self._first, None
            yield first
            yield from self._pictures
        else:
            try:
                self._container.seek(0)
            except av.FFmpegError as exc:
                raise SourceError(f"cannot play {self._what} again: {exc.strerror or exc}") from exc
            yield from self._decoded()


class Image(Decoded):
    """One picture, repeated indefinitely.

    Args:
        path: The file, in PNG, JPEG, WebP or another format that FFmpeg can read.
        format: GStreamer's name for the format to publish; None selects the decoded format, or a similar one.
        size: Width and height to scale to; None means no scaling.
        fps: Frames per second; None means 30.

    Raises:
        SourceError: The file does not exist, or is not a picture.
        SettingError: The format cannot be produced.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        size: tuple[int, int] | None = None,
        fps: Fraction | None = None,
    ) -> None:
        super().__init__(_open_file(path), str(path), format, size)
        self._fps = fps or _IMAGE_RATE

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""
        return self._shape(self._fps)

    def _pixel_aspect_ratio(self) -> Fraction:
        # FFmpeg swaps the two pixel densities in PNG and JFIF files, so its ratio is wrong.
        return Fraction(1)

    def pictures(self, lend: Lend) -> Iterator[Picture]:
        """Yield the picture indefinitely."""
        fill = self._scaler.filler(self._first)
        for number in count():
            yield Picture(int(number * _NS / self._fps), fill, duration=int(_NS / self._fps))


def _open_file(path: str | os.PathLike[str], topic: str | None = None) -> Any:
    if Path(path).is_dir():
        raise SourceError(f"cannot open {path}: it is a folder")
    if _is_mcap(path):
        from .mcap import McapMedia

        return McapMedia(path, topic)
    if topic is not None and Path(path).exists():
        raise SettingError(f"{path} is not an MCAP file, so it has no topics; omit --topic")
    try:
        # With the prefix "file:", FFmpeg cannot mistake a part of the name for a protocol.
        return open_media(f"file:{os.fspath(path)}")
    except av.InvalidDataError as exc:
        raise SourceError(f"cannot open {path}: it is not a video or picture that FFmpeg can read") from exc
    except av.FFmpegError as exc:
        raise SourceError(f"cannot open {path}: {exc.strerror or exc}") from exc


def _is_mcap(path: str | os.PathLike[str]) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_MCAP_MAGIC)) == _MCAP_MAGIC or Path(path).suffix.lower() == ".mcap"
    except OSError:
        # FFmpeg says why.
        return False
