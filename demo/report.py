"""The results that the demo prints at the end."""

from __future__ import annotations

from typing import NamedTuple

from demo.arrivals import Consumed
from demo.published import Published
from demo.shared_memory import SharedMemoryUse

_BARS = " ▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 72


class Stream(NamedTuple):
    """A consumer's name and the statistics of the frames that it received."""

    name: str
    seen: Consumed


def report(published: Published, streams: list[Stream], memory: SharedMemoryUse) -> None:
    """Print a row for each consumer, the share of frames sent without a copy, and the shared memory used."""
    print(f"\n{'':30}{'frames':>8}{'fps':>8}{'latency p50':>14}{'p99':>12}{'missed':>8}{'by reference':>14}")
    for name, seen in streams:
        print(
            f"{name:30}{seen.frames:8}{seen.fps:8.1f}{_milliseconds(seen.latency_p50):>14}"
            f"{_milliseconds(seen.latency_p99):>12}{published.sent - seen.frames:8}{_percent(seen.by_reference):>14}"
        )
    share = published.zero_copy / published.sent if published.sent else None
    rest = "" if share == 1 else ", the other frames copied once"
    print(f"\npublisher: {published.sent} frames sent, {_percent(share)} rendered directly into shared memory{rest}")
    print(f"shared memory: {memory.reserved / 1e6:.0f} MB reserved, {memory.touched / 1e6:.0f} MB touched")
    motion = streams[0].seen.motion
    if motion:
        print(f"motion computed by (a): {_sparkline(motion)}")


def _milliseconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1e3:.2f} ms"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"


def _sparkline(values: list[float]) -> str:
    """Return a text with one bar for the highest value in each interval."""
    step = max(1, -(-len(values) // _SPARK_WIDTH))
    peaks = [max(values[i : i + step]) for i in range(0, len(values), step)]
    top = max(peaks) or 1
    return "".join(_BARS[round(peak / top * (len(_BARS) - 1))] for peak in peaks)
