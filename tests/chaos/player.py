"""The conductor's side of a participant: its process, its reports, and its resources."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]

_DIGITS: Final = re.compile(r"\d+")


class Beat(NamedTuple):
    """The last report of a role.

    Attributes:
        at: Time of the report, seconds of CLOCK_MONOTONIC.
        phase: What the role was doing.
        since: Start of the phase, seconds of CLOCK_MONOTONIC.
        counters: Counters of the role.
    """

    at: float
    phase: str
    since: float
    counters: dict[str, int]


class Part:
    """One role of a participant, as the conductor knows it.

    Attributes:
        spec: Its specification.
        beat: Its last report; None before the first.
        progress: Times and frame counts of the last seconds.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec: Final = spec
        self.beat: Beat | None = None
        self.progress: deque[tuple[float, int]] = deque(maxlen=50)

    @property
    def publishes(self) -> bool:
        """Return whether it is a publisher."""
        return self.spec["kind"] in ("publisher", "sink")

    def flowing_since(self, now: float, patience: float) -> float | None:
        """Return the time since which frames come without a pause of `patience` seconds; None if they do not come."""
        since, later_at, later = None, now, None
        for at, frames in reversed(self.progress):
            if later is not None and frames == later:
                continue
            if later_at - at > patience:
                break
            since, later_at, later = at, at, frames
        return since


class Player:
    """A participant.

    Attributes:
        name: Name for people.
        parts: Its roles.
        faults: Guarantees that it found broken.
        ending: Whether it was told to end.
        killed: Whether it was killed.
        is_reaped: Whether its end was waited for.
    """

    def __init__(self, name: str, specs: list[dict[str, Any]], environment: Mapping[str, str], log: Path) -> None:
        self.name: Final = name
        self.parts: Final = [Part(spec) for spec in specs]
        self.log: Final = log
        self.faults: list[str] = []
        self.said: list[dict[str, Any]] = []
        self.ending = False
        self.killed = self.is_reaped = False
        self.started = self.last_line = self.resumed = time.monotonic()
        self.stopped_at: float | None = None
        self._rest = b""
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.participant", json.dumps(specs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(environment),
                cwd=ROOT,
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def serves(self) -> bool:
        """Return whether it is a supervisor of streams on demand."""
        return any(part.spec["kind"] == "server" for part in self.parts)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    @property
    def is_there(self) -> bool:
        """Return whether it runs or is stopped; a killed process does not count, even before it is reaped."""
        return not self.killed and self.process.poll() is None

    def read(self) -> None:
        """Read its new reports."""
        assert self.process.stdout is not None
        if self.is_reaped:
            return
        while data := self.process.stdout.read(1 << 16):
            self.last_line = time.monotonic()
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))

    def _hear(self, line: dict[str, Any]) -> None:
        part = self.parts[line["role"]]
        if "phase" in line:
            part.beat = Beat(line["at"], line["phase"], line["since"], line["counters"])
            part.progress.append((line["at"], line["counters"]["frames"]))
        if "fault" in line:
            self.faults.append(line["fault"])
        self.said.append(line | {"service": part.spec["service"]})

    # -- actions ----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """Send SIGKILL; call `reap` later."""
        self.killed = True
        self.process.kill()

    def reap(self) -> None:
        """Wait for its end and read its last reports."""
        self.process.wait(60)
        self.read()
        self.is_reaped = True
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def stop(self) -> None:
        """Send SIGSTOP."""
        self.stopped_at = time.monotonic()
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT."""
        self.stopped_at = None
        self.resumed = time.monotonic()
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Tell it to end."""
        self.ending = True
        self.resumed = time.monotonic()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def dump(self) -> None:
        """Write the stacks of its threads to its log."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
        with self.log.open("a") as log:
            for task in Path(f"/proc/{self.pid}/task").glob("*"):
                try:
                    where = " ".join((task / name).read_text().strip() for name in ("comm", "wchan", "syscall"))
                except OSError:
                    continue
                log.write(f"thread {task.name}: {where}\n")

    # -- resources ---------------------------------------------------------------------------------------------------

    def descriptors(self) -> Counter[str]:
        """Return its file descriptors by kind."""
        return descriptors(self.pid)

    def private_bytes(self) -> int:
        """Return its private memory in bytes, without shared memory."""
        return private_bytes(self.pid)

    def tail(self, size: int = 3000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-size:]


def descriptors(pid: int) -> Counter[str]:
    """Return the file descriptors of a process by kind, without the numbers in their names.

    Monitors of its own nodes are left out: once asked about, each stays open while it exists.
    """
    found: Counter[str] = Counter()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        if ".node_monitor" not in target:
            found[_DIGITS.sub("#", target)] += 1
    return found


def private_bytes(pid: int) -> int:
    """Return the private memory of a process in bytes, without shared memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon in /proc")
