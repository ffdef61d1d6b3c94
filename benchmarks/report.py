"""The result of a benchmark, as text and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.charts import Chart
from benchmarks.rounds import Finding, Series


@dataclass(frozen=True)
class Report:
    """The result of one benchmark."""

    title: str
    series: Sequence[Series]
    findings: Sequence[Finding]
    charts: Sequence[Chart] = ()

    def __str__(self) -> str:
        lines = ["", self.title, ""]
        for series in self.series:
            spread = f"({min(series.values):.4g} to {max(series.values):.4g})"
            lines.append(f"  {series.name:<72} {series.median:>9.4g} {series.unit:<9} {spread}")
        lines.append("")
        for finding in self.findings:
            verdict = ""
            if finding.limit is not None:
                verdict = f"{'holds:' if finding.holds else 'MISSED:'} {finding.wanted}"
            spread = f"({finding.low:.3g} to {finding.high:.3g})"
            lines.append(
                f"  {finding.name:<72} {finding.value:>9.3g} {finding.unit:<3} {spread:<20} {verdict}".rstrip()
            )
        return "\n".join(lines)

    def as_data(self) -> dict[str, object]:
        return {
            "title": self.title,
            "series": {series.name: series.as_data() for series in self.series},
            "findings": {finding.name: finding.as_data() for finding in self.findings},
            "charts": {chart.name: chart.as_data() for chart in self.charts},
        }
