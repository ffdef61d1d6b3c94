"""Writes docs/proofs.md: the rules of docs/guarantees.md, each with the tests that prove it.

A test names its rules by the marker `proves`, in Rust by a comment above the function:

    @pytest.mark.proves("L8", "M6")
    // proves: L8, M6

Usage: python tools/guarantees.py           prints the page
       python tools/guarantees.py --write   writes it
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "docs" / "guarantees.md"
PAGE = ROOT / "docs" / "proofs.md"

_GROUP = re.compile(r"^## (.+)$")
_RULE = re.compile(r"^- \[\*\*([A-Z]\d+)\*\*\]\(proofs\.md#\w+\) (.+)$")
_MORE = re.compile(r"^  (\S.*)$")
_RUST_MARK = re.compile(r"^ *// proves: (.+)\n(?: *#\[.*\n)* *(?:async )?fn (\w+)", re.MULTILINE)


class Rule(NamedTuple):
    """One rule of the guarantees: its name, the heading that it stands under, and its sentences."""

    name: str
    group: str
    text: str


class Test(NamedTuple):
    """A test that proves a rule: its file, from the root of the repository, and its function."""

    file: str
    function: str


def rules() -> list[Rule]:
    """All rules, in the order of the page."""
    found: list[Rule] = []
    group = ""
    for line in RULES.read_text().splitlines():
        if match := _GROUP.match(line):
            group = match[1]
        elif match := _RULE.match(line):
            found.append(Rule(match[1], group, match[2]))
        elif (match := _MORE.match(line)) and found and found[-1].group == group:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{match[1]}")
    return found


@cache
def proofs() -> dict[str, list[Test]]:
    """The tests of each rule, sorted."""
    found = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for rule, function in _python_marks(path):
            found[rule].append(Test(str(path.relative_to(ROOT)), function))
    for path in sorted((ROOT / "crates").rglob("*.rs")):
        for marks, function in _RUST_MARK.findall(path.read_text()):
            for rule in marks.split(", "):
                found[rule].append(Test(str(path.relative_to(ROOT)), function))
    return found


def _python_marks(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.proves":
                    for rule in mark.args:
                        yield ast.literal_eval(rule), node.name


def page() -> str:
    """The text of docs/proofs.md."""
    lines = [
        "# Tests of the guarantees",
        "",
        "Written by `tools/guarantees.py` from the marks on the tests.",
        "[guarantees.md](guarantees.md) has the rules on one page.",
    ]
    group = ""
    tests = proofs()
    for rule in rules():
        if rule.group != group:
            group = rule.group
            lines += ["", f"## {group}"]
        lines += ["", f"### {rule.name}", "", rule.text, ""]
        lines += [f"- [`{test.function}`](../{test.file})" for test in tests[rule.name]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        print(page(), end="")
