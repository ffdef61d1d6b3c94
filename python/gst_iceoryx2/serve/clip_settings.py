"""How clips of a stream are made when they are triggered: their times, names and folder."""

from __future__ import annotations

import contextlib
import os
import re
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

DEFAULT_BEFORE: Final = 20.0
"""Seconds of a clip before its trigger."""

_ENDINGS: Final = (".mp4", ".mkv", ".mov")
_STREAM: Final = "stream"
_TIME: Final = "time"
_NUMBER: Final = re.compile(r"-[0-9]{1,9}(\.[^.]*)$")


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How clips of a stream are made when they are triggered.

    Attributes:
        folder: Absolute path of the folder that they are written to.
        before: Seconds before the trigger.
        after: Seconds after it.
        name: Name of the file, with the fields `{stream}` and `{time:FORMAT}`.
        max_bytes: Bytes of all clips in the folder with such a name. The oldest are removed.
        on: Rule that triggers clips by what a detector finds; None = none.
    """

    folder: str
    before: float = DEFAULT_BEFORE
    after: float = 5.0
    name: str = "{stream}-{time:%Y%m%d-%H%M%S}.mp4"
    max_bytes: int = 2_000_000_000
    on: str | None = None

    def file_name(self, stream: str, time: datetime) -> str:
        """Return the name of a clip."""
        return self.name.format(stream=_plain(stream), time=time)

    def remove_oldest(self, stream: str, kept: Collection[Path]) -> list[Path]:
        """Remove the oldest clips if all have more than `max_bytes`; return what was removed.

        Only files are considered whose name this pattern gives for a time, with a number behind it or without.

        Args:
            stream: Short name of the encoded stream.
            kept: Files that are not removed.
        """
        clips = sorted(self._clips(stream), key=lambda clip: clip[0].st_mtime_ns)
        excess = sum(status.st_size for status, _ in clips) - self.max_bytes
        removed = []
        for status, path in clips:
            if excess <= 0:
                break
            if path not in kept:
                try:
                    path.unlink()
                except OSError:
                    continue
                removed.append(path)
                excess -= status.st_size
        return removed

    def _clips(self, stream: str) -> list[tuple[os.stat_result, Path]]:
        pattern, formats = _pattern(self.name, stream)
        found = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if _is_clip(entry.name, pattern, formats) and entry.is_file(follow_symlinks=False):
                        found.append((entry.stat(follow_symlinks=False), Path(entry.path)))
        except OSError:
            return []
        return found


def wrong_pattern(name: str) -> str | None:
    """Return what is wrong with a pattern for the names of clips, as a clause; None if nothing is."""
    fields = f"{{{_STREAM}}} and {{{_TIME}:%Y%m%d-%H%M%S}}"
    try:
        parts = list(string.Formatter().parse(name))
    except ValueError as exc:
        return f"is not a pattern ({exc}); its fields are {fields}"
    formats = [form for _, field, form, _ in parts if field == _TIME]
    for _, field, form, conversion in parts:
        if field is not None and (field not in (_STREAM, _TIME) or conversion or (field == _STREAM and form)):
            return f'contains the field "{field}"; its fields are {fields}'
    if "/" in name or "\0" in name or name.startswith("."):
        return "must be the name of a file, without a folder"
    if not name.lower().endswith(_ENDINGS):
        return f"must end in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}"
    example = datetime(2026, 12, 31, 23, 59, 58)
    for form in formats:
        try:
            text = example.strftime(form or "")
            datetime.strptime(text, form or "")
        except ValueError:
            text = ""
        if text in ("", form) or any(character in text for character in "/{}"):
            return f'has the time "{form}"; write it with %Y, %m, %d, %H, %M and %S'
    return None if formats else f"needs the time of the clip, such as {{{_TIME}:%Y%m%d-%H%M%S}}"


def _pattern(name: str, stream: str) -> tuple[re.Pattern[str], list[str]]:
    """Return an expression for the names that a pattern gives, and the formats of the times in its groups."""
    stem, ending = os.path.splitext(name)
    text, formats = "", []
    for literal, field, form, _ in string.Formatter().parse(stem):
        text += re.escape(literal)
        if field == _STREAM:
            text += re.escape(_plain(stream))
        elif field == _TIME:
            text += "(.+)"
            formats.append(form or "")
    return re.compile(text + re.escape(ending)), formats


def _is_clip(name: str, pattern: re.Pattern[str], formats: list[str]) -> bool:
    """Return whether a pattern gives a file's name for some time, with a number behind it or without."""
    for one in (name, _NUMBER.sub(r"\1", name)):
        match = pattern.fullmatch(one)
        with contextlib.suppress(ValueError):
            if match and all(datetime.strptime(*pair) for pair in zip(match.groups(), formats, strict=True)):
                return True
    return False


def _plain(stream: str) -> str:
    """Return the name of a stream without its codec, as a part of a file's name."""
    return stream.rpartition("@")[0].replace("/", "_")
