"""Reads snippets, links and headings of Markdown files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


class Snippet(NamedTuple):
    """A fenced block.

    Attributes:
        file: Name of its file.
        line: Number of its first line.
        language: The word after the fence: python, sh, rust, or nothing.
        text: Its lines, without the fences.
    """

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def snippets(path: Path) -> list[Snippet]:
    """Return all fenced blocks of a file, in order."""
    text = path.read_text()
    found = [
        Snippet(path.name, text[: match.start()].count("\n") + 1, match[1], match[2]) for match in _FENCE.finditer(text)
    ]
    assert 2 * len(found) == len(re.findall(r"^\s*```", text, re.MULTILINE)), (
        f"{path.name} has a fence that is not closed"
    )
    return found


def without_snippets(path: Path) -> str:
    """Return the text outside fenced blocks."""
    return _FENCE.sub("", path.read_text())


def links(path: Path) -> list[str]:
    """Return the targets of all links and pictures outside fenced blocks."""
    return _LINK.findall(without_snippets(path))


def anchors(path: Path) -> set[str]:
    """Return the anchors of a file's headings, as GitHub makes them."""
    headings = _HEADING.findall(without_snippets(path))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
