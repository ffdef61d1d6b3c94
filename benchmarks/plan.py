"""Which transports to compare, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.transports import Transport


@dataclass(frozen=True)
class Plan:
    """The options of the command line.

    Attributes:
        ways: This working tree's plugin, then other builds of it.
        peers: The alternatives to measure.
        quick: Fewer sizes and frames.
        rounds: Runs of each case.
        frames: Frames of each run; None = as many as the benchmark thinks right.
        names: Prefixes of the names of variants and peers to measure; None = all of them.
    """

    ways: Sequence[Transport]
    peers: Sequence[Transport]
    quick: bool
    rounds: int
    frames: int | None = None
    names: tuple[str, ...] | None = None

    @property
    def ours(self) -> Transport:
        """Return the plugin of this working tree."""
        return self.ways[0]

    def choose(self, full: int, quick: int) -> int:
        """Return the number of frames of a run."""
        return self.frames or (quick if self.quick else full)

    def wanted(self, ways: Iterable[Transport]) -> list[Transport]:
        """Return the transports that the options choose."""
        return [way for way in ways if self.names is None or way.name.startswith(self.names)]

    def peer(self, start: str, *, native: bool) -> Transport | None:
        """Return the peer whose name begins like this, if it is installed."""
        found = (way for way in self.peers if way.name.startswith(start) and way.is_native == native)
        return next(found, None)
