"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]
"""`note` means worth knowing, but not a problem for every user."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes:
        check: Name of the check.
        status: "ok", "note" or "problem".
        text: What was found, with numbers.
        remedy: What to do; None if there is nothing to do.
        can_fix: Whether `examine(fix=True)` can fix the problem.
        was_fixed: Whether `examine(fix=True)` has fixed the problem.
    """

    check: str
    status: Status
    text: str
    remedy: str | None = None
    can_fix: bool = False
    was_fixed: bool = False


def ok(text: str) -> Finding:
    """Create an `ok` finding. `examine` adds the name of the check to every finding."""
    return Finding("", "ok", text)


def note(text: str, remedy: str | None = None) -> Finding:
    """Create a note."""
    return Finding("", "note", text, remedy)


def problem(text: str, remedy: str | None = None, *, can_fix: bool = False, was_fixed: bool = False) -> Finding:
    """Create a problem."""
    return Finding("", "problem", text, remedy, can_fix, was_fixed)
