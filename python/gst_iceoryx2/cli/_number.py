"""Numbers of options that have to be above something."""

from __future__ import annotations

import math
from typing import Any

import click


class Above0(click.FloatRange):
    """A number above 0. "nan" is in no range and outside of none, so a range alone lets it pass."""

    def __init__(self, most: float | None = None) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As for any range; what is no number is refused, too."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number
