"""Reads `streams.toml`, which names streams and their sources. Does not import numpy or iceoryx2 to do so."""

from __future__ import annotations

import difflib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .._iox2.domain import parse_toml
from .._iox2.service_name import check_service_name
from .._plugin import launch_words
from .._wire.rendition import RenditionName, codec_of
from ..contract import contract, limit
from ..discovery.names import SCHEMES, full_name, short_name
from ..errors import FormatError, InvalidServiceNameError, Iox2VideoError, printable, without_passwords
from ..record.target import PRESETS
from .toml_lines import TomlLines

if TYPE_CHECKING:
    from ..feed import Feeder, PipelineFeeder, Source

__all__ = ["Config", "ConfigError", "Kind", "Problem", "StreamConfig", "feed_of", "load", "source_of"]

Kind: TypeAlias = Literal["camera", "file", "image", "test", "url", "pipeline"]

_STOP_AFTER: Final = 5.0
_MAX_BYTES: Final = 1 << 20
_MAX_SIDE: Final = limit("max_dimension_pixels")
_MAX_FPS: Final = 1000
# As in feed.flip and feed.network, which need numpy.
_FLIPS: Final = ("180", "horizontal", "vertical")
_URL_SCHEMES: Final = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "rtp", "udp", "tcp")
_FORMATS: Final[tuple[str, ...]] = tuple(row["name"] for row in contract("formats")["formats"])

_SIZE: Final = re.compile(r"([0-9]{1,6}) ?[xX×] ?([0-9]{1,6})")
_RATE: Final = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,6}|/[0-9]{1,7})?")
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|min|h|)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://[^/\s]\S*", re.IGNORECASE)
# Longest part of a word that is compared with the known words.
_WORD_MAX: Final = 100
_HINTS: Final = {
    "Invalid value": '; a text needs quotes: key = "text"',
    "Invalid initial character for a key part": "; { … } must be on one line",
    "Unclosed inline table": "; { … } must be on one line",
}
_TOML_ERROR: Final = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)

_SOURCES: Final[Mapping[str, Kind]] = {
    "camera": "camera", "file": "file", "url": "url", "rtsp": "url", "pipeline": "pipeline", "image": "image",
    "test": "test",
}  # fmt: skip
_SETTINGS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "size": ("camera", "file", "image", "test", "url"),
    "fps": ("camera", "file", "image", "test"),
    "format": ("camera", "file", "image", "test", "url"),
    "controls": ("camera",),
    "flip": ("camera",),
    "loop": ("file",),
    "stop_after": ("camera", "file", "image", "test", "url", "pipeline"),
    "always": ("camera", "file", "image", "test", "url", "pipeline"),
    "h264": ("camera", "file", "image", "test", "url", "pipeline"),
}
_KNOWN: Final = (*_SOURCES, *_SETTINGS)
_H264: Final = ("preset", "crf", "bitrate", "keyint")
_MAX_CRF: Final = 51
_BITRATE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([kM])(?:bit/s)?")


