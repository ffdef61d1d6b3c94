"""What supervisors (`iox2-video serve`) say about their streams: one file per supervisor in the domain's folder."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args

from .._iox2.domain import Domain
from .._iox2.files import names as names_in

_log: Final = logging.getLogger("gst_iceoryx2")

State = Literal["off", "starting", "running", "stopping", "waiting", "ended"]
"""`off`: nobody looks. `waiting`: it failed, and the next attempt is due later. `ended`: its file came to its end."""

_NUMBER: Final = (int, float, NoneType)
_TEXT: Final = (str, NoneType)
_FIELDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "name": str, "state": str, "about": str, "readers": int, "supervisor": int, "file": _TEXT, "error": _TEXT,
    "retry_at": _NUMBER,
}  # fmt: skip
# Attempts to read a file that its supervisor is writing.
_ATTEMPTS: Final = 20
_BYTES_MAX: Final = 1 << 24


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
        if self.state == "waiting":
            due = (
                "" if self.retry_at is None else f"; next attempt in {max(0.0, self.retry_at - time.monotonic()):.0f} s"
            )
            return f"failed: {self.error}{due}"
        if self.state == "starting" and self.is_failing:
            return f"starting again; it failed: {self.error}"
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
        self._fd = -1
        self._create()

    @property
    def name(self) -> str:
        """Its name in the domain's folder."""
        return self._path.name

    def write(self, streams: Sequence[Served]) -> None:
        """Replace the contents if something has changed.

        If the file was removed, it is created again. Errors are logged, because streams do not depend on the file.
        """
        document = {"pid": os.getpid(), "file": self._file, "streams": [asdict(stream) for stream in streams]}
        text = json.dumps(document).encode()
        try:
            if not os.fstat(self._fd).st_nlink:
                self._create()
            if text != self._last:
                # An unfinished text is replaced the next time.
                self._last = b""
                os.pwrite(self._fd, text, 0)
                os.ftruncate(self._fd, len(text))
                self._last = text
        except OSError as exc:
            _log.debug("cannot write %s: %s", self._path, exc)

    def _create(self) -> None:
        """Create the file with no streams, locked from the first moment."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = json.dumps({"pid": os.getpid(), "file": self._file, "streams": []}).encode()
            os.write(fd, text)
            draft.rename(self._path)
        except BaseException:
            os.close(fd)
            draft.unlink(missing_ok=True)
            raise
        before, self._fd, self._last = self._fd, fd, text
        if before >= 0:
            os.close(before)

    def remove(self) -> None:
        """Remove the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(fd)


def served(domain: Domain, own: ServedFile | None = None) -> dict[str, Served]:
    """Return the streams that live supervisors serve, by full name.

    Args:
        domain: Domain of the streams.
        own: File of a supervisor to leave out.
    """
    found: dict[str, Served] = {}
    for document in _documents(domain, own):
        for entry in document["streams"]:
            if isinstance(entry, dict) and _is_valid(entry):
                found.setdefault(entry["name"], Served(**entry))
    return found


def supervisors(domain: Domain) -> dict[int, str | None]:
    """Return the live supervisors: process ID and file; None for one that serves renditions of all streams."""
    return {document["pid"]: document["file"] for document in _documents(domain)}


def _documents(domain: Domain, own: ServedFile | None = None) -> list[Mapping[str, Any]]:
    pattern = re.compile(rf"{re.escape(_start_of(domain))}[0-9]+_[0-9]+\.json")
    found: list[Mapping[str, Any]] = []
    for name in filter(pattern.fullmatch, sorted(names_in(domain.root))):
        document = None if own is not None and name == own.name else _read(Path(domain.root, name))
        if (
            document is not None
            and type(document.get("pid")) is int
            and isinstance(document.get("file", 0), _TEXT)
            and isinstance(document.get("streams"), list)
        ):
            found.append(document)
    return found


def _is_valid(entry: Mapping[str, Any]) -> bool:
    """Return whether the entry of a file has the fields of `Served`. Another release may have written it."""
    return (
        entry.keys() == _FIELDS.keys()
        and all(isinstance(entry[name], kinds) for name, kinds in _FIELDS.items())
        and entry["state"] in get_args(State)
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Read the file of a supervisor; remove it if the supervisor was killed."""
    try:
        # Another process may have put a link or a FIFO there.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                for _ in range(_ATTEMPTS):
                    try:
                        file.seek(0)
                        document = json.loads(file.read(_BYTES_MAX))
                        return document if isinstance(document, dict) else None
                    except RecursionError:
                        return None
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
