"""The conductor's end of a participant: its process, what it says, and what its process takes."""

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
    """What a role did last said of itself.

    Attributes:
        at: When, seconds of CLOCK_MONOTONIC.
        phase: What it was at.
        since: Since when.
        counters: What it has counted.
    """

    at: float
    phase: str
    since: float
    counters: dict[str, int]


class Part:
    """One role of a participant, as the conductor knows it.

    Attributes:
        spec: What it was started with.
        beat: The last one; None before the first.
        progress: Moments and counts of frames over the last seconds.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec: Final = spec
        self.beat: Beat | None = None
        self.progress: deque[tuple[float, int]] = deque(maxlen=50)

    @property
    def publishes(self) -> bool:
        """Whether it is a publisher."""
        return self.spec["kind"] in ("publisher", "sink")

    def flowing_since(self, now: float, patience: float) -> float | None:
        """Since when frames have been coming without a pause of `patience` seconds; None if they are not."""
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
        name: For people.
        parts: Its roles.
        faults: What it found broken.
        ending: Whether it was told to end.
        killed: Whether it was killed.
        is_buried: Whether its end was waited for.
    """

    def __init__(self, name: str, specs: list[dict[str, Any]], environment: Mapping[str, str], log: Path) -> None:
        self.name: Final = name
        self.parts: Final = [Part(spec) for spec in specs]
        self.log: Final = log
        self.faults: list[str] = []
        self.said: list[dict[str, Any]] = []
        self.ending = False
        self.killed = self.is_buried = False
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
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def is_there(self) -> bool:
        """Whether it runs or is stopped; one that was killed is not, even before it is waited for."""
        return not self.killed and self.process.poll() is None

    def read(self) -> None:
        """Take in what it has said since the last time."""
        assert self.process.stdout is not None
        if self.is_buried:
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

    # -- what is done to it ------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL; `reap` it some time."""
        self.killed = True
        self.process.kill()

    def reap(self) -> None:
        """Wait for its end, and hear its last words."""
        self.process.wait(10)
        self.read()
        self.is_buried = True
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def stop(self) -> None:
        """SIGSTOP."""
        self.stopped_at = time.monotonic()
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.stopped_at = None
        self.resumed = time.monotonic()
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Tell it to end by itself."""
        self.ending = True
        self.resumed = time.monotonic()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def dump(self) -> None:
        """Let it, and the kernel, write where its threads are into its log."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
        with self.log.open("a") as log:
            for task in Path(f"/proc/{self.pid}/task").glob("*"):
                try:
                    where = " ".join((task / name).read_text().strip() for name in ("comm", "wchan", "syscall"))
                except OSError:
                    continue
                log.write(f"thread {task.name}: {where}\n")

    # -- what it takes -----------------------------------------------------------------------------------------------

    def descriptors(self) -> Counter[str]:
        """What its file descriptors are, without the numbers that make each one different.

        Monitors of its own nodes are left out: once asked about, each stays open as long as it is there.
        """
        found: Counter[str] = Counter()
        for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                target = os.readlink(descriptor)
            except FileNotFoundError:
                continue
            if ".node_monitor" not in target:
                found[_DIGITS.sub("#", target)] += 1
        return found

    def private_bytes(self) -> int:
        """Its private memory, shared memory not counted."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon in /proc")

    def tail(self, size: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-size:]
