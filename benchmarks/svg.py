"""Charts as plain SVG files, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.charts import Chart

WIDTH, LEFT, RIGHT, TOP = 860, 250, 70, 64
BAR, GAP, PLOT = 14, 10, 340
# Medium lightness, visible on white and on black.
COLOURS = ("#e4572e", "#2e86ab", "#5fad56", "#b57edc", "#c9a227", "#17a398", "#d6409f", "#8d8d8d")
DASHES = ("", "6 4", "2 3")
_STYLE = """<style>
svg { color: #1f2328; font: 12px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3 } }
text { fill: currentColor } .title { font-size: 15px; font-weight: 600 } .quiet { opacity: .7 }
.grid { stroke: currentColor; opacity: .18 }
</style>"""


def write(charts: Sequence[Chart], folder: Path) -> list[Path]:
    """Write each chart to a file benchmark-NAME.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for chart in charts:
        if any(chart.values.values()):
            file = folder / f"benchmark-{chart.name}.svg"
            file.write_text(_lines(chart) if chart.is_line else _bars(chart))
            files.append(file)
    return files


class Scale:
    """An axis with marks at round numbers."""

    def __init__(self, values: Sequence[float], length: float, is_log: bool) -> None:
        self._length, self._is_log = length, is_log
        top = max(values) or 1.0
        if is_log:
            self.low = 10.0 ** math.floor(math.log10(min((value for value in values if value > 0), default=1.0)))
            self.high = 10.0 ** math.ceil(math.log10(top) + 1e-9)
            exponents = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            self.marks = [10.0**exponent for exponent in exponents]
        else:
            step = 10.0 ** math.floor(math.log10(top))
            step = next(step * part for part in (0.2, 0.5, 1, 2) if top / (step * part) <= 6)
            self.low, self.high = 0.0, math.ceil(top / step) * step
            self.marks = [step * count for count in range(round(self.high / step) + 1)]

    def __call__(self, value: float) -> float:
        if self._is_log:
            value = max(value, self.low)
            return self._length * math.log10(value / self.low) / math.log10(self.high / self.low)
        return self._length * (value - self.low) / (self.high - self.low)


def _bars(chart: Chart) -> str:
    """Draw a group of bars for each transport, with one bar for each situation."""
    situations, names = chart.situations, list(chart.values)
    group = BAR * len(situations) + GAP
    bottom = TOP + group * len(names)
    scale = Scale(_values(chart), WIDTH - LEFT - RIGHT, chart.is_log)
    parts = []
    for mark in scale.marks:
        x = LEFT + scale(mark)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 16, _label(mark), "middle", "quiet"))
    for row, name in enumerate(names):
        y = TOP + row * group
        parts.append(_text(LEFT - 8, y + (group - GAP) / 2 + 4, name, "end"))
        for place, situation in enumerate(situations):
            value = chart.values[name].get(situation)
            if value is None:
                continue
            length, at = max(1.0, scale(value)), y + place * BAR
            colour = COLOURS[place % len(COLOURS)]
            parts.append(f'<rect x="{LEFT}" y="{at}" width="{length:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            parts.append(_text(LEFT + length + 5, at + 10, _label(value)))
    if len(situations) > 1:
        for place, situation in enumerate(situations):
            x = LEFT + 130 * place
            parts.append(f'<rect x="{x}" y="38" width="12" height="12" fill="{COLOURS[place % len(COLOURS)]}"/>')
            parts.append(_text(x + 17, 48, situation))
    return _page(chart, parts, bottom + 30)


def _lines(chart: Chart) -> str:
    """Draw a line for each transport, with a point for each situation."""
    situations, names = chart.situations, list(chart.values)
    scale, left, right = Scale(_values(chart), PLOT, chart.is_log), 80, WIDTH - LEFT - 20
    bottom = TOP + PLOT
    step = (right - left) / max(1, len(situations))
    xs = {situation: left + step * (place + 0.5) for place, situation in enumerate(situations)}
    parts = []
    for mark in scale.marks:
        y = bottom - scale(mark)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(_text(left - 6, y + 4, _label(mark), "end", "quiet"))
    parts += [_text(x, bottom + 18, situation, "middle") for situation, x in xs.items()]
    for place, name in enumerate(names):
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]
        points = [(xs[situation], bottom - scale(value)) for situation, value in chart.values[name].items()]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        line = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{path}" {line}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        y = TOP + 10 + 19 * place
        parts.append(f'<line x1="{right + 16}" y1="{y}" x2="{right + 40}" y2="{y}" {line}/>')
        parts.append(_text(right + 46, y + 4, name))
    return _page(chart, parts, max(bottom, TOP + 19 * len(names)) + 34)


def _page(chart: Chart, parts: Sequence[str], height: float) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    scale = "logarithmic scale" if chart.is_log else "linear scale"
    title = escape(chart.title)
    head = [_text(16, 24, chart.title, kind="title"), _text(16, 48, f"{chart.unit}, {scale}", kind="quiet")]
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">'
    return "\n".join([start, _STYLE, *head, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text{marked} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _values(chart: Chart) -> list[float]:
    return [value for row in chart.values.values() for value in row.values()]


def _label(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 20 or value == int(value) else f"{value:.2g}"
