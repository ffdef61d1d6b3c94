"""Charts and tables of a benchmark's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """Medians of several transports in several situations.

    Attributes:
        name: For the file.
        title: What is measured.
        unit: Of the values.
        values: For each way, the value in each situation; not every way has been in all of them.
        is_log: Whether the axis is logarithmic.
        is_line: Whether the situations are in an order that a line may follow.
    """

    name: str
    title: str
    unit: str
    values: Mapping[str, Mapping[str, float]]
    is_log: bool = False
    is_line: bool = False

    @property
    def situations(self) -> list[str]:
        """Return all situations, in the order in which they were named."""
        return list(dict.fromkeys(name for row in self.values.values() for name in row))

    def as_data(self) -> dict[str, object]:
        return {
            "title": self.title,
            "unit": self.unit,
            "values": {name: dict(row) for name, row in self.values.items()},
        }
