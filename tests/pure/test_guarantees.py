"""docs/guarantees.md has every rule, and docs/proofs.md the tests that are marked with it."""

from __future__ import annotations

from collections import Counter

import pytest

from tools.guarantees import PAGE, RULES, Rule, page, proofs, rules

COUNTS = {"T": 6, "C": 7, "M": 9, "L": 15, "P": 9, "E": 6, "H": 11, "W": 4, "D": 9, "K": 10, "R": 8, "B": 6, "S": 9}
"""How many rules each group has."""


def test_every_rule_is_there_once() -> None:
    expected = [f"{group}{number + 1}" for group, count in COUNTS.items() for number in range(count)]
    assert [rule.name for rule in rules()] == expected


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_a_rule_has_a_test(rule: Rule) -> None:
    assert proofs()[rule.name]


def test_a_mark_names_a_rule() -> None:
    assert proofs().keys() <= {rule.name for rule in rules()}


def test_no_test_names_a_rule_twice() -> None:
    assert all(max(Counter(tests).values()) == 1 for tests in proofs().values())


def test_the_page_of_tests_is_current() -> None:
    assert PAGE.read_text() == page(), "write it: .venv/bin/python tools/guarantees.py --write"


def test_what_is_not_guaranteed_is_said() -> None:
    section = RULES.read_text().partition("\n## Not guaranteed\n")[2].partition("\n## ")[0]
    assert section.count("\n- ") == 12
