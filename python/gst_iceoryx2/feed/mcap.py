"""Plays the pictures of a topic of an MCAP file: foxglove.CompressedVideo, RawImage or CompressedImage."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from .._extras.av import PIXEL_FORMATS, av, new_picture, packet_decoder, picture_decoder
from .._extras.foxglove_schemas import IMAGES, decoded
from .._extras.mcap import McapChannel, McapFault, McapMessage, McapReader
from ..errors import printable
from .errors import SettingError, SourceError

_TICK: Final = Fraction(1, 1_000_000_000)
# Foxglove's names for formats of raw pixels to GStreamer's, and bytes per pixel of the first plane.
_RAW: Final = {
    "rgb8": ("RGB", 3),
    "8UC3": ("RGB", 3),
    "bgr8": ("BGR", 3),
    "rgba8": ("RGBA", 4),
    "bgra8": ("BGRA", 4),
    "mono8": ("GRAY8", 1),
    "8UC1": ("GRAY8", 1),
    "mono16": ("GRAY16_LE", 2),
    "16UC1": ("GRAY16_LE", 2),
    "uyvy": ("UYVY", 2),
    "yuv422": ("UYVY", 2),
    "yuyv": ("YUY2", 2),
    "yuv422_yuy2": ("YUY2", 2),
    "nv12": ("NV12", 1),
}
_CODECS: Final = ("h264", "h265", "av1")
# More pixels are refused, as in `packet_decoder`.
_MAX_PIXELS: Final = 1 << 26
_MAX_TIME: Final = 1 << 62
# Times in nanoseconds: by which a message may be later in the file than its log time says, longest pause of a stream,
# and distance of two pictures between which the clock was set.
_LATE: Final = 1_000_000_000
_LONGEST_PAUSE: Final = 3600 * 1_000_000_000
_USUAL_STEP: Final = 33_333_333


class McapMedia:
    """The pictures of one topic, in the form of a PyAV container with one track of video.

    Args:
        path: The file.
        topic: The topic; None = the only topic with pictures.

    Attributes:
        streams: The track.
        note: What is missing in the file, as a sentence; None if nothing is.

    Raises:
        SourceError: The file cannot be read, is not an MCAP file, or has no such topic.
        SettingError: `topic` is None, and several topics have pictures.
    """

    def __init__(self, path: str | os.PathLike[str], topic: str | None) -> None:
        self._name = os.fspath(path)
        try:
            self._reader = McapReader(Path(path))
        except OSError as exc:
            raise SourceError(f"cannot open {self._name}: {exc.strerror or exc}") from exc
        except McapFault as exc:
            raise SourceError(f"cannot open {self._name}: {exc}") from exc
        is_cut_off = self._reader.is_cut_off
        name = f"{self._name}, which is cut off," if is_cut_off else self._name
        try:
            channels = _chosen(name, self._reader.channels, topic)
        except BaseException:
            self._reader.close()
            raise
        self._kinds = {one.number: IMAGES[one.schema] for one in channels}
        self.streams = _Streams(_Stream())
        self.note: Final = f"{self._name} is cut off; only its complete part is played" if is_cut_off else None

    def demux(self, stream: Any) -> Iterator[_Packet]:
        """Yield the messages in order; the last packet is empty.

        Raises:
            SourceError: The file cannot be read any further.
        """
        decoder, times = _Decoder(stream), _Times()
        try:
            for message in self._reader.messages(self._kinds):
                yield _Packet(decoder, self._kinds[message.channel], message, times.at(message.log_time))
        except (OSError, McapFault) as exc:
            raise SourceError(f"cannot continue to read {self._name}: {exc}") from exc
        yield _Packet(decoder, None, None, 0)

    def seek(self, offset: int) -> None:
        """Do nothing: `demux` always starts at the beginning."""

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


class _Times:
    """Turns log times into times from the start, without the steps of a clock that was set during the recording."""

    def __init__(self) -> None:
        self._shift = 0
        self._before: int | None = None

    def at(self, log_time: int) -> int:
        before, self._before = self._before, log_time
        if before is None:
            self._shift = -log_time
        elif not -_LATE <= log_time - before <= _LONGEST_PAUSE:
            self._shift += before + _USUAL_STEP - log_time
        return log_time + self._shift


class _Context:
    """What `Upright` asks of a decoder."""

    field_order = 0


class _Stream:
    """The only track."""

    type = "video"
    thread_type = "AUTO"
    sample_aspect_ratio: Fraction | None = None
    average_rate = guessed_rate = None

    def __init__(self) -> None:
        self.codec_context: Any = _Context()


class _Streams(Sequence[Any]):
    def __init__(self, stream: _Stream) -> None:
        self.video = (stream,)

    def __getitem__(self, at: Any) -> Any:
        return self.video[at]

    def __len__(self) -> int:
        return 1


class _Packet:
    """A message, in the form of a PyAV packet."""

    def __init__(self, decoder: _Decoder, kind: Any, message: McapMessage | None, at: int) -> None:
        self._decoder, self._kind, self._message, self._at = decoder, kind, message, at

    def decode(self) -> list[Any]:
        """Return the pictures.

        Raises:
            InvalidDataError: The message is damaged.
            SourceError: Its format is not known.
        """
        if self._message is None:
            return self._decoder.flush()
        try:
            message = decoded(self._kind, self._message.data)
        except ValueError as exc:
            raise av.InvalidDataError(0, str(exc)) from exc
        return self._decoder.decode(message, max(-_MAX_TIME, min(self._at, _MAX_TIME)))


class _Decoder:
    """Decodes the messages of a topic."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._format: str | None = None
        self._decoder: Any = None

    def decode(self, message: Any, at: int) -> list[Any]:
        if hasattr(message, "encoding"):
            picture = _raw_picture(message)
            picture.pts, picture.time_base = at, _TICK
            return [picture]
        if message.format != self._format:
            self._begin(message.format)
        if not message.data:
            # To a decoder, an empty packet is the end of the stream.
            raise av.InvalidDataError(0, "a picture has no data")
        packet = av.Packet(message.data)
        packet.pts = packet.dts = at
        packet.time_base = _TICK
        return self._timed(self._decoder.decode(packet))

    def flush(self) -> list[Any]:
        return [] if self._decoder is None else self._timed(self._decoder.decode(None))

    def _begin(self, format: str) -> None:
        if format in _CODECS:
            self._decoder = packet_decoder(format)
        elif format in ("jpeg", "jpg", "png", "webp"):
            self._decoder = picture_decoder("mjpeg" if format in ("jpeg", "jpg") else format)
        else:
            raise SourceError(
                f"cannot decode pictures of the format '{printable(format)}'; supported formats are "
                f"{', '.join(_CODECS)}, jpeg, png and webp"
            )
        self._format = format
        self._stream.codec_context = self._decoder

    def _timed(self, pictures: list[Any]) -> list[Any]:
        for picture in pictures:
            picture.time_base = _TICK
        self._stream.sample_aspect_ratio = self._decoder.sample_aspect_ratio
        return pictures


