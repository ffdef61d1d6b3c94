"""A long run without kills: participants stream, some restart, and their resources are measured."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Final

from tests.chaos.conductor import Conductor
from tests.chaos.place import Place
from tests.chaos.script import Action
from tests.chaos.verdict import Verdict
from tests.soak.cast import STAGE
from tests.soak.gauges import Samples

_SETTLE: Final = 3.0
_CLEANUP_TIMEOUT: Final = 60.0
# Samples that a short run waits for, because there are none while a participant restarts.
_ENOUGH: Final = 16


class Soak(Conductor):
    """One run.

    Args:
        place: The domain.
        seed: Seed of the participants' pictures and lives.
        folder: Folder of their logs.
        sample_every: Seconds between two measurements.
        restart_every: Seconds between restarts; the subscribers take turns.
        patience: As for `Conductor`.

    Attributes:
        samples: The measurements.
    """

    def __init__(
        self, place: Place, seed: int, folder: Path, sample_every: float, restart_every: float, patience: float = 1.0
    ) -> None:
        super().__init__(place, seed, folder, STAGE, patience)
        self._sample_every = sample_every
        self._restart_every = restart_every
        self._next_sample = float("inf")
        self.samples: Final = Samples()

    def play(self, seconds: float) -> Verdict:
        """Run for so many seconds; faults are in the verdict, measurements in `samples`."""
        passing = [index for index, slot in enumerate(STAGE) if not slot.survives]
        try:
            # The first one writes GStreamer's registry, which takes seconds; later ones read it.
            self._start(0)
            self._until(time.monotonic(), self._all_play)
            for index in range(1, len(STAGE)):
                self._start(index)
            self._until(time.monotonic() + _SETTLE, lambda: self._all_play() and not self._recovery.is_open)
            begin = self._next_sample = time.monotonic()
            turns = itertools.cycle(passing)
            for number in range(1, int(seconds / self._restart_every)):
                action = Action(number * self._restart_every, next(turns), "quit", 0.0, 0.0, 0.0, ())
                self._at(begin + action.at, lambda action=action: self._perform(action))  # type: ignore[misc]
            self._until(begin + seconds, lambda: len(self.samples) >= _ENOUGH)
            self._next_sample = float("inf")
            self._end(list(self._players))
            self._wait(self._is_clean, _CLEANUP_TIMEOUT)
            self.verdict.leftovers = self._leftovers()
        finally:
            for player in self._players.values():
                player.process.kill()
                player.reap()
            self._children.end()
        return self.verdict

    def _look(self, now: float) -> None:
        super()._look(now)
        # A publisher has more descriptors open for each reader, so samples are compared with the same readers.
        everyone_plays = self._all_play() and all(p.is_there and not p.ending for p in self._players.values())
        if now >= self._next_sample and everyone_plays:
            self._next_sample = max(self._next_sample + self._sample_every, now)
            steady = [self._players[index] for index, slot in enumerate(STAGE) if slot.survives]
            # A participant that was killed because it hung is in the verdict.
            children = {self._children.kind(pid): pid for pid in self._children.there}
            self.samples.take([player for player in steady if player.is_there], children, self.verdict.domain_use[-1])
