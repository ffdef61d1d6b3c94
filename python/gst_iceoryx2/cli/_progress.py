"""One line on stderr that says how far a command is, written over and over where that is a terminal."""

from __future__ import annotations

import os
import sys

import click

# Of ten calls a second.
_EVERY = 5


class Progress:
    """The line."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._is_open = False
        self._calls = 0

    def show(self, text: str) -> None:
        """Write it, at every fifth call."""
        self._calls += 1
        if self._is_terminal and self._calls % _EVERY == 1:
            click.echo(f"\r{text}\x1b[K", err=True, nl=False)
            self._is_open = True

    def end(self) -> None:
        """Remove it, so that something else can be written."""
        if self._is_open:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._is_open = False


def clock(seconds: float) -> str:
    """A span of time as players show it: 00:01:02.3."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{int(seconds * 10) % 10}"
