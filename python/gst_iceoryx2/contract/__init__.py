"""Data that this package shares with the Rust crate: the header layout, the formats, the limits and the messages."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_QUOTED = ("name", "service", "text", "character")


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
    filled = {
        name: json.dumps(value, ensure_ascii=False) if name in _QUOTED else value for name, value in values.items()
    }
    text: str = contract("messages")[key]
    return text.format(**filled)
