"""`iox2-video doctor`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from gst_iceoryx2.cli._outcome import FAILED, OK, examples
from gst_iceoryx2.cli._screen import json_text, styled
from gst_iceoryx2.doctor import Finding, examine, healthy
from gst_iceoryx2.errors import printable

_COLOURS = {"ok": "green", "fixed": "green", "note": "yellow", "problem": "red"}
_INDENT = 24
_WIDTH = 110


@click.command(
    name="doctor",
    epilog=examples(
        "iox2-video doctor",
        "iox2-video doctor --fix",
        "iox2-video doctor --json | jq -r '.findings[] | select(.status == \"problem\") | .remedy'",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--fix", is_flag=True, help="Remove files and memory left by crashed participants, but nothing in use.")
def command(as_json: bool, fix: bool) -> None:
    """Find problems and suggest fixes.

    Exits with code 1 if there is a problem, otherwise 0. Notes do not count as problems.
    """
    findings = examine(fix=fix)
    if as_json:
        click.echo(json_text(document(findings), indent=2))
    else:
        for finding in findings:
            click.echo(_lines(finding))
    sys.exit(OK if healthy(findings) else FAILED)


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the document that `--json` prints; docs/cli.md explains each key."""
    return {"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]}


def _lines(finding: Finding) -> str:
    word = "fixed" if finding.was_fixed else finding.status
    head = f"{word:<8} {finding.check:<14} "
    texts = [finding.text]
    if finding.remedy:
        texts.append(f"→ {finding.remedy}")
    lines = [
        line
        for text in texts
        for line in textwrap.wrap(printable(text), _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)
    ]
    first, *rest = lines
    return "\n".join(
        [styled(head[:9], fg=_COLOURS[word], bold=word == "problem") + head[9:] + first]
        + [f"{'':<{len(head)}}{line}" for line in rest]
    )
