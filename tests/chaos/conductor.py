"""Runs participants, performs the actions of a script on them, and judges the result."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.children import Children
from tests.chaos.place import Place
from tests.chaos.player import Player
from tests.chaos.recovery import RECOVERS_WITHIN, Recovery
from tests.chaos.script import STAGE, Action, Slot
from tests.chaos.verdict import Resources, Verdict
from tests.chaos.watchdog import hanging

_TICK: Final = 0.02
_SETTLE: Final = 3.0
_REST: Final = 1.0
# Only failures reach these limits.
_READY_TIMEOUT: Final = 120.0
_CLOSE_TIMEOUT: Final = 70.0
_NOTICE_TIMEOUT: Final = 60.0
_CLEANUP_TIMEOUT: Final = 60.0
# Share of the faults of a supervisor that are faults of its processes.
_CHILD_SHARE: Final = 0.6


class Conductor:
    """One run.

    Args:
        place: The domain.
        seed: Seed of the participants' roles.
        folder: Folder of their logs.
        stage: The slots of participants.
        patience: Factor of the limits after which a participant counts as hanging: 1 for a machine that does nothing
            else.
        say: Called with lines for people.
    """

    def __init__(
        self,
        place: Place,
        seed: int,
        folder: Path,
        stage: Sequence[Slot] = STAGE,
        patience: float = 1.0,
        say: Callable[[str], None] = print,
    ) -> None:
        self._place = place
        self._rng = random.Random(seed)
        self._folder = folder
        self._stage = stage
        self._patience = patience
        self._say = say
        self._environment = place.environment(folder / "registry.bin")
        self._players: dict[int, Player] = {}
        self._killed: list[tuple[float, Player]] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._last_tick = time.monotonic()
        self._next_look = 0.0
        self._children = Children()
        self._recovery = Recovery(RECOVERS_WITHIN * patience)
        self.verdict: Final = Verdict()
        self.verdict.recovered = self._recovery.times

    def run(self, actions: Sequence[Action], seconds: float) -> Verdict:
        """Run for some seconds.

        Args:
            actions: Actions to perform.
            seconds: Length of the run.
        """
        survives = [index for index, slot in enumerate(self._stage) if slot.survives]
        try:
            for index in survives:
                self._start(index)
            self._until(time.monotonic() + _SETTLE, self._all_play)
            self._until(time.monotonic() + _REST)
            before = self._resources()
            for index, slot in enumerate(self._stage):
                if not slot.survives:
                    self._start(index)
            begin = time.monotonic()
            for action in actions:
                self._at(begin + action.at, lambda action=action: self._perform(action))  # type: ignore[misc]
            self._until(begin + seconds)
            self._wait(lambda: not self._recovery.is_open, self._recovery.within + _CLOSE_TIMEOUT)
            self._end([index for index in self._players if index not in survives])
            # The survivors notice the last death within seconds.
            self._wait(lambda: not self.verdict.differences(before, self._resources()), _NOTICE_TIMEOUT)
            if differences := self.verdict.differences(before, self._resources()):
                self.verdict.faults += differences
                (self._folder / "differences.txt").write_text("\n".join(self._place.leftovers()))
            self._end(list(self._players))
            # A helper may still run, and unfinished files count as left behind only when they are old.
            self._wait(self._is_clean, _CLEANUP_TIMEOUT)
            self.verdict.leftovers = self._leftovers()
        finally:
            for player in self._players.values():
                player.process.kill()
                player.reap()
            for _, player in self._killed:
                player.reap()
            self._children.end()
        return self.verdict

    # -- time --------------------------------------------------------------------------------------------------------

    def _at(self, moment: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (moment, next(self._order), do))

    def _until(self, end: float, done: Callable[[], bool] | None = None) -> None:
        """Continue until that moment and until `done()`."""
        deadline = end + _READY_TIMEOUT
        while time.monotonic() < end or (done is not None and not done()):
            assert time.monotonic() < deadline, "the participants did not get ready"
            self._tick()

    def _wait(self, condition: Callable[[], bool], patience: float) -> None:
        """Continue until the condition holds, at most for so many seconds."""
        deadline = time.monotonic() + patience
        while not condition() and time.monotonic() < deadline:
            self._until(time.monotonic() + 0.5)

    def _is_clean(self) -> bool:
        self._place.clean_up()
        return not self._leftovers()

    def _leftovers(self) -> list[str]:
        processes = [f"process {pid} of {self._children.kind(pid)}" for pid in self._children.there]
        return self._place.leftovers() + processes

    def _tick(self) -> None:
        time.sleep(_TICK)
        now = time.monotonic()
        self.verdict.lateness.append(now - self._last_tick - _TICK)
        self._last_tick = now
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2]()
        for entry in [entry for entry in self._killed if entry[0] <= now]:
            self._killed.remove(entry)
            self._reap(entry[1])
        for player in self._players.values():
            self._listen(player)
        if now >= self._next_look:
            self._next_look = now + 0.2
            self._look(now)

    def _listen(self, player: Player) -> None:
        # Ask before reading, so that its last report is read.
        ended = not player.is_there
        player.read()
        self.verdict.hear(player)
        if ended and not player.killed and not player.ending:
            player.ending = True
            self._fault(player, f"ended by itself with {player.process.returncode}")

    def _look(self, now: float) -> None:
        everybody = list(self._players.values())
        for player in everybody:
            if player.serves and player.is_there:
                self._children.look(player.pid)
        if (late := self._recovery.look(everybody, now)) is not None:
            for player in everybody:
                if player.serves:
                    self._fault(player, late)
        for player, why in hanging(everybody, now, self._patience):
            player.dump()
            time.sleep(0.3)
            self._fault(player, f"hangs: {why}")
            player.kill()
            player.reap()
        self.verdict.domain_use.append(self._place.use())

    def _note(self, kind: str, player: Player) -> None:
        self.verdict.performed[kind] += 1
        with (self._folder / "actions.log").open("a") as log:
            log.write(f"{time.monotonic():.3f} {kind} {player.name} pid {player.pid}\n")

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
        if player.serves:
            self._recovery.begin(self._players.values(), time.monotonic())
        return player

    def _all_play(self) -> bool:
        return all(
            part.beat is not None and part.beat.phase not in ("begin", "opening")
            for player in self._players.values()
            for part in player.parts
        )

    def _perform(self, action: Action) -> None:
        player = self._players.get(action.slot)
        if player is None or not player.is_there or player.ending or player.stopped_at is not None:
            return
        if player.serves:
            if self._recovery.is_open:
                return
            self._recovery.open()
            if action.kind in ("kill", "stop") and action.child < _CHILD_SHARE and (there := self._children.there):
                self._perform_on_child(action, there[int(action.child / _CHILD_SHARE * len(there))])
                return
        self._note(action.kind, player)
        now = time.monotonic()
        if action.kind == "stop":
            player.stop()
            self._at(now + action.lasts, lambda: self._resume(player))
        elif action.kind == "quit":
            player.end()
            self._await_end(action, player, now + _CLOSE_TIMEOUT)
        else:
            self._kill(player, action.unreaped)
            self._at(now + action.late, lambda: self._replace(action, action.early_kills))

    def _resume(self, player: Player) -> None:
        if player.is_there:
            self._note("resume", player)
            player.resume()
            if player.serves:
                self._recovery.begin(self._players.values(), time.monotonic())

    def _perform_on_child(self, action: Action, pid: int) -> None:
        """Kill or stop a process of a supervisor."""
        self.verdict.performed[f"{action.kind} {self._children.kind(pid)}"] += 1
        self._children.send(pid, signal.SIGKILL if action.kind == "kill" else signal.SIGSTOP)
        self._at(time.monotonic() + (action.lasts if action.kind == "stop" else 0), lambda: self._resume_child(pid))

    def _resume_child(self, pid: int) -> None:
        self._children.send(pid, signal.SIGCONT)
        self._recovery.begin(self._players.values(), time.monotonic())

    def _kill(self, player: Player, unreaped: float) -> None:
        player.kill()
        self._killed.append((time.monotonic() + unreaped, player))

    def _replace(self, action: Action, early_kills: tuple[float, ...]) -> None:
        if self._players[action.slot].is_there:
            # Another action has started a participant there.
            return
        player = self._start(action.slot)
        if early_kills:

            def cut_short() -> None:
                if player.is_there:
                    self._note("kill in start-up", player)
                    self._kill(player, action.unreaped)
                self._replace(action, early_kills[1:])

            self._at(time.monotonic() + early_kills[0], cut_short)

    def _await_end(self, action: Action, player: Player, deadline: float) -> None:
        if player.is_there:
            if time.monotonic() > deadline:
                self._fault(player, f"does not end within {_CLOSE_TIMEOUT} s")
                player.kill()
            else:
                self._at(time.monotonic() + 0.05, lambda: self._await_end(action, player, deadline))
                return
        self._check_end(player)
        self._replace(action, ())

    def _reap(self, player: Player) -> None:
        player.reap()
        self.verdict.hear(player)

    def _check_end(self, player: Player) -> None:
        self._reap(player)
        if player.process.returncode != 0 and not player.killed:
            self._fault(player, f"was told to end and ended with {player.process.returncode}")

    def _end(self, indices: Sequence[int]) -> None:
        """Tell participants to end; perform no more actions."""
        self._agenda.clear()
        leaving = [self._players[index] for index in indices]
        for player in leaving:
            if player.is_there:
                player.resume()
                player.end()
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        while any(player.is_there for player in leaving) and time.monotonic() < deadline:
            self._tick()
        for player in leaving:
            if player.is_there:
                player.dump()
                self._fault(player, f"does not end within {_CLOSE_TIMEOUT} s")
                player.kill()
            self._check_end(player)
        for index in indices:
            del self._players[index]
        while self._killed:
            self._tick()

    def _resources(self) -> dict[str, Resources]:
        return {
            player.name: Resources(player.descriptors(), player.private_bytes())
            for player in self._players.values()
            if player.is_there
        }
