"""Reads `streams.toml`, which names streams and their sources. Does not import numpy or iceoryx2 to do so."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from .._iox2.domain import parse_toml
from ..discovery.names import full_name, short_name
from ..errors import Iox2VideoError, printable
from .clip_settings import DEFAULT_BEFORE
from .stream import Kind, StreamConfig
from .toml_lines import TomlLines
from .values import (
    WrongValueError,
    bitrate_of,
    bytes_of,
    camera_of,
    clip_name_of,
    crf_of,
    encoder_of,
    flip_of,
    format_of,
    fps_of,
    is_true,
    keep_of,
    keyint_of,
    path_of,
    pipeline_of,
    preset_of,
    rule_of,
    seconds_of,
    size_of,
    span_of,
    text_of,
    url_of,
    wrong_name,
)
from .words import duration, listed, most_similar, nearest_word, not_this, toml_key

Readers: TypeAlias = Mapping[str, Callable[[Any], Any]]

_MAX_BYTES: Final = 1 << 20
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
    "keep": ("camera", "file", "image", "test", "url", "pipeline"),
    "keep_bytes": ("camera", "file", "image", "test", "url", "pipeline"),
    "clip": ("camera", "file", "image", "test", "url", "pipeline"),
}
# Folder of clips, relative to that of the file.
_CLIPS: Final = "clips"
_KNOWN: Final = (*_SOURCES, *_SETTINGS)
_H264: Final[Readers] = {
    "preset": preset_of, "crf": crf_of, "bitrate": bitrate_of, "keyint": keyint_of, "encoder": encoder_of,
}  # fmt: skip
_CLIP: Final[Readers] = {
    "before": span_of, "after": span_of, "folder": text_of, "name": clip_name_of, "max_bytes": bytes_of,
    "on": rule_of,
}  # fmt: skip


class ConfigError(Iox2VideoError, ValueError):
    """A file with streams cannot be read, or is not valid TOML; the message has the form `FILE:LINE: …`."""


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
            if has_source(value):
                self._problem(f'unknown table "{name}"; write "[streams.{toml_key(name)}]"', name)
            else:
                self._problem(f'unknown key "{name}"; {nearest_word(name, ("streams",))}', name)
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
        if (wrong := wrong_name(name)) is not None:
            self._problem(wrong, "streams", name)
        if not isinstance(table, dict):
            self._problem(f'"{name}" must be a table; write "[streams.{toml_key(name)}]" once', "streams", name)
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
                owners = listed(_SETTINGS[key])
                self._problem(f'"{key}" of "{name}" needs {owners}, not {sources[0]}', "streams", name, key)
            elif key == "controls":
                values[key] = self._controls(name, value)
            elif key == "h264":
                values[key] = self._h264(name, value)
            elif key == "clip":
                values[key] = self._table(name, key, value, 'before = "20s"', _CLIP)
            else:
                try:
                    values[key] = self._value(key, value, kind)
                except WrongValueError as exc:
                    self._problem(f'"{key}" of "{name}" {exc}', "streams", name, key)
        if not sources and not is_misspelt:
            self._problem(f'"{name}" has no source; add one of {listed(_SOURCES)}', "streams", name)
        if values.get("always") and "stop_after" in table:
            self._problem(
                f'"stop_after" of "{name}" has no meaning with "always"; leave out one of them',
                "streams", name, "stop_after",
            )  # fmt: skip
        self._check_keep(name, table, values)
        if kind is None or len(self._problems) > before:
            return None
        value = values.pop(sources[0])
        values.setdefault("loop", kind == "file")
        if "keep" in values:
            clip = values.setdefault("clip", {})
            clip["folder"] = path_of(clip.get("folder", _CLIPS), self._folder)
            clip.setdefault("before", min(DEFAULT_BEFORE, values["keep"]))
        line = self._lines.of("streams", name)
        return StreamConfig(short_name(full_name(name)), kind, value, line=line, **values)

    def _is_misspelt_source(self, name: str, key: str, value: Any) -> bool:
        """Report an unknown key; return whether it was probably meant as the source of the stream."""
        if has_source(value):
            header = f"[streams.{toml_key(f'{name}.{key}')}]"
            self._problem(
                f'unknown table "{key}" in "{name}"; a name with a dot is written "{header}"', "streams", name, key
            )
            return True
        self._problem(f'unknown key "{key}" of "{name}"; {nearest_word(key, _KNOWN)}', "streams", name, key)
        return most_similar(key, _KNOWN) in _SOURCES

    def _value(self, key: str, value: Any, kind: Kind | None) -> Any:
        """Return a value as `StreamConfig` has it.

        Raises:
            WrongValueError: The value is wrong.
        """
        if key in ("always", "loop"):
            return is_true(value)
        if key == "test":
            if not is_true(value):
                raise WrongValueError("is false; leave it out, and name another source")
            return ""
        if key in ("file", "image"):
            return path_of(text_of(value), self._folder)
        if key == "camera":
            return camera_of(value, self._folder)
        if key == "pipeline":
            return pipeline_of(value)
        if key in ("url", "rtsp"):
            return url_of(text_of(value))
        if key == "format":
            return format_of(text_of(value), kind == "camera")
        if key == "flip":
            return flip_of(value)
        read: Readers = {
            "size": size_of, "fps": fps_of, "stop_after": seconds_of, "keep": keep_of, "keep_bytes": bytes_of,
        }  # fmt: skip
        return read[key](value)

    def _check_keep(self, name: str, table: dict[str, Any], values: dict[str, Any]) -> None:
        """Report keys that have no meaning without `keep`, and clips that are longer than what is kept."""
        where = ("streams", name)
        for key in ("keep_bytes", "clip"):
            if key in table and "keep" not in table:
                self._problem(f'"{key}" of "{name}" needs "keep", such as keep = "30s"', *where, key)
        before, keep = values.get("clip", {}).get("before", 0.0), values.get("keep", math.inf)
        if before > keep:
            text = f'"before" in "clip" of "{name}" is {duration(before)}, but "keep" is only {duration(keep)}'
            self._problem(text, *where, "clip", "before")

    def _h264(self, name: str, table: Any) -> dict[str, Any]:
        settings = self._table(name, "h264", table, 'preset = "fast"', _H264)
        if not isinstance(table, dict):
            return settings
        where = ("streams", name, "h264")
        for key in table.keys() & _H264 if "encoder" in table else ():
            if key != "encoder":
                text = f'"{key}" in "h264" of "{name}" is for x264; with "encoder", write properties of that element'
                self._problem(text, *where, key)
        if {"crf", "bitrate"} <= table.keys():
            text = f'"h264" of "{name}" has "crf" (quality) and "bitrate"; keep one of them'
            self._problem(text, *where, max("crf", "bitrate", key=lambda key: self._lines.of(*where, key)))
        return settings

    def _table(self, name: str, key: str, table: Any, example: str, readers: Readers) -> dict[str, Any]:
        """Return the settings in a table of a stream."""
        where = ("streams", name, key)
        if not isinstance(table, dict):
            self._problem(f'"{key}" of "{name}" must be a table such as {{ {example} }}, {not_this(table)}', *where)
            return {}
        settings = {}
        for one, value in table.items():
            if one not in readers:
                self._problem(f'unknown key "{one}" in "{key}" of "{name}"; {nearest_word(one, readers)}', *where, one)
                continue
            try:
                settings[one] = readers[one](value)
            except WrongValueError as exc:
                self._problem(f'"{one}" in "{key}" of "{name}" {exc}', *where, one)
        return settings

    def _controls(self, name: str, table: Any) -> dict[str, str]:
        where = ("streams", name, "controls")
        if not isinstance(table, dict):
            self._problem(
                f'"controls" of "{name}" must be a table such as {{ exposure = 100 }}, {not_this(table)}', *where
            )
            return {}
        controls = {}
        for control, value in table.items():
            number = int(value) if isinstance(value, bool) else value
            if (isinstance(number, int) and abs(number) < 1 << 63) or (
                isinstance(number, str) and number.isprintable()
            ):
                controls[control] = str(number)
            else:
                wanted = f"must be a whole number, true, false or a text, {not_this(value)}"
                self._problem(f'control "{control}" of "{name}" {wanted}', *where, control)
        return controls


def has_source(value: Any) -> bool:
    """Return whether a value looks like the table of a stream."""
    return isinstance(value, dict) and not value.keys().isdisjoint(_SOURCES)


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
