"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]
"""`note`: it works, or is not needed by everybody, and is worth knowing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        check: Name of the check.
        status: How bad it is.
        text: What was found, with numbers.
        remedy: What to do; None where nothing is to be done.
        can_fix: Whether `examine(fix=True)` does it.
        was_fixed: Whether it did.
    """

    check: str
    status: Status
    text: str
    remedy: str | None = None
    can_fix: bool = False
    was_fixed: bool = False