def _raw_picture(message: Any) -> Any:
    """Return the picture of a RawImage."""
    width, height, step = message.width, message.height, message.step
    known = _RAW.get(message.encoding)
    if known is None:
        raise SourceError(
            f"cannot play pictures of the encoding '{printable(message.encoding)}'; supported encodings are "
            f"{', '.join(_RAW)}"
        )
    name, pixel = known
    if not 0 < width * height <= _MAX_PIXELS or step < width * pixel or (name == "NV12" and (width | height) & 1):
        raise av.InvalidDataError(0, f"a picture of {width}x{height} cannot have rows of {step} bytes")
    rows = height * 3 // 2 if name == "NV12" else height
    if len(message.data) < step * rows:
        raise av.InvalidDataError(0, f"a picture has {len(message.data)} bytes, but needs {step * rows}")
    picture = new_picture(PIXEL_FORMATS[name], width, height)
    data = np.frombuffer(message.data, np.uint8, step * rows).reshape(rows, step)
    start = 0
    for plane in picture.planes:
        count = height if start == 0 else rows - height
        target = np.ndarray((count, plane.line_size), np.uint8, memoryview(plane))
        used = min(step, plane.line_size)
        target[:, :used] = data[start : start + count, :used]
        start += count
    return picture


def _chosen(name: str, channels: Sequence[McapChannel], topic: str | None) -> Collection[McapChannel]:
    """Return the channels of a topic, which may be several."""
    playable = [one for one in channels if one.encoding == "protobuf" and one.schema in IMAGES]
    topics = list(dict.fromkeys(one.topic for one in playable))
    if topic is None:
        if len(topics) == 1:
            return playable
        if topics:
            listed = _listed(topics)
            raise SettingError(f"{name} has {len(topics)} topics with pictures; choose one with --topic: {listed}")
        raise SourceError(f"{name} has no topic with pictures{_others(channels)}")
    found = [one for one in playable if one.topic == topic]
    if found:
        return found
    same = next((one for one in channels if one.topic == topic), None)
    if same is not None:
        raise SourceError(
            f"the topic {topic!r} of {name} has messages of the type {_kind(same)}, which cannot be played; "
            f"{_playable()}"
        )
    has = f"it has {_listed(topics)}" if topics else f"it has no topic with pictures{_others(channels)}"
    raise SourceError(f"{name} has no topic {topic!r}; {has}")


def _others(channels: Sequence[McapChannel]) -> str:
    if not channels:
        return ", and no other topic"
    found = ", ".join(f"{printable(one.topic)} ({_kind(one)})" for one in channels[:10])
    return f", only {found}; {_playable()}"


def _kind(channel: McapChannel) -> str:
    return f"{printable(channel.schema) or 'unknown'} as {printable(channel.encoding) or 'unknown'}"


def _playable() -> str:
    return f"only {', '.join(IMAGES)} as protobuf can be played"


def _listed(topics: Sequence[str]) -> str:
    return ", ".join(map(printable, topics[:20])) + (" …" if len(topics) > 20 else "")
