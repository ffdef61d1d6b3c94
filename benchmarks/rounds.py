"""Values of interleaved runs, and their ratios."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

Measurement = Mapping[str, float]
"""The values of one run, by name."""


def interleave(
    cases: Mapping[str, Callable[[], Measurement]], rounds: int, optional: Container[str] = ()
) -> dict[str, list[Measurement]]:
    """Run every case once in each round, so that a disturbance of the machine affects all cases.

    Args:
        cases: What to run, by name. The order is another one in each round.
        rounds: How often.
        optional: Cases that may fail, which is told; the others are then compared without them.

    Returns:
        The measurements of each case in the order of the rounds.
    """
    results: dict[str, list[Measurement]] = {name: [] for name in cases}
    names = list(cases)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if name not in results:
                continue
            try:
                results[name].append(cases[name]())
            except RuntimeError as exc:
                if name not in optional:
                    raise
                print(f"left out: {name}: {exc}", file=sys.stderr)
                del results[name]
    return results


@dataclass(frozen=True)
class Series:
    """Return one value of every run."""

    name: str
    unit: str
    values: tuple[float, ...]

    @classmethod
    def of(cls, name: str, unit: str, runs: Sequence[Measurement], key: str, scale: float = 1) -> Series:
        return cls(name, unit, tuple(run[key] * scale for run in runs))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def as_data(self) -> dict[str, object]:
        return {"unit": self.unit, "median": self.median, "values": list(self.values)}


@dataclass(frozen=True)
class Finding:
    """A value with its spread and its goal, at most or at least; None means without a goal."""

    name: str
    value: float
    low: float
    high: float
    limit: float | None
    unit: str = "×"
    is_least: bool = False

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    @property
    def wanted(self) -> str:
        """The goal as text; empty without a goal."""
        return "" if self.limit is None else f"{'at least' if self.is_least else 'at most'} {self.limit:.3g}"

    def as_data(self) -> dict[str, object]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "limit": self.limit,
            "is least": self.is_least,
            "holds": self.holds,
        }


def ratio(
    name: str, of: Series, to: Series, limit: float | None, scale: float = 1, *, is_least: bool = False
) -> Finding:
    """Return the ratio of two medians; its spread is the range of the ratios within the rounds."""
    each = [scale * a / b for a, b in zip(of.values, to.values, strict=True)]
    return Finding(name, scale * of.median / to.median, min(each), max(each), limit, is_least=is_least)


def size(name: str, series: Series, limit: float | None, *, is_least: bool = False) -> Finding:
    """Return a single value."""
    return Finding(name, series.median, min(series.values), max(series.values), limit, series.unit, is_least)


def worst(findings: Sequence[Finding]) -> Iterable[Finding]:
    """Return the finding that is furthest from its goal, or None if there are no findings."""
    if findings:
        chosen = (min if findings[0].is_least else max)(findings, key=lambda finding: finding.value)
        yield chosen if len(findings) == 1 else replace(chosen, name=f"{chosen.name} (worst of {len(findings)})")


def combined(name: str, unit: str, value: Callable[..., float], *parts: Series) -> Series:
    """Return a series that is computed from others, round by round."""
    return Series(name, unit, tuple(map(value, *(part.values for part in parts))))
