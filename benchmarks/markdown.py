"""The tables for the README: goals and results, and the transports side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.charts import Chart
from benchmarks.report import Report


def lines(facts: Mapping[str, object], reports: Iterable[Report]) -> list[str]:
    """Return everything that has a goal, then a table for each chart."""
    reports = list(reports)
    findings = [finding for report in reports for finding in report.findings if finding.limit is not None]
    machine = ", ".join(
        f"{name} {facts[name]}" for name in ("processor", "processors", "system", "gstreamer") if name in facts
    )
    rows = [
        f"| {finding.name} | {finding.value:.3g} {finding.unit} | {finding.low:.3g} to {finding.high:.3g} "
        f"| {finding.wanted} | {'yes' if finding.holds else '**no**'} |"
        for finding in findings
    ]
    found = [f"Measured on: {machine}", "", "| | median | spread | wanted | holds |", "|---|---:|---:|---:|---|", *rows]
    for report in reports:
        for chart in report.charts:
            found += ["", f"{chart.title} ({chart.unit}):", "", *_table(chart)]
    return found


def _table(chart: Chart) -> list[str]:
    situations = chart.situations
    head = [f"| | {' | '.join(situations)} |", f"|---|{'---:|' * len(situations)}"]
    return head + [
        f"| {name} | {' | '.join(_number(row.get(situation)) for situation in situations)} |"
        for name, row in chart.values.items()
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"