class ConfigError(Iox2VideoError, ValueError):
    """A file with streams cannot be read, or is not valid TOML; the message has the form `FILE:LINE: …`."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """A stream as declared in the file.

    Attributes:
        name: Short name of the stream, such as "cam0".
        kind: Kind of its source.
        value: Device, path, address or pipeline; "" for a test pattern. An address may contain a password.
        size: Width and height in pixels; None = those of the source.
        fps: Frames per second; None = those of the source.
        format: Format to publish, or for a camera its own format; None = that of the source.
        controls: Values of the camera's controls, to be set in this order.
        flip: How to flip a camera's pictures: "180", "horizontal" or "vertical".
        loop: Whether a file starts again at its end.
        stop_after: Seconds from the end of the last reader to the stop of the source.
        always: Whether the source runs without readers, too.
        h264: Settings of the encoder that makes its packets: `preset`, `crf` or `bitrate` in bits per second, and
            `keyint` in seconds.
        line: Line of the table in the file. Streams that only differ in it are equal.
    """

    name: str
    kind: Kind
    value: str = field(repr=False)
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    format: str | None = None
    controls: Mapping[str, str] = field(default_factory=dict)
    flip: str | None = None
    loop: bool = False
    stop_after: float = _STOP_AFTER
    always: bool = False
    h264: Mapping[str, Any] = field(default_factory=dict)
    line: int = field(default=0, compare=False)

    @property
    def service(self) -> str:
        """Full name of the service."""
        return full_name(self.name)

    @property
    def source(self) -> str:
        """The source in words, without passwords: "camera /dev/video0"."""
        return "test pattern" if self.kind == "test" else f"{self.kind} {without_passwords(self.value)}"

    @property
    def plan(self) -> str:
        """What will run, as a line of text: "cam0: camera /dev/video0, 1280x720 at 30 fps, on demand, …"."""
        rate = "" if self.fps is None else f"{float(self.fps):.4g} fps"
        size = "" if self.size is None else "{}x{}".format(*self.size)
        parts = [f"{self.name}: {' '.join(self.source.split())}", " at ".join(filter(None, (size, rate)))]
        parts += [self.format or "", ", ".join(f"{name} {value}" for name, value in self.controls.items())]
        if self.flip is not None:
            parts.append("turned by 180 degrees" if self.flip == "180" else f"flipped {self.flip}ly")
        if self.kind == "file":
            parts.append("in a loop" if self.loop else "once")
        stop = f"stops {_duration(self.stop_after)} after the last reader"
        parts += ["always on"] if self.always else ["on demand", stop]
        if self.h264:
            parts.append(f"h264 with {' and '.join(f'{key} {value}' for key, value in self.h264.items())}")
        return ", ".join(filter(None, parts))

    def to_json(self) -> str:
        """Return the stream as one line of JSON, with its password if it has one."""
        return json.dumps(asdict(self) | {"fps": None if self.fps is None else str(self.fps)})

    @classmethod
    def from_json(cls, text: str) -> StreamConfig:
        """Return the stream that `to_json` wrote."""
        values = json.loads(text)
        size, fps = values.pop("size"), values.pop("fps")
        size = None if size is None else (size[0], size[1])
        return cls(**values, size=size, fps=None if fps is None else Fraction(fps))


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the file. The stream with the mistake is left out.

    Attributes:
        line: Its line in the file.
        text: A sentence with file, line and remedy: `streams.toml:3: …`.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Config:
    """The content of a file with streams.

    Attributes:
        path: Absolute path of the file; None if the configuration does not come from a file.
        streams: The streams without mistakes, in the order of the file.
        problems: The mistakes, in the order of their lines.
    """

    path: Path | None = None
    streams: tuple[StreamConfig, ...] = ()
    problems: tuple[Problem, ...] = ()


class _WrongError(Exception):
    """A value is wrong. The text follows the name of the key: "must be …"."""


def load(path: str | os.PathLike[str]) -> Config:
    r"""Read a file with streams.

    Relative paths in the file are relative to its folder, and `~` is the home directory. Whether devices and files
    exist is not checked, because they may appear later.

    Args:
        path: The file, in TOML.

    Returns:
        The streams, and a problem for each mistake. A stream with a mistake is left out.

    Raises:
        ConfigError: The file cannot be read, or is not valid TOML.

    Example:
        Print what would run:

            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> from gst_iceoryx2.serve import load
            >>> with TemporaryDirectory() as folder:
            ...     file = Path(folder, "streams.toml")
            ...     _ = file.write_text('[streams.cam0]\ntest = true\nsize = "640x360"\nalways = true')
            ...     for stream in load(file).streams:
            ...         print(stream.plan)
            cam0: test pattern, 640x360, always on
    """
    shown = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
        folder = Path(path).absolute().parent
    except (OSError, ValueError) as exc:
        raise ConfigError(f"cannot read {shown}: {getattr(exc, 'strerror', None) or exc}") from exc
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{shown} is not a list of streams: it is larger than {_MAX_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{shown}:{line}: not a text in UTF-8: byte {data[exc.start]:#04x}") from exc
    try:
        document = parse_toml(text)
    except ValueError as exc:
        raise ConfigError(_explained(shown, text, str(exc))) from exc
    streams, problems = _Reader(shown, folder, TomlLines(text)).read(document)
    return Config(folder / Path(path).name, tuple(streams), tuple(sorted(problems, key=lambda problem: problem.line)))


def source_of(stream: StreamConfig) -> Source:
    """Open the source of a stream, which must not be a pipeline.

    Raises:
        FeedError: The source cannot be opened, or a setting is invalid.
        MissingExtraError: The source needs PyAV.
        FormatError: The format is unknown.
        ValueError: The source is a pipeline.
    """
    from .. import feed

    size, fps, format = stream.size, stream.fps, stream.format
    if stream.kind == "test":
        width, height = size or (1280, 720)
        return feed.TestPattern(width, height, format or "I420", fps or Fraction(30))
    if stream.kind == "camera":
        return feed.Camera(stream.value, format=format, size=size, fps=fps, controls=stream.controls, flip=stream.flip)
    if stream.kind == "file":
        return feed.VideoFile(stream.value, format=format, size=size, fps=fps, loop=stream.loop)
    if stream.kind == "image":
        return feed.Image(stream.value, format=format, size=size, fps=fps)
    if stream.kind == "url":
        return feed.NetworkStream(stream.value, format=format, size=size)
    raise ValueError(f"{stream.name} is a pipeline, which runs in a process of its own; use feed_of()")


def feed_of(stream: StreamConfig) -> Feeder | PipelineFeeder:
    """Return the work that publishes a stream. When it is stopped, its readers wait for the next start.

    Raises:
        Iox2VideoError: As `source_of`, `Feeder` and `PipelineFeeder` do.
    """
    from .. import feed

    if stream.kind == "pipeline":
        return feed.PipelineFeeder(stream.service, stream.value)
    return feed.Feeder(stream.service, source_of(stream), is_resumable=True)


# -- reading ---------------------------------------------------------------------------------------------------------


class _Reader:
    """Checks the content of a file, and collects the mistakes."""

    def __init__(self, shown: str, folder: Path, lines: TomlLines) -> None:
        self._shown = shown
        self._folder = folder
        self._lines = lines
        self._problems: list[Problem] = []

    def read(self, document: dict[str, Any]) -> tuple[list[StreamConfig], list[Problem]]:
        """Return the streams without mistakes, and the mistakes."""
        for name, value in document.items():
            if name == "streams":
                continue
            if _has_source(value):
                self._problem(f'unknown table "{name}"; write "[streams.{_key(name)}]"', name)
            else:
                self._problem(f'unknown key "{name}"; {_nearest(name, ("streams",))}', name)
        tables = document.get("streams", {})
        if not isinstance(tables, dict):
            self._problem('"streams" must be a table; write "[streams.cam0]" above the keys of a stream', "streams")
            tables = {}
        elif not tables and not self._problems:
            self._problem('no streams; write "[streams.cam0]", and below it, for example, "test = true"', "streams")
        streams: dict[str, StreamConfig] = {}
        for name, table in tables.items():
            stream = self._stream(name, table)
            if stream is None:
                continue
            other = streams.setdefault(stream.service, stream)
            if other is not stream:
                self._problem(f'"{name}" is the same service as the stream in line {other.line}', "streams", name)
        return list(streams.values()), self._problems

    def _problem(self, text: str, *path: str) -> None:
        line = self._lines.of(*path)
        self._problems.append(Problem(line, printable(f"{self._shown}:{line}: {text}")))

    def _stream(self, name: str, table: Any) -> StreamConfig | None:
        """Return a stream; None if it has a mistake."""
        before = len(self._problems)
        if (wrong := _wrong_name(name)) is not None:
            self._problem(wrong, "streams", name)
        if not isinstance(table, dict):
            self._problem(f'"{name}" must be a table; write "[streams.{_key(name)}]" once', "streams", name)
            return None
        sources = [key for key in table if key in _SOURCES]
        if len(sources) > 1:
            several = f'"{name}" has {len(sources)} sources: {", ".join(sources)}; keep one of them'
            self._problem(several, "streams", name, max(sources, key=lambda key: self._lines.of("streams", name, key)))
        kind = _SOURCES[sources[0]] if len(sources) == 1 else None
        is_misspelt = False
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in _KNOWN:
                is_misspelt |= self._is_misspelt_source(name, key, value)
            elif kind is not None and key in _SETTINGS and kind not in _SETTINGS[key]:
                owners = _listed(_SETTINGS[key])
                self._problem(f'"{key}" of "{name}" needs {owners}, not {sources[0]}', "streams", name, key)
            elif key == "controls":
                values[key] = self._controls(name, value)
            elif key == "h264":
                values[key] = self._h264(name, value)
            else:
                try:
                    values[key] = self._value(key, value, kind)
                except _WrongError as exc:
                    self._problem(f'"{key}" of "{name}" {exc}', "streams", name, key)
        if not sources and not is_misspelt:
            self._problem(f'"{name}" has no source; add one of {_listed(_SOURCES)}', "streams", name)
        if values.get("always") and "stop_after" in table:
            self._problem(
                f'"stop_after" of "{name}" has no meaning with "always"; leave out one of them',
                "streams", name, "stop_after",
            )  # fmt: skip
        if kind is None or len(self._problems) > before:
            return None
        value = values.pop(sources[0])
        values.setdefault("loop", kind == "file")
        line = self._lines.of("streams", name)
        return StreamConfig(short_name(full_name(name)), kind, value, line=line, **values)

    def _is_misspelt_source(self, name: str, key: str, value: Any) -> bool:
        """Report an unknown key; return whether it was probably meant as the source of the stream."""
        if _has_source(value):
            header = f"[streams.{_key(f'{name}.{key}')}]"
            self._problem(
                f'unknown table "{key}" in "{name}"; a name with a dot is written "{header}"', "streams", name, key
            )
            return True
        self._problem(f'unknown key "{key}" of "{name}"; {_nearest(key, _KNOWN)}', "streams", name, key)
        return _near(key, _KNOWN) in _SOURCES

    def _value(self, key: str, value: Any, kind: Kind | None) -> Any:
        """Return a value as `StreamConfig` has it.

        Raises:
            _WrongError: The value is wrong.
        """
        if key in ("always", "loop"):
            return _is_true(value)
        if key == "test":
            if not _is_true(value):
                raise _WrongError("is false; leave it out, and name another source")
            return ""
        if key in ("file", "image"):
            return _path(_text(value), self._folder)
        if key == "camera":
            return _camera(value, self._folder)
        if key == "pipeline":
            return _pipeline(value)
        if key in ("url", "rtsp"):
            return _url(_text(value))
        if key == "format":
            return _format(_text(value), kind == "camera")
        if key == "flip":
            return _flip(value)
        return {"size": _size, "fps": _fps, "stop_after": _stop_after}[key](value)

    def _h264(self, name: str, table: Any) -> dict[str, Any]:
        where = ("streams", name, "h264")
        if not isinstance(table, dict):
            self._problem(f'"h264" of "{name}" must be a table such as {{ preset = "fast" }}, {_not(table)}', *where)
            return {}
        read = {"preset": _preset, "crf": _crf, "bitrate": _bitrate, "keyint": _keyint}
        settings = {}
        for key, value in table.items():
            if key not in read:
                self._problem(f'unknown key "{key}" in "h264" of "{name}"; {_nearest(key, _H264)}', *where, key)
                continue
            try:
                settings[key] = read[key](value)
            except _WrongError as exc:
                self._problem(f'"{key}" in "h264" of "{name}" {exc}', *where, key)
        if {"crf", "bitrate"} <= table.keys():
            text = f'"h264" of "{name}" has "crf" (quality) and "bitrate"; keep one of them'
            self._problem(text, *where, max("crf", "bitrate", key=lambda key: self._lines.of(*where, key)))
        return settings

    def _controls(self, name: str, table: Any) -> dict[str, str]:
        where = ("streams", name, "controls")
        if not isinstance(table, dict):
            self._problem(f'"controls" of "{name}" must be a table such as {{ exposure = 100 }}, {_not(table)}', *where)
            return {}
        controls = {}
        for control, value in table.items():
            number = int(value) if isinstance(value, bool) else value
            if (isinstance(number, int) and abs(number) < 1 << 63) or (
                isinstance(number, str) and number.isprintable()
            ):
                controls[control] = str(number)
            else:
                wanted = f"must be a whole number, true, false or a text, {_not(value)}"
                self._problem(f'control "{control}" of "{name}" {wanted}', *where, control)
        return controls


def _preset(value: Any) -> str:
    if value not in PRESETS:
        raise _WrongError(f"must be {_listed(PRESETS)}, {_not(value)}")
    return str(value)


def _crf(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_CRF:
        raise _WrongError(f"must be a number from 0 (best) to {_MAX_CRF}, {_not(value)}")
    return float(value)


def _bitrate(value: Any) -> int:
    match = _BITRATE.fullmatch(value.strip()) if isinstance(value, str) else None
    bits = 0 if match is None else int(float(match[1]) * {"k": 1_000, "M": 1_000_000}[match[2]])
    if not 10_000 <= bits <= 1_000_000_000:
        raise _WrongError(f'must be a text such as "4M" or "800k" (bits per second), {_not(value)}')
    return bits


def _keyint(value: Any) -> float:
    seconds = _stop_after(value)
    if not 0.1 <= seconds <= 60:
        raise _WrongError(f'must be a time from "100ms" to "60s", {_not(value)}')
    return seconds


def _wrong_name(name: str) -> str | None:
    """Return what is wrong with the name of a stream; None if nothing is."""
    if name.startswith(SCHEMES):
        return f'"{name}" is not a service; choose a name without "{name.partition(":")[0]}:"'
    full = full_name(name)
    short = short_name(full)
    codec = codec_of(short)
    if codec is not None:
        return f'"{name}" is reserved for video that is encoded with {codec}; choose another name'
    try:
        check_service_name(full)
        rendition = RenditionName.parse(short)
    except (InvalidServiceNameError, FormatError) as exc:
        return str(exc)
    if rendition is None:
        return None
    source = rendition.source
    return f'"{name}" is a rendition, which is made from "{source}" when a reader asks for it; declare "{source}"'


def _text(value: Any, allowed: str = "") -> str:
    if not isinstance(value, str):
        raise _WrongError(f"must be a text in quotes, {_not(value)}")
    if not value.strip():
        raise _WrongError("is empty")
    odd = next((character for character in value if not character.isprintable() and character not in allowed), None)
    if odd is not None:
        raise _WrongError(f"contains the control character {printable(odd)}")
    return value


def _is_true(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(f"must be true or false without quotes, {_not(value)}")
    return value


def _path(text: str, folder: Path) -> str:
    return os.path.join(folder, os.path.expanduser(text))


def _camera(value: Any, folder: Path) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 20:
        return str(value)
    if not isinstance(value, str):
        raise _WrongError(f'must be a path such as "/dev/video0", or a number, {_not(value)}')
    text = _text(value)
    if text.isascii() and text.isdecimal():
        return text
    if not text.startswith(("/", "~", ".")):
        raise _WrongError(f'is "{text}"; write a path such as "/dev/video0", or a number')
    return _path(text, folder)


def _url(text: str) -> str:
    match = _URL.fullmatch(text)
    if match is None:
        # What precedes the "@" may be a password.
        shown = without_passwords(re.sub(r".*@", "***@", text))
        raise _WrongError(f'is "{shown}"; write an address such as "rtsp://192.168.1.20/stream1"')
    if match[1].lower() not in _URL_SCHEMES:
        raise _WrongError(f'begins with "{match[1]}"; {_nearest(match[1].lower(), _URL_SCHEMES)}')
    return text


def _pipeline(value: Any) -> str:
    text = _text(value, "\n\t")
    try:
        launch_words(text)
    except ValueError as exc:
        raise _WrongError(str(exc)) from None
    return text


def _size(value: Any) -> tuple[int, int]:
    wanted = '"1920x1080"'
    if not isinstance(value, str):
        raise _WrongError(f"must be a text such as {wanted}, {_not(value)}")
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise _WrongError(f'is "{value}"; write width and height in pixels, such as {wanted}')
    width, height = int(match[1]), int(match[2])
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise _WrongError(f'is "{value}"; width and height can be 1 to {_MAX_SIDE}')
    return width, height


def _fps(value: Any) -> Fraction:
    wanted = 'a number such as 30 or 29.97, or a fraction such as "30000/1001"'
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MAX_FPS
    is_text = isinstance(value, str) and _RATE.fullmatch(value.strip()) is not None
    try:
        # A fraction suitable for caps. Very low rates become 0.
        rate = Fraction(value).limit_denominator(1001) if is_number or is_text else Fraction(0)
    except ZeroDivisionError:
        rate = Fraction(0)
    if not 0 < rate <= _MAX_FPS:
        raise _WrongError(f"must be {wanted}, at most {_MAX_FPS}, {_not(value)}")
    return rate


def _format(text: str, is_camera: bool) -> str:
    if text in _FORMATS or (is_camera and len(text) == 4 and text.isascii()):
        return text
    own = "; a camera's own formats have four characters, such as MJPG" if is_camera else ""
    raise _WrongError(f'is "{text}", which is not a raw video format; {_nearest(text, _FORMATS, 6)}{own}')


def _flip(value: Any) -> str:
    text = str(value) if value == 180 and not isinstance(value, bool) else value
    if text not in _FLIPS:
        raise _WrongError(f"must be {_listed(_FLIPS)}, {_not(value)}")
    return str(text)


def _stop_after(value: Any) -> float:
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        seconds = float(value)
    elif isinstance(value, str) and (match := _TIME.fullmatch(value.strip())) is not None:
        seconds = float(match[1]) * _UNITS[match[2]]
    if math.isnan(seconds):
        raise _WrongError(f'must be a time such as "5s", "2min" or "1h", or a number of seconds, {_not(value)}')
    return seconds


# -- words -----------------------------------------------------------------------------------------------------------


def _has_source(value: Any) -> bool:
    """Return whether a value looks like the table of a stream."""
    return isinstance(value, dict) and not value.keys().isdisjoint(_SOURCES)


def _near(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar known word; of words that are equally similar, the first one."""
    asked = word.casefold()[:_WORD_MAX]

    def likeness(one: str) -> tuple[bool, float]:
        # Two letters are often typed in the wrong order.
        return sorted(asked) == sorted(one.casefold()), difflib.SequenceMatcher(None, asked, one.casefold()).ratio()

    best = max(known, key=likeness)
    return best if likeness(best)[1] >= 0.6 else None


