"""Formats durations, byte counts, sizes and rates for display; unknown values become "-"."""

from __future__ import annotations

UNKNOWN = "-"


def age(seconds: float | None) -> str:
    """Format a duration: "8 ms", "2.4 s", "12 min". It is negative if two clocks disagree."""
    if seconds is None:
        return UNKNOWN
    size = abs(seconds)
    for unit, factor, limit in (("ms", 1000.0, 1.0), ("s", 1.0, 120.0), ("min", 1 / 60, 7200.0), ("h", 1 / 3600, 1e99)):
        if size < limit:
            number = seconds * factor
            return f"{number:.1f} {unit}" if unit == "s" and size < 10 else f"{number:.0f} {unit}"
    return UNKNOWN


def amount(count: int | None) -> str:
    """Format a number of bytes with a unit, in powers of 1,000: "512 B", "149 MB"."""
    if count is None:
        return UNKNOWN
    number, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{count} B" if unit == "B" else f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"


def size(width: int | None, height: int | None) -> str:
    """Format the size of a picture: "640x480"."""
    return UNKNOWN if width is None or height is None else f"{width}x{height}"


def rate(fps: float | None) -> str:
    """Format frames per second: "30.0", because "30" would look exact. Rates from 1,000 have no decimals."""
    return UNKNOWN if fps is None else f"{fps:.1f}" if fps < 1000 else f"{fps:.0f}"


def share(count: int | None, limit: int | None) -> str:
    """Format a count and its limit: "2/8"."""
    if count is None:
        return UNKNOWN
    return str(count) if limit is None else f"{count}/{limit}"


def counted(number: int, noun: str) -> str:
    """Format a number of things: "1 frame", "2 frames"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def text(value: object) -> str:
    """Format any other value."""
    return UNKNOWN if value is None else str(value)


def milliseconds(seconds: float | None) -> str:
    """Format a short duration in milliseconds, with two significant digits: "0.42 ms", "17 ms"."""
    if seconds is None:
        return UNKNOWN
    number = seconds * 1000
    return f"{number:.2f} ms" if abs(number) < 1 else f"{number:.1f} ms" if abs(number) < 10 else f"{number:.0f} ms"


def megabytes(count: float | None) -> str:
    """Format a number of bytes in megabytes, without the unit."""
    return UNKNOWN if count is None else f"{count / 1e6:.1f}"


def note(problem: str | None, *, has_ended: bool) -> str:
    """Return the text of the NOTE column: the first sentence of the problem, or "end of stream"."""
    if problem:
        return problem.partition(". ")[0]
    return "end of stream" if has_ended else ""
