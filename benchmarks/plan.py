"""What to compare, and with how much patience."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.transports import Transport


@dataclass(frozen=True)
class Plan:
    """What the command line asked for.

    Attributes:
        ways: This working tree's plugin, then other builds of it.
        peers: What somebody would use instead.
        quick: Fewer sizes and frames.
        rounds: Runs of each case.
        frames: Frames of each run; None = as many as the benchmark thinks right.
        names: What the names of variants and peers begin with that are wanted; None = all of them.
    """

    ways: Sequence[Transport]
    peers: Sequence[Transport]
    quick: bool
    rounds: int
    frames: int | None = None
    names: tuple[str, ...] | None = None

    @property
    def ours(self) -> Transport:
        """This working tree's plugin."""
        return self.ways[0]

    def choose(self, full: int, quick: int) -> int:
        """Frames of a run."""
        return self.frames or (quick if self.quick else full)

    def wanted(self, ways: Iterable[Transport]) -> list[Transport]:
        """Those of several ways that are to be measured."""
        return [way for way in ways if self.names is None or way.name.startswith(self.names)]

    def peer(self, start: str, *, native: bool) -> Transport | None:
        """The peer whose name starts so, if it is there."""
        found = (way for way in self.peers if way.name.startswith(start) and way.is_native == native)
        return next(found, None)
