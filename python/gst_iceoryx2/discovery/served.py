"""What supervisors (`iox2-video serve`) say about their streams: one file per supervisor in the domain's folder."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from .._iox2.domain import Domain
from .._iox2.files import names as names_in

State = Literal["off", "starting", "running", "stopping", "waiting", "ended"]
"""`off`: nobody looks. `waiting`: it failed, and the next attempt is due later. `ended`: its file came to its end."""

# Attempts to read a file that its supervisor is writing.
_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class Served:
    """A stream that a supervisor serves.

    Attributes:
        name: Full name of the service.
        state: What it does at present.
        about: Where its pictures come from, in words.
        readers: Number of processes that read it.
        supervisor: Process ID of the supervisor.
        file: The supervisor's file; None if it serves renditions of all streams.
        error: Why it failed last, in a sentence; None if it did not.
        retry_at: Time of the next attempt in seconds of CLOCK_MONOTONIC; None if none is due.
    """

    name: str
    state: State
    about: str
    readers: int
    supervisor: int
    file: str | None
    error: str | None
    retry_at: float | None

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed, and another one is due or has begun."""
        return self.error is not None and self.state in ("waiting", "starting")

    def note(self) -> str:
        """Describe the state in a few words, as `list` shows it."""
        if self.state == "off":
            return f"on demand: {self.about}"
        if self.state == "starting" and self.is_failing:
            return f"failed: {self.error}; trying again"
        if self.state == "waiting":
            due = (
                "" if self.retry_at is None else f"; next attempt in {max(0.0, self.retry_at - time.monotonic()):.0f} s"
            )
            return f"failed: {self.error}{due}"
        return self.state


class ServedFile:
    """The file of this supervisor. It is locked as long as the supervisor lives, also for readers in other containers.

    Args:
        domain: Domain of the streams.
        file: The supervisor's own file; None if it serves renditions of all streams.
    """

    def __init__(self, domain: Domain, file: str | None) -> None:
        self._path = Path(domain.root, f"{_start_of(domain)}{time.time_ns()}_{os.getpid()}.json")
        self._file = file
        self._last = b""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        self._fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self.write(())
        draft.rename(self._path)

    def write(self, streams: Sequence[Served]) -> None:
        """Replace the contents if something has changed."""
        document = {"pid": os.getpid(), "file": self._file, "streams": [asdict(stream) for stream in streams]}
        text = json.dumps(document).encode()
        if text != self._last:
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))
            self._last = text

    def remove(self) -> None:
        """Remove the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(fd)


def served(domain: Domain) -> dict[str, Served]:
    """Return the streams that live supervisors serve, by full name."""
    found: dict[str, Served] = {}
    for document in _documents(domain):
        for entry in document["streams"]:
            try:
                stream = Served(**entry)
            except TypeError:
                continue
            found.setdefault(stream.name, stream)
    return found


def supervisors(domain: Domain) -> dict[int, str | None]:
    """Return the live supervisors: process ID and file; None for one that serves renditions of all streams."""
    return {document["pid"]: document["file"] for document in _documents(domain)}


def _documents(domain: Domain) -> list[Mapping[str, Any]]:
    pattern = re.compile(rf"{re.escape(_start_of(domain))}[0-9]+_[0-9]+\.json")
    found: list[Mapping[str, Any]] = []
    for name in filter(pattern.fullmatch, sorted(names_in(domain.root))):
        document = _read(Path(domain.root, name))
        if document is not None and {"pid", "file", "streams"} <= document.keys():
            found.append(document)
    return found


def _read(path: Path) -> dict[str, Any] | None:
    """Read the file of a supervisor; remove it if the supervisor was killed."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                for _ in range(_ATTEMPTS):
                    try:
                        file.seek(0)
                        document = json.loads(file.read())
                        return document if isinstance(document, dict) else None
                    except ValueError:
                        # The supervisor is writing.
                        time.sleep(0.001)
                return None
            path.unlink(missing_ok=True)
    except OSError:
        pass
    return None


def _start_of(domain: Domain) -> str:
    return f"{domain.prefix}served_"
