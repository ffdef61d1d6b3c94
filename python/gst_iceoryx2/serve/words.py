"""Clauses for messages about mistakes in a file."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from ..errors import without_passwords

# Longest part of a word that is compared with the known words.
_WORD_MAX: Final = 100


def most_similar(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar known word; of words that are equally similar, the first one."""
    asked = word.casefold()[:_WORD_MAX]

    def likeness(one: str) -> tuple[bool, float]:
        # Two letters are often typed in the wrong order.
        return sorted(asked) == sorted(one.casefold()), difflib.SequenceMatcher(None, asked, one.casefold()).ratio()

    best = max(known, key=likeness)
    return best if likeness(best)[1] >= 0.6 else None


def nearest_word(word: str, known: Iterable[str], shown: int = 99) -> str:
    """Return a clause with the nearest known word, and the known words."""
    known = tuple(known)
    near = most_similar(word, known)
    some = (*known[:shown], "…") if len(known) > shown else known
    return (f'did you mean "{near}"? ' if near is not None else "") + f"known: {', '.join(some)}"


def listed(words: Iterable[str]) -> str:
    """Return words as a list: "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def toml_key(name: str) -> str:
    """Return a name as a key in TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def not_this(value: Any) -> str:
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


def duration(seconds: float) -> str:
    """Return a duration in the largest unit that fits: "2 min"."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
