"""Runs a command's work: shows progress on a terminal, stops cleanly on signals, and prints a summary."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from gst_iceoryx2.cli._screen import say
from gst_iceoryx2.cli._signals import stopping_on_signals
from gst_iceoryx2.work import Report, Work

# Every fifth of the ten reports per second is shown.
_EVERY = 5


def run(
    work: Work[Report],
    progress: Callable[[Report], str],
    summary: Callable[[Report], list[str]],
) -> Report:
    """Run work until it ends; Ctrl-C and SIGTERM stop it.

    Args:
        work: The work to run.
        progress: Formats a report as the progress line, which is overwritten while the work runs.
        summary: Formats the final report as lines that are printed at the end, even after an error.

    Returns:
        The final report.
    """
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    reports = 0

    def show(report: Report) -> None:
        nonlocal reports
        reports += 1
        if is_terminal and reports % _EVERY == 1:
            click.echo(f"\r{progress(report)}\x1b[K", err=True, nl=False)

    with stopping_on_signals(work.stop):
        try:
            return work.run(show)
        finally:
            if is_terminal and reports:
                click.echo("\r\x1b[K", err=True, nl=False)
            for line in summary(work.report()):
                say(line)


def clock(seconds: float) -> str:
    """Format a duration as video players do: 00:01:02.3."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{int(seconds * 10) % 10}"
