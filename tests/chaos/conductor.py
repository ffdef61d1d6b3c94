"""Runs participants, lets the blows of a script befall them, watches, and judges."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.place import Place
from tests.chaos.player import Player
from tests.chaos.script import STAGE, Blow, Slot
from tests.chaos.verdict import Takes, Verdict
from tests.chaos.watchdog import hanging

_TICK: Final = 0.02
_SETTLE: Final = 3.0
_FAREWELL: Final = 25.0
_NOTICING: Final = 15.0
_CLEANING: Final = 15.0


class Conductor:
    """One run.

    Args:
        place: Where.
        seed: What participants are cast by.
        folder: For their logs.
        stage: The places.
        say: Takes a line for people.
    """

    def __init__(
        self, place: Place, seed: int, folder: Path, stage: Sequence[Slot] = STAGE, say: Callable[[str], None] = print
    ) -> None:
        self._place = place
        self._rng = random.Random(seed)
        self._folder = folder
        self._stage = stage
        self._say = say
        self._environment = place.environment(folder / "registry.bin")
        self._players: dict[int, Player] = {}
        self._graves: list[tuple[float, Player]] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._last_tick = time.monotonic()
        self._next_look = 0.0
        self.verdict: Final = Verdict()

    def run(self, blows: Sequence[Blow], seconds: float) -> Verdict:
        """Play it all.

        Args:
            blows: What befalls them.
            seconds: How long.

        Returns:
            What was found.
        """
        immortal = [index for index, slot in enumerate(self._stage) if slot.immortal]
        try:
            for index in immortal:
                self._start(index)
            self._until(time.monotonic() + _SETTLE, self._all_play)
            before = self._takes()
            for index, slot in enumerate(self._stage):
                if not slot.immortal:
                    self._start(index)
            begin = time.monotonic()
            for blow in blows:
                self._at(begin + blow.at, lambda blow=blow: self._befall(blow))  # type: ignore[misc]
            self._until(begin + seconds)
            self._end([index for index in self._players if index not in immortal])
            # Whoever died last is noticed within seconds.
            self._wait(lambda: not self.verdict.differences(before, self._takes()), _NOTICING)
            if differences := self.verdict.differences(before, self._takes()):
                self.verdict.faults += differences
                (self._folder / "differences.txt").write_text("\n".join(self._place.leftovers()))
            self._end(list(self._players))
            # A helper that somebody started may still be at work, and what is half made counts as left over when old.
            self._wait(self._is_clean, _CLEANING)
            self.verdict.leftovers = self._place.leftovers()
        finally:
            for player in self._players.values():
                player.process.kill()
                player.reap()
            for _, player in self._graves:
                player.reap()
        return self.verdict

    # -- time --------------------------------------------------------------------------------------------------------

    def _at(self, moment: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._order), do))

    def _until(self, end: float, done: Callable[[], bool] | None = None) -> None:
        """Go on until that moment, and until `done()`."""
        patience = end + 30.0
        while time.monotonic() < end or (done is not None and not done()):
            assert time.monotonic() < patience, "the participants do not get ready"
            self._tick()

    def _wait(self, condition: Callable[[], bool], patience: float) -> None:
        """Go on until it is so, at most so many seconds."""
        deadline = time.monotonic() + patience
        while not condition() and time.monotonic() < deadline:
            self._until(time.monotonic() + 0.5)

    def _is_clean(self) -> bool:
        self._place.clean_up()
        return not self._place.leftovers()

    def _tick(self) -> None:
        time.sleep(_TICK)
        now = time.monotonic()
        self.verdict.lateness.append(now - self._last_tick - _TICK)
        self._last_tick = now
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2]()
        for grave in [grave for grave in self._graves if grave[0] <= now]:
            self._graves.remove(grave)
            self._bury(grave[1])
        for player in self._players.values():
            self._listen(player)
        if now >= self._next_look:
            self._next_look = now + 0.2
            self._look(now)

    def _listen(self, player: Player) -> None:
        # Asked before reading: what it said before its end is heard.
        ended = not player.is_there
        player.read()
        self.verdict.hear(player)
        if ended and not player.killed and not player.ending:
            player.ending = True
            self._fault(player, f"ended by itself with {player.process.returncode}")

    def _look(self, now: float) -> None:
        everybody = list(self._players.values())
        for player, why in hanging(everybody, now):
            player.dump()
            time.sleep(0.3)
            self._fault(player, f"hangs: {why}")
            player.kill()
            player.reap()
        self.verdict.litter.append(self._place.litter())

    def _note(self, deed: str, player: Player) -> None:
        self.verdict.deeds[deed] += 1
        with (self._folder / "deeds.log").open("a") as log:
            log.write(f"{time.monotonic():.3f} {deed} {player.name} pid {player.pid}\n")

    def _fault(self, player: Player, what: str) -> None:
        self._note("fault", player)
        self.verdict.faults.append(f"{player.name} (pid {player.pid}): {what}\n{player.tail()}")
        self._say(f"FAULT {player.name}: {what}")

    # -- participants ------------------------------------------------------------------------------------------------

    def _start(self, index: int) -> Player:
        slot = self._stage[index]
        number = next(self._order)
        specs = slot.cast(self._rng)
        name = f"{slot.name}.{number} " + "+".join(f"{spec['kind']}/{spec['habit']}" for spec in specs)
        player = Player(name, specs, self._environment, self._folder / f"{number:04d}-{slot.name}.log")
        self._players[index] = player
        self._note("start", player)
        return player

    def _all_play(self) -> bool:
        return all(
            part.beat is not None and part.beat.phase != "begin"
            for player in self._players.values()
            for part in player.parts
        )

    def _befall(self, blow: Blow) -> None:
        player = self._players.get(blow.slot)
        if player is None or not player.is_there or player.ending or player.stopped_at is not None:
            return
        self._note(blow.deed, player)
        now = time.monotonic()
        if blow.deed == "stop":
            player.stop()
            self._at(now + blow.lasts, lambda: self._resume(player))
        elif blow.deed == "quit":
            player.end()
            self._await_end(blow, player, now + _FAREWELL)
        else:
            self._kill(player, blow.unburied)
            self._at(now + blow.late, lambda: self._replace(blow, blow.births))

    def _resume(self, player: Player) -> None:
        if player.is_there:
            self._note("go on", player)
            player.resume()

    def _kill(self, player: Player, unburied: float) -> None:
        player.kill()
        self._graves.append((time.monotonic() + unburied, player))

    def _replace(self, blow: Blow, births: tuple[float, ...]) -> None:
        if self._players[blow.slot].is_there:
            # Another blow has put somebody there meanwhile.
            return
        player = self._start(blow.slot)
        if births:

            def cut_short() -> None:
                if player.is_there:
                    self._note("kill in start-up", player)
                    self._kill(player, blow.unburied)
                self._replace(blow, births[1:])

            self._at(time.monotonic() + births[0], cut_short)

    def _await_end(self, blow: Blow, player: Player, deadline: float) -> None:
        if player.is_there:
            if time.monotonic() > deadline:
                self._fault(player, f"does not end within {_FAREWELL} s")
                player.kill()
            else:
                self._at(time.monotonic() + 0.05, lambda: self._await_end(blow, player, deadline))
                return
        self._check_end(player)
        self._replace(blow, ())

    def _bury(self, player: Player) -> None:
        player.reap()
        self.verdict.hear(player)

    def _check_end(self, player: Player) -> None:
        self._bury(player)
        if player.process.returncode != 0 and not player.killed:
            self._fault(player, f"was told to end and ended with {player.process.returncode}")

    def _end(self, indices: Sequence[int]) -> None:
        """Let participants end by themselves; nothing befalls anybody any more."""
        self._agenda.clear()
        leaving = [self._players[index] for index in indices]
        for player in leaving:
            if player.is_there:
                player.resume()
                player.end()
        deadline = time.monotonic() + _FAREWELL
        while any(player.is_there for player in leaving) and time.monotonic() < deadline:
            self._tick()
        for player in leaving:
            if player.is_there:
                player.dump()
                self._fault(player, f"does not end within {_FAREWELL} s")
                player.kill()
            self._check_end(player)
        for index in indices:
            del self._players[index]
        while self._graves:
            self._tick()

    def _takes(self) -> dict[str, Takes]:
        return {player.name: Takes(player.descriptors(), player.private_bytes()) for player in self._players.values()}
