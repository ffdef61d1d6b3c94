"""What a run found, and whether that is good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.chaos.place import Litter
from tests.chaos.player import Player

_PRIVATE_GROWTH: Final = 16 << 20


class Takes(NamedTuple):
    """What a process takes.

    Attributes:
        descriptors: Open files, by kind.
        private: Bytes of memory, shared memory not counted.
    """

    descriptors: Counter[str]
    private: int


class Verdict:
    """What a run found.

    Attributes:
        faults: Guarantees that were broken; each with the end of the log of who found it.
        leftovers: Files that were there when everybody had gone and the helper had cleaned up.
        deeds: How often what happened.
        frames: Frames that were checked.
        delays: From filling to receipt, ns, of frames that somebody was waiting for.
        resumed: From a publisher's first frame to the receipt of a first frame from it, s, by those who were waiting.
        openings: Longest time that a role was at opening, s.
        lateness: By how much the conductor itself slept too long, s: what the machine adds to everything else.
        litter: What lay in the domain over time.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.leftovers: list[str] = []
        self.deeds: Counter[str] = Counter()
        self.frames = self.checked = self.held = self.dropped = self.skipped = self.sent = 0
        self.delays: list[int] = []
        self.resumed: list[float] = []
        self.lateness: list[float] = []
        self.litter: list[Litter] = []
        self._counted: dict[tuple[int, int], dict[str, int]] = {}

    @property
    def is_good(self) -> bool:
        """Whether every guarantee held."""
        return not self.faults and not self.leftovers

    def hear(self, player: Player) -> None:
        """Take over what a participant has said."""
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
            # Some begin anew with each life of a role.
            change = value - before.get(name, 0)
            change = value if change < 0 else change
            if name == "frames" and publishes:
                self.sent += change
            elif name in ("frames", "checked", "held", "dropped", "skipped"):
                setattr(self, name, getattr(self, name) + change)

    def differences(self, before: dict[str, Takes], after: dict[str, Takes]) -> list[str]:
        """What the survivors take alone at the end, and did not at the beginning."""
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
        """The numbers, for people."""
        deeds = ", ".join(f"{count} × {deed}" for deed, count in sorted(self.deeds.items()))
        most = max((litter.files for litter in self.litter), default=0)
        size = max((litter.bytes for litter in self.litter), default=0)
        return [
            deeds,
            f"{self.sent} frames sent; {self.frames} received and checked ({self.checked / 1e9:.2f} GB), "
            f"{self.held} of them again after holding; {self.dropped} dropped and {self.skipped} skipped, all counted",
            f"from filling to receipt: {_quantiles([delay / 1e6 for delay in self.delays], 'ms')}",
            f"a new publisher's first frame to its receipt: {_quantiles([1e3 * time for time in self.resumed], 'ms')}",
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
