"""Output for terminals and files: colours, tables, and redrawing in place."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import click

from gst_iceoryx2.errors import printable

_HIDE_CURSOR = "\x1b[?25l"
_SHOW_CURSOR = "\x1b[?25h"
_CLEAR_REST = "\x1b[J"
_CLEAR_SCREEN = "\x1b[H\x1b[2J"
_CLEAR_LINE = "\x1b[K"
_GAP = "  "


def is_terminal() -> bool:
    """Return whether stdout is a terminal that can be redrawn."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def wants_colour() -> bool:
    """Return whether to print colours: stdout is a terminal, and NO_COLOR is not set (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def styled(text: str, **style: bool | str) -> str:
    """Return the text styled with `click.style` if stdout supports colour, otherwise unchanged."""
    return click.style(text, **style) if wants_colour() else text  # type: ignore[arg-type]


def say(text: str) -> None:
    """Print a message to stderr as one line."""
    click.echo(printable(text), err=True)


def json_text(document: Any, indent: int | None = None) -> str:
    """Return a document as ASCII JSON, with invalid Unicode replaced."""
    text = json.dumps(document, ensure_ascii=False)
    # A lone surrogate, as in a file name that is not valid UTF-8, becomes U+FFFD.
    valid = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.dumps(json.loads(valid), indent=indent)


def rounded(values: dict[str, Any], **digits: int) -> dict[str, Any]:
    """Round the named values to the given numbers of digits. None stays None; 0 digits produce an int."""
    for name, count in digits.items():
        if values[name] is not None:
            values[name] = round(values[name], count or None)
    return values


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table.

    Args:
        heads: Headings, one per column.
        rows: The cells of each row. Control characters are shown as escapes.
        right: Headings of the right-aligned columns.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max([len(head), *(len(row[n]) for row in cells)]) for n, head in enumerate(heads)]

    def line(row: Sequence[str]) -> str:
        return _GAP.join(
            cell.rjust(width) if head in right else cell.ljust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        ).rstrip()

    return [line(heads), *map(line, cells)]


class Painter:
    """Draws lines over the lines that it drew before, with the terminal's cursor hidden."""

    def __init__(self) -> None:
        self._drawn = 0
        self._size: os.terminal_size | None = None

    def __enter__(self) -> Painter:
        sys.stdout.write(_HIDE_CURSOR)
        return self

    def draw(self, lines: Sequence[str]) -> None:
        """Draw as many lines as fit on the terminal; the first line is the heading."""
        size = columns, rows = shutil.get_terminal_size()
        shown = [line if len(line) <= columns else line[: columns - 1] + "…" for line in lines]
        if len(shown) >= rows:
            shown = [*shown[: rows - 2], f"… and {len(shown) - rows + 2} more"]
        up = f"\x1b[{self._drawn}A\r" if self._drawn else ""
        if self._size not in (size, None):
            # After a resize, each terminal wraps or scrolls the old lines differently.
            up = _CLEAR_SCREEN
        self._size = size
        body = "".join(f"{styled(line, bold=True) if n == 0 else line}{_CLEAR_LINE}\n" for n, line in enumerate(shown))
        sys.stdout.write(up + body + _CLEAR_REST)
        sys.stdout.flush()
        self._drawn = len(shown)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The terminal has just printed "^C" at the cursor.
        sys.stdout.write(_SHOW_CURSOR + ("\n" if kind is KeyboardInterrupt else ""))
        sys.stdout.flush()
