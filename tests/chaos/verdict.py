"""The result of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.chaos.place import DomainUse
from tests.chaos.player import Player

_PRIVATE_GROWTH: Final = 16 << 20


class Resources(NamedTuple):
    """Resources of a process.

    Attributes:
        descriptors: Open files, by kind.
        private: Bytes of memory without shared memory.
    """

    descriptors: Counter[str]
    private: int


class Verdict:
    """The result of a run.

    Attributes:
        faults: Broken guarantees; each with the end of the log of the participant that found it.
        leftovers: Files left after all participants ended and the helper cleaned up.
        performed: Number of actions by kind.
        frames: Number of checked frames.
        joined: Number of frames that were checked together with their results.
        late: Number of results that came too late for their frames.
        delays: Times from filling to receipt in ns, of frames that a subscriber waited for.
        resumed: Times in seconds from a publisher's first frame to its receipt, by subscribers that waited.
        recovered: Times in seconds from the end of a fault of a supervisor, or of its processes, until all readers of
            its streams have received 15 frames.
        openings: Longest time in seconds that a role took to open.
        lateness: Times in seconds that the conductor slept too long: the machine adds them to all other times.
        domain_use: Files and memory of the domain over time.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.leftovers: list[str] = []
        self.performed: Counter[str] = Counter()
        self.frames = self.checked = self.held = self.dropped = self.skipped = self.sent = self.joined = self.late = 0
        self.delays: list[int] = []
        self.resumed: list[float] = []
        self.recovered: list[float] = []
        self.lateness: list[float] = []
        self.domain_use: list[DomainUse] = []
        self._counted: dict[tuple[int, int], dict[str, int]] = {}

    @property
    def is_good(self) -> bool:
        """Return whether every guarantee held."""
        return not self.faults and not self.leftovers

    def hear(self, player: Player) -> None:
        """Add the reports of a participant."""
        for line in player.said:
            role = line["role"]
            if "delays" in line:
                self.delays += line["delays"]
                self._count((player.pid, role), player.parts[role].publishes, line["counters"])
            if "resumed" in line:
                self.resumed.append(line["resumed"])
        player.said.clear()
        for fault in player.faults:
            self.faults.append(f"{player.name}: {fault}\n{player.tail()}")
        player.faults.clear()

    def _count(self, key: tuple[int, int], publishes: bool, counters: dict[str, int]) -> None:
        before = self._counted.get(key, {})
        self._counted[key] = counters
        for name, value in counters.items():
            # Some counters restart with each life of a role.
            change = value - before.get(name, 0)
            change = value if change < 0 else change
            if name == "frames" and publishes:
                self.sent += change
            elif name in ("frames", "checked", "held", "dropped", "skipped", "joined", "late"):
                setattr(self, name, getattr(self, name) + change)

    def differences(self, before: dict[str, Resources], after: dict[str, Resources]) -> list[str]:
        """Return the resources of the survivors that grew between beginning and end."""
        found = []
        for name, then in before.items():
            now = after.get(name, then)
            if now.descriptors != then.descriptors:
                more, less = now.descriptors - then.descriptors, then.descriptors - now.descriptors
                found.append(f"{name}: more descriptors than before: {dict(more)}; less: {dict(less)}")
            if now.private > then.private + _PRIVATE_GROWTH:
                found.append(f"{name}: {then.private} private bytes before, {now.private} after")
        return found

    def lines(self) -> list[str]:
        """Return the numbers as lines for people."""
        performed = ", ".join(f"{count} × {kind}" for kind, count in sorted(self.performed.items()))
        most = max((domain_use.files for domain_use in self.domain_use), default=0)
        size = max((domain_use.bytes for domain_use in self.domain_use), default=0)
        return [
            performed,
            f"{self.sent} frames sent; {self.frames} received and checked ({self.checked / 1e9:.2f} GB), "
            f"{self.held} of them again after holding; {self.dropped} dropped and {self.skipped} skipped, all counted",
            f"{self.joined} frames with their own results; {self.late} results too late, all counted",
            f"from filling to receipt: {_quantiles([delay / 1e6 for delay in self.delays], 'ms')}",
            f"a new publisher's first frame to its receipt: {_quantiles([1e3 * time for time in self.resumed], 'ms')}",
            f"15 frames on demand after a fault of their supervisor: {_quantiles(self.recovered, 's')}",
            f"the machine's own lateness: {_quantiles([1e3 * time for time in self.lateness], 'ms')}",
            f"at most {most} files and {size / 1e6:.1f} MB of shared memory; left at the end: {len(self.leftovers)}",
            f"{len(self.faults)} faults",
        ]


def _quantiles(values: Sequence[float], unit: str) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    median, most, worst = (ordered[min(len(ordered) - 1, int(part * len(ordered)))] for part in (0.5, 0.99, 1.0))
    return f"median {median:.2f}, p99 {most:.2f}, worst {worst:.2f} {unit} of {len(values)}"
