"""docs/guarantees.md: every rule is there, and whatever test it names exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()

RULES = {
    "T": 6,
    "C": 7,
    "M": 9,
    "L": 15,
    "P": 9,
    "E": 6,
    "H": 11,
    "W": 4,
    "B": 5,
    "S": 9,
}
"""How many rules each group has."""

ROWS = dict(re.findall(r"^\| ([A-Z]\d+) \| (.*) \|$", PAGE, re.MULTILINE))
TESTS = sorted(set(re.findall(r"`([\w/.]+\.(?:py|rs))::(\w+)`", PAGE)))


def test_every_rule_has_one_row() -> None:
    rules = re.findall(r"^\| ([A-Z]\d+) \| ", PAGE, re.MULTILINE)
    assert len(rules) == len(set(rules))


def test_every_rule_has_its_row() -> None:
    expected = [f"{group}{number + 1}" for group, count in RULES.items() for number in range(count)]
    assert list(ROWS) == expected


@pytest.mark.parametrize("rule", ROWS)
def test_a_rule_names_a_test_or_says_why_not(rule: str) -> None:
    _, _, proof = ROWS[rule].partition(" | ")
    assert "::" in proof or "no test" in proof, ROWS[rule]


@cache
def source(file: str) -> str:
    return (ROOT / file).read_text()


@pytest.mark.parametrize(("file", "name"), TESTS, ids=lambda part: part.rpartition("/")[2])
def test_a_named_test_exists(file: str, name: str) -> None:
    definition = r"^(async )?def {}\(" if file.endswith(".py") else r"^\s*fn {}\("
    assert re.search(definition.format(name), source(file), re.MULTILINE)
