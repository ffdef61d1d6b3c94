"""Reasons for rejecting a frame or a format."""

from __future__ import annotations

import difflib
from typing import Final

from ..contract import contract, message

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
    "packet_version": "version",
    "packet_codec": "codec",
    "packet_bytes": "length",
    "results_version": "version",
    "results_key": "key",
    "results_bytes": "length",
    "sections": "sections",
    "caps_media": "caps",
    "caps_disagree": "caps",
}
"""Dict from a key of `messages.json` (without `fault_`) to the corresponding rule of SPEC.md section 7, 9 or 11."""


class Fault(str):
    """Reason for rejecting a frame: the rule that it breaks, the field, and the actual and expected values.

    Attributes:
        rule: The rule of SPEC.md section 7: "length", "aux-size", "format", "size", "planes", "stride", "bounds" or
            "caps"; for packets the rule of section 9: "length", "version", "codec" or "size"; for results the rule of
            section 11: "length", "version", "key", "size", "sections" or the name of a section.
    """

    __slots__ = ("rule",)
    rule: str

    def __new__(cls, rule: str, text: str) -> Fault:
        """Create a fault for this rule; its text begins with the name of the rule."""
        made = super().__new__(cls, f"{rule}: {text}")
        made.rule = rule
        return made

    @classmethod
    def of(cls, key: str, **values: object) -> Fault:
        """Create a fault from the text `fault_` + `key` in `messages.json`, with its placeholders filled in."""
        return cls(_RULES[key], message(f"fault_{key}", **values))

    @classmethod
    def in_section(cls, section: str, key: str, **values: object) -> Fault:
        """Create a fault of a section of a result, whose name is the rule, from the text `fault_` + `key`."""
        return cls(section, message(f"fault_{key}", **values))

    def __reduce__(self) -> tuple[type[Fault], tuple[str, str]]:
        return Fault, (self.rule, self.removeprefix(f"{self.rule}: "))


def unknown_format(name: str) -> str:
    """Return a sentence that a format is unknown, with the most similar name of a known one."""
    folded = {row["name"].casefold(): row["name"] for row in contract("formats")["formats"]}
    nearest = folded[difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.0)[0]]
    return f"{name!r} is not a raw video format in GStreamer; did you mean {nearest!r}?"
