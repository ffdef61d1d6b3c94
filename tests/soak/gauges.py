"""Resources of processes over time: the second quarter of a run is compared with the last."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.chaos.place import DomainUse
from tests.chaos.player import Player, descriptors, private_bytes


class Gauge(NamedTuple):
    """A resource that is measured.

    Attributes:
        name: Name for people.
        unit: Measured amount that is printed as 1.
        slack: Growth that still counts as flat.
        share: The same as a share of the earlier amount.
    """

    name: str
    unit: float = 1
    slack: float = 0
    share: float = 0


# Copies of two pictures, and what the allocator keeps of them. In 30 minutes, 15 lie between the two medians: at 25
# frames/s, a leak of 400 bytes per frame would show.
PRIVATE: Final = Gauge("private MB", 1e6, 8e6)
# One more or less while a reader connects or leaves.
DESCRIPTORS: Final = Gauge("descriptors", slack=2)
THREADS: Final = Gauge("threads", slack=1)
# For participants that close and reopen ports, which may be closed in half of the samples; they do so 75 times between
# the medians.
DESCRIPTORS_REOPENED: Final = Gauge("descriptors", slack=24)
THREADS_REOPENED: Final = Gauge("threads", slack=4)
FILES: Final = Gauge("files", slack=8, share=0.1)
# Pages count once a frame was written to them, which a late reader can cause at any time: as much as one publisher has,
# 24 frames of the largest size. A leak would soon exceed it.
SHARED: Final = Gauge("shared MB", 1e6, 24 * 2.8e6)


class Growth(NamedTuple):
    """A resource in the two quarters.

    Attributes:
        who: Name of the process, or "domain".
        gauge: The resource.
        before: Median of the second quarter.
        after: Median of the last quarter.
    """

    who: str
    gauge: Gauge
    before: float
    after: float

    @property
    def is_flat(self) -> bool:
        """Return whether it did not grow."""
        return self.after - self.before <= self.gauge.slack + self.gauge.share * self.before

    def __str__(self) -> str:
        before, after = (round(value / self.gauge.unit, 1) for value in (self.before, self.after))
        return f"{self.who}: {self.gauge.name} {before:g} in the second quarter, {after:g} in the last"


class Samples:
    """All measurements of a run."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Gauge], list[float]] = {}

    def take(self, players: Iterable[Player], children: Mapping[str, int], domain_use: DomainUse) -> None:
        """Measure once: the players, their child processes by name, and the domain."""
        for player in players:
            is_steady = all(part.spec["habit"] == "steady" for part in player.parts)
            self._take(player.name.partition(".")[0], player.pid, is_steady)
        for who, pid in children.items():
            self._take(who, pid, is_steady=True)
        self.note("domain", FILES, domain_use.files)
        self.note("domain", SHARED, domain_use.bytes)

    def _take(self, who: str, pid: int, is_steady: bool) -> None:
        self.note(who, PRIVATE, private_bytes(pid))
        self.note(who, DESCRIPTORS if is_steady else DESCRIPTORS_REOPENED, sum(descriptors(pid).values()))
        threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
        self.note(who, THREADS if is_steady else THREADS_REOPENED, threads)

    def note(self, who: str, gauge: Gauge, value: float) -> None:
        """Add one value."""
        self._values.setdefault((who, gauge), []).append(value)

    def __len__(self) -> int:
        return max(map(len, self._values.values()), default=0)

    @property
    def growths(self) -> list[Growth]:
        """Return every resource in both quarters."""
        return [Growth(who, gauge, *_quarters(values)) for (who, gauge), values in self._values.items()]


def _quarters(values: Sequence[float]) -> Iterator[float]:
    quarter = len(values) // 4
    yield statistics.median(values[quarter : 2 * quarter])
    yield statistics.median(values[-quarter:])


def table(growths: Sequence[Growth]) -> Iterator[str]:
    """Return the lines of a table: a row per process, with both medians of each resource."""
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
