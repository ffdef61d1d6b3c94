"""Why a frame is refused."""

from __future__ import annotations

from typing import Final

from ..contract import message

_RULES: Final = {
    "place": "length",
    "length": "length",
    "aux_size": "aux-size",
    "format_name": "format",
    "format": "format",
    "size": "size",
    "no_pixels": "size",
    "planes": "planes",
    "stride": "stride",
    "bounds": "bounds",
    "caps_media": "caps",
    "caps_disagree": "caps",
}
"""The rule of SPEC.md section 7 that a text of `messages.json` belongs to; its name there begins with `fault_`."""


class Fault(str):
    """Why a frame is refused: the rule that it breaks, the field, and both numbers.

    Attributes:
        rule: The rule of SPEC.md section 7: "length", "aux-size", "format", "size", "planes", "stride", "bounds" or
            "caps".
    """

    __slots__ = ("rule",)
    rule: str

    def __new__(cls, rule: str, text: str) -> Fault:
        """Make a fault of this rule; its text begins with the name of the rule."""
        made = super().__new__(cls, f"{rule}: {text}")
        made.rule = rule
        return made

    @classmethod
    def of(cls, key: str, **values: object) -> Fault:
        """Return the fault with the text `fault_` + `key` of `messages.json`, with its placeholders filled in."""
        return cls(_RULES[key], message(f"fault_{key}", **values))

    def __reduce__(self) -> tuple[type[Fault], tuple[str, str]]:
        return Fault, (self.rule, self.removeprefix(f"{self.rule}: "))
