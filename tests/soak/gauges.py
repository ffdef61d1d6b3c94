"""What processes take over time, and whether it stays: the second quarter of a run compared with its last."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.chaos.place import Litter
from tests.chaos.player import Player


class Gauge(NamedTuple):
    """One thing that is measured.

    Attributes:
        name: For people.
        unit: How many of what is measured make one of what is printed.
        slack: By how much it may be more in the last quarter and still be flat.
        share: The same as a share of what it was.
    """

    name: str
    unit: float = 1
    slack: float = 0
    share: float = 0


# Copies of two pictures, and what the allocator keeps of them. Of 30 minutes 15 lie between the two medians:
# at 25 frames a second, 400 bytes a frame would be seen.
PRIVATE: Final = Gauge("private MB", 1e6, 8e6)
# One more or less while a reader comes or goes.
DESCRIPTORS: Final = Gauge("descriptors", slack=2)
THREADS: Final = Gauge("threads", slack=1)
# Of who closes and opens ports, which may be closed at half of the samples; it does so 75 times between the medians.
DESCRIPTORS_REOPENED: Final = Gauge("descriptors", slack=24)
THREADS_REOPENED: Final = Gauge("threads", slack=4)
FILES: Final = Gauge("files", slack=8, share=0.1)
# Pages of memory count once a frame was written there, which a late reader can bring about at any time: so
# much as one publisher has, 24 frames of the largest size. Memory that is not given back would soon be more.
SHARED: Final = Gauge("shared MB", 1e6, 24 * 2.8e6)


class Growth(NamedTuple):
    """One thing in the two quarters.

    Attributes:
        who: What takes it.
        gauge: What it is.
        before: Median of the second quarter.
        after: Median of the last quarter.
    """

    who: str
    gauge: Gauge
    before: float
    after: float

    @property
    def is_flat(self) -> bool:
        """Whether it has not grown."""
        return self.after - self.before <= self.gauge.slack + self.gauge.share * self.before

    def __str__(self) -> str:
        before, after = (round(value / self.gauge.unit, 1) for value in (self.before, self.after))
        return f"{self.who}: {self.gauge.name} {before:g} in the second quarter, {after:g} in the last"


class Samples:
    """All that was measured in a run."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Gauge], list[float]] = {}

    def take(self, players: Iterable[Player], litter: Litter) -> None:
        """Measure once."""
        for player in players:
            who = player.name.partition(".")[0]
            is_steady = all(part.spec["habit"] == "steady" for part in player.parts)
            threads = sum(1 for _ in Path(f"/proc/{player.pid}/task").iterdir())
            self.note(who, PRIVATE, player.private_bytes())
            self.note(who, DESCRIPTORS if is_steady else DESCRIPTORS_REOPENED, sum(player.descriptors().values()))
            self.note(who, THREADS if is_steady else THREADS_REOPENED, threads)
        self.note("domain", FILES, litter.files)
        self.note("domain", SHARED, litter.bytes)

    def note(self, who: str, gauge: Gauge, value: float) -> None:
        """Take one value."""
        self._values.setdefault((who, gauge), []).append(value)

    def __len__(self) -> int:
        return max(map(len, self._values.values()), default=0)

    @property
    def growths(self) -> list[Growth]:
        """Everything measured, in both quarters."""
        return [Growth(who, gauge, *_quarters(values)) for (who, gauge), values in self._values.items()]


def _quarters(values: Sequence[float]) -> Iterator[float]:
    quarter = len(values) // 4
    yield statistics.median(values[quarter : 2 * quarter])
    yield statistics.median(values[-quarter:])


def table(growths: Sequence[Growth]) -> Iterator[str]:
    """Lines of a table: for whom, and of each thing both medians, the second quarter's first."""
    for gauges in ((PRIVATE, DESCRIPTORS, THREADS), (SHARED, FILES)):
        names = [gauge.name for gauge in gauges]
        yield f"{'':<18}" + "".join(f"{name:>20}" for name in names)
        found = {(growth.who, growth.gauge.name): growth for growth in growths if growth.gauge.name in names}
        for who in dict.fromkeys(who for who, _ in found):
            yield f"{who:<18}" + "".join(f"{_cell(found.get((who, name))):>20}" for name in names)


def _cell(growth: Growth | None) -> str:
    if growth is None:
        return ""
    digits = 1 if growth.gauge.unit > 1 else 0
    before, after = (f"{value / growth.gauge.unit:.{digits}f}" for value in (growth.before, growth.after))
    return f"{before} → {after}{'' if growth.is_flat else ' !'}"
