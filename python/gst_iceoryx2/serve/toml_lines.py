"""Finds the lines of keys in a TOML document, because Python's parser does not tell them."""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_right
from typing import Any, Final, TypeAlias

from .._iox2.domain import parse_toml

KeyPath: TypeAlias = tuple[str, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^"'=\]\n#])+""")
_STRING: Final = re.compile(r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL)
# A date and a time may have a space between them.
_SCALAR: Final = re.compile(r"[^\s,\]}#]+(?: \d[^\s,\]}#]*)?")


class _LostError(Exception):
    """The scanner does not understand the document."""


class TomlLines:
    """The line of each table and key of a TOML document.

    Args:
        text: The document. It must be valid.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        # If it gets lost, the lines found up to this point remain.
        with contextlib.suppress(_LostError, RecursionError):
            self._scan()

    def of(self, *path: str) -> int:
        """Return the line of a table or key, or of the table that contains it; the first line is 1."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _scan(self) -> None:
        table: KeyPath = ()
        while self._next():
            if self._text[self._at] == "[":
                brackets = 2 if self._text.startswith("[[", self._at) else 1
                self._at += brackets
                table = self._key(())
                self._at += brackets
            else:
                self._pair(table)

    def _next(self) -> str:
        """Skip blanks, line breaks and comments; return the next character, or "" at the end."""
        self._take(_BLANK)
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _LostError
        self._at = match.end()
        return match[0]

    def _key(self, table: KeyPath) -> KeyPath:
        """Read a key, which may have dots and quotes, and note its line."""
        line = bisect_right(self._ends, self._at) + 1
        try:
            parsed: Any = parse_toml(f"{self._take(_KEY)} = 0")
        except ValueError as exc:
            raise _LostError from exc
        path = table
        while isinstance(parsed, dict):
            ((name, parsed),) = parsed.items()
            path = (*path, name)
            self._lines.setdefault(path, line)
        return path

    def _pair(self, table: KeyPath) -> None:
        path = self._key(table)
        if self._next() != "=":
            raise _LostError
        self._at += 1
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        first = self._next()
        if first in ("'", '"'):
            self._take(_STRING)
        elif first in ("[", "{"):
            self._at += 1
            while (character := self._next()) not in ("]", "}", ""):
                if character == ",":
                    self._at += 1
                elif first == "{":
                    self._pair(path)
                else:
                    self._value(path)
            self._at += 1
        else:
            self._take(_SCALAR)
