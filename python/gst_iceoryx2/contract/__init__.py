"""Data that this package shares with the Rust crate: the header layout, the formats, the limits and the messages."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_QUOTED = ("name", "service", "text", "character")
_ESCAPES = {'"': r"\"", "\\": r"\\", "\0": r"\0", "\t": r"\t", "\n": r"\n", "\r": r"\r"}


@cache
def contract(name: str) -> dict[str, Any]:
    """Return the content of one of the files: "layout", "formats", "limits" or "messages"."""
    data: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return data


def limit(name: str) -> int:
    """Return a number from `limits.json`."""
    value: int = contract("limits")[name][0]
    return value


def seconds(name: str) -> float:
    """Return a time from `limits.json` in seconds; `name` is the name there without its suffix `_ms`."""
    return limit(f"{name}_ms") / 1000


def message(key: str, **values: object) -> str:
    """Return a text from `messages.json` with its placeholders filled in; names, `text` and `character` are quoted."""
    filled = {name: _quoted(str(value)) if name in _QUOTED else value for name, value in values.items()}
    text: str = contract("messages")[key]
    return text.format(**filled)


def _quoted(text: str) -> str:
    r"""Write text in quotes, with the escapes of Rust's `{:?}`: an escape character becomes `\u{1b}`."""
    shown = (_ESCAPES.get(c) or (c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text)
    return f'"{"".join(shown)}"'