def _nearest(word: str, known: Iterable[str], shown: int = 99) -> str:
    """Return a clause with the nearest known word, and the known words."""
    known = tuple(known)
    near = _near(word, known)
    some = (*known[:shown], "…") if len(known) > shown else known
    return (f'did you mean "{near}"? ' if near is not None else "") + f"known: {', '.join(some)}"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _key(name: str) -> str:
    """Return a name as a key in TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _not(value: Any) -> str:
    """Return a clause with a wrong value."""
    if isinstance(value, bool):
        shown = str(value).lower()
    elif isinstance(value, str):
        shown = f'"{without_passwords(value)}"'
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63):
        shown = str(value)
    else:
        shown = {int: "a huge number", dict: "a table", list: "a list"}.get(type(value), "a date or time")
    return f"not {shown}"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _explained(shown: str, text: str, error: str) -> str:
    """Return the text of an error in the syntax, with file and line first."""
    match = _TOML_ERROR.fullmatch(error)
    if match is None:
        return f"{shown}:1: not valid TOML: {error}"
    reason, line, column = match.groups()
    number = text.count("\n") + 1 if line is None else int(line)
    place = "at the end" if column is None else f"in column {column}"
    hint = _HINTS.get(reason, "")
    if (twice := re.fullmatch(r"Cannot declare \((.*?),?\) twice", reason)) is not None:
        reason = f"[{'.'.join(re.findall(r'[^ ,]+', twice[1])).replace(chr(39), '')}] is declared twice"
    elif reason == "Cannot overwrite a value":
        reason = "the key is given twice"
    return f"{shown}:{number}: not valid TOML: {reason[:1].lower()}{reason[1:]}{hint} ({place})"
