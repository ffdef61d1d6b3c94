"""Starts each stream when somebody looks at it, in the shape that they want, and stops it after the last reader."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from .._iox2.domain import current_domain
from .._iox2.ring_files import remove_dead_rings
from .._wire.rendition import RenditionName, codec_of
from ..discovery.changes import FolderChanges
from ..discovery.demand import Demand, DemandFinder, Member
from ..discovery.names import full_name, short_name
from ..discovery.served import Served, ServedFile, served, supervisors
from ..errors import FormatError, Iox2VideoError
from ..work import Work
from .config import Config, ConfigError, load
from .job import Job
from .jobs import StreamEntry, StreamJobs, processes_of, refusal
from .notify import Notifier

__all__ = ["ServeError", "ServeStatus", "StreamStatus", "Supervisor"]

_log: Final = logging.getLogger("gst_iceoryx2")

# Time between two looks for processes that were killed, in seconds, while streams run and while none does.
_LOOK: Final = 0.5
_IDLE_LOOK: Final = 10.0
# Pauses after a change before further looks, in seconds: a participant creates several files.
_AGAIN: Final = (0.05, 0.5)
# Time between two looks whether processes have ended, in seconds.
_END_LOOK: Final = 0.02
# Time that all processes get to end, in seconds.
_ENDS_WITHIN: Final = 1.7
_NOBODY: Final = Demand()


class ServeError(Iox2VideoError):
    """Streams cannot be served."""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """The state of one stream.

    Attributes:
        served: Its name, state, readers and last error.
        fps: Frames per second that it publishes; None if it does not run.
        ms: Processor time of a conversion in milliseconds; None if it is not a rendition, or does not run.
    """

    served: Served
    fps: float | None
    ms: float | None


@dataclass(frozen=True, slots=True)
class ServeStatus:
    """The state of all streams.

    Attributes:
        streams: The declared streams in the order of the file, each followed by its renditions.
        log: New lines that were printed by the processes of streams, with the stream's name.
    """

    streams: tuple[StreamStatus, ...]
    log: tuple[str, ...] = ()


class Supervisor(Work[ServeStatus]):
    """Serves streams on demand: each starts with its first reader, and stops after its last one.

    Each declared stream runs in a process of its own, and so do the renditions of each stream, and each encoded stream.
    A process that fails is started again, after 0.5 to 10 seconds. Readers only see a pause.

    Args:
        config: The streams, from `load`; without a path, it serves renditions of all streams of this domain.

    Raises:
        DomainError: The domain of this process cannot be used.
        ServeError: Another supervisor already serves renditions of all streams.

    Example:
        Serve the streams of a file until Ctrl-C:

            from gst_iceoryx2.serve import Supervisor, load

            Supervisor(load("streams.toml")).run()
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self._domain = current_domain()
        self._finder = DemandFinder(self._domain)
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._looked_at = -math.inf
        self._look_again: list[float] = []
        self._reloads = False
        self._triggered_at: int | None = None
        self._state: ServedFile | None = None
        self._sources: dict[str, StreamJobs] = {}
        self._refused: dict[str, str] = {}
        self._log: list[str] = []
        try:
            self._declare(config)
        except BaseException:
            self._close()
            raise

    def stop(self) -> None:
        """Stop all streams without ending them, so that readers wait for the next start. `run` returns within 2 s."""
        super().stop()
        self._wake()

    def reload(self) -> None:
        """Read the file again, from any thread or signal handler. Streams whose table has not changed go on."""
        self._reloads = True
        self._wake()

    def clip(self) -> None:
        """Write a clip of each stream that is kept, from any thread or signal handler."""
        self._triggered_at = time.monotonic_ns()
        self._wake()

    def _wake(self) -> None:
        # A full pipe wakes, too.
        with contextlib.suppress(BlockingIOError):
            if self._wake_in >= 0:
                os.write(self._wake_in, b"\0")

    def _close(self) -> None:
        ends = self._wake_in, self._wake_out
        # `stop` may be called later, when other files have these numbers.
        self._wake_in = self._wake_out = -1
        for end in filter(lambda end: end >= 0, ends):
            os.close(end)

    def run(self, progress: Callable[[ServeStatus], None] | None = None) -> ServeStatus:
        """Serve until `stop` is called.

        Args:
            progress: Called with the state after each change, and once per second while streams run.

        Returns:
            The state at the end.

        Raises:
            ServeError: The folder of the domain cannot be written.
        """
        notifier = Notifier()
        try:
            remove_dead_rings(self._domain)
            file = self._state = ServedFile(self._domain, self._file)
        except OSError as exc:
            self._close()
            raise ServeError(
                f"cannot write to the iceoryx2 domain {self._domain.root}: {exc.strerror or exc}; "
                "IOX2_VIDEO_DOMAIN selects another domain"
            ) from exc
        changes: FolderChanges | None = None
        shown: object = None
        try:
            changes = FolderChanges([self._domain.root, self._domain.services])
            self._look()
            notifier.ready(_summary(self._entries()))
            while not self._stop.is_set():
                status = self.report()
                entries = [stream.served for stream in status.streams]
                file.write(entries)
                if status != shown or status.log:
                    notifier.status(_summary(entries))
                    if progress is not None:
                        progress(status)
                    shown = ServeStatus(status.streams)
                self._log.clear()
                notifier.watchdog()
                self._sleep(changes, notifier.watchdog_interval)
                if self._reloads:
                    self._reloads = False
                    notifier.reloading()
                    self._reload()
                    notifier.ready(_summary(entries))
                self._look()
                self._trigger()
        finally:
            notifier.stopping()
            self._end((name, job) for name, source in self._sources.items() for job in source.jobs)
            # A clip may have ended meanwhile.
            if progress is not None and self._log:
                progress(self.report())
            file.remove()
            if changes is not None:
                changes.close()
            self._close()
        return self.report()

    def report(self) -> ServeStatus:
        """Return the state of all streams."""
        found = [StreamEntry(name, "waiting", "", error=error) for name, error in self._refused.items()]
        for source in self._sources.values():
            found += source.entries()
        file = self._file
        return ServeStatus(
            tuple(
                StreamStatus(
                    Served(one.name, one.state, one.about, one.readers, os.getpid(), file, one.error, one.retry_at),
                    one.fps,
                    one.ms,
                )
                for one in found
            ),
            tuple(self._log),
        )

    # -- the streams -------------------------------------------------------------------------------------------------

    @property
    def _file(self) -> str | None:
        return None if self._config.path is None else str(self._config.path)

    def _entries(self) -> list[Served]:
        return [stream.served for stream in self.report().streams]

    def _declare(self, config: Config) -> None:
        """Take over the streams of a configuration; those whose table has not changed go on."""
        if config.path is None:
            rivals = [pid for pid, file in supervisors(self._domain).items() if file is None]
            if rivals:
                where = self._domain.root
                raise ServeError(
                    f"process {rivals[0]} already serves renditions of all streams in {where}; stop it first"
                )
            return
        self._refused = self._rivals(config)
        kept: dict[str, StreamJobs] = {}
        ending: list[tuple[str, Job]] = []
        for stream in config.streams:
            name = stream.service
            before = self._sources.pop(name, None)
            if name in self._refused:
                ending += () if before is None else [(name, job) for job in before.jobs]
            elif before is not None and before.is_made_like(stream):
                kept[name] = before
                before.config = stream
            else:
                source = kept[name] = StreamJobs(name, stream)
                if before is not None:
                    # Its renditions go on, and wait for the new source.
                    source.converter = before.converter
                    source.take_ring(before)
                    ending += [(name, job) for job in (before.job, *before.encoders.values())]
        ending += [(name, job) for name, source in self._sources.items() for job in source.jobs]
        self._end(ending)
        self._sources = kept
        self._config = config

    def _rivals(self, config: Config) -> dict[str, str]:
        """Return the streams of a configuration that another supervisor serves, and sentences about them."""
        others = served(self._domain, self._state)
        return {
            name: f"process {others[name].supervisor} already serves it; stop that process, or remove it from one file"
            for name in (stream.service for stream in config.streams)
            if name in others
        }

    def _reload(self) -> None:
        if self._config.path is None:
            return
        try:
            config = load(self._config.path)
        except ConfigError as exc:
            self._log.append(f"{exc}; everything goes on as before")
            return
        self._log += [problem.text for problem in config.problems]
        self._declare(config)

    def _trigger(self) -> None:
        """Let the rings write clips, if that was asked for."""
        at, self._triggered_at = self._triggered_at, None
        if at is None:
            return
        for source in self._sources.values():
            problem = source.trigger(at, time.monotonic())
            if problem is not None:
                self._log.append(f"{short_name(source.name)}: {problem}")
        if not any(source.is_keeping for source in self._sources.values()):
            self._log.append('no clip: no stream has "keep"')

    def _look(self) -> None:
        """Find out what is read, and start and stop processes."""
        # Before the reports: a reader in this list that is new at the end of a stream has come after that report.
        demand = self._finder.find()
        now = time.monotonic()
        for source in self._sources.values():
            for job in source.jobs:
                self._tend(source.name, job)
        if self._refused and self._rivals(self._config) != self._refused:
            self._declare(self._config)
        self._looked_at = now
        pids: set[int] = set().union(*(source.pids for source in self._sources.values()))

        def is_published(name: str) -> bool:
            """Return whether somebody else publishes a stream."""
            return any(not one.is_here or one.pid not in pids for one in demand.get(name, _NOBODY).publishers)

        renditions: dict[str, dict[str, frozenset[Member]]] = {}
        impossible: dict[str, dict[str, tuple[int, str]]] = {}
        for name, one in demand.items():
            parent, error = _parent_of(name)
            if parent is None or not one.readers or is_published(name):
                continue
            if _parent_of(parent)[0] is not None and not is_published(parent):
                parent, error = _refuse_nested(short_name(name), parent)
            if error is None:
                jobs = self._sources.get(parent)
                error = refusal(short_name(name)) if jobs is None else jobs.refusal(short_name(name))
            wanted = renditions.setdefault(parent, {})
            if error is None:
                wanted[short_name(name)] = one.readers
            else:
                impossible.setdefault(parent, {})[short_name(name)] = processes_of(one.readers), error
        if self._config.path is None:
            self._adopt(renditions)
        for name, source in self._sources.items():
            source.impossible = impossible.get(name, {})
            source.decide(demand, renditions.get(name, {}), now)

    def _adopt(self, renditions: dict[str, dict[str, frozenset[Member]]]) -> None:
        """Serve the renditions of streams that no supervisor declares, and remove the others."""
        declared = served(self._domain, self._state) if renditions else {}
        for name in [name for name in renditions if name in declared]:
            del renditions[name]
            if name in self._sources:
                self._end((name, job) for job in self._sources.pop(name).jobs)
        for name in renditions.keys() - self._sources.keys():
            self._sources[name] = StreamJobs(name, None)
        for name in [name for name, source in self._sources.items() if name not in renditions and not source.is_used]:
            del self._sources[name]

    # -- waiting -----------------------------------------------------------------------------------------------------

    def _sleep(self, changes: FolderChanges, watchdog: float | None) -> None:
        """Sleep until something may have changed."""
        now = time.monotonic()
        is_used = any(source.is_used for source in self._sources.values())
        times = [now + (_LOOK if is_used or changes.is_blind else _IDLE_LOOK)]
        deadlines = [moment for source in self._sources.values() for moment in source.deadlines]
        # The look has done what was due.
        times += [moment for moment in (*deadlines, *self._look_again) if moment > self._looked_at]
        if watchdog is not None:
            times.append(now + watchdog)
        poll = select.poll()
        pipes = [pipe.fileno() for source in self._sources.values() for job in source.jobs for pipe in job.pipes]
        for fd in (self._wake_out, changes.fd, *pipes):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, min(times) - now) * 1000)}
        if changes.fd in ready:
            changes.clear()
            self._look_again = [time.monotonic() + pause for pause in _AGAIN]
        elif changes.is_blind:
            changes.watch()
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_out, 1 << 10)

    def _tend(self, name: str, job: Job) -> None:
        """Read what the process of a stream has printed, and note its end."""
        self._log += [f"{short_name(name)}: {line}" for line in job.tend(time.monotonic())]

    def _end(self, ending: Iterable[tuple[str, Job]]) -> None:
        """Let processes of several streams end in order."""
        deadline = time.monotonic() + _ENDS_WITHIN
        ending = list(ending)
        for _, job in ending:
            job.release(time.monotonic())
        while any(job.is_alive for _, job in ending) and time.monotonic() < deadline:
            time.sleep(_END_LOOK)
            for name, job in ending:
                self._tend(name, job)
        for _, job in ending:
            job.kill()


@lru_cache(maxsize=1 << 10)
def _parent_of(name: str) -> tuple[str | None, str | None]:
    """Return the full name of the stream that a rendition or an encoded stream is made of, and why it cannot be.

    Both are None for other streams.
    """
    short = short_name(name)
    codec = codec_of(short)
    if codec is not None:
        # An encoded rendition belongs to the stream, too. Its encoder is a reader of the rendition.
        short = short.removesuffix(f"@{codec}")
    try:
        parsed = RenditionName.parse(short)
    except FormatError as exc:
        return full_name(short[: short.find("@", 1)]), str(exc)
    if parsed is not None:
        return full_name(parsed.source), None
    return (None if codec is None else full_name(short)), None


def _refuse_nested(name: str, parent: str) -> tuple[str, str]:
    """Return the stream that a rendition of a rendition is made of, and why this rendition cannot be."""
    root = parent
    while (above := _parent_of(root)[0]) is not None:
        root = above
    shown = short_name(root)
    return root, f'cannot make "{name}": {short_name(parent)} is a rendition itself; ask for one shape of {shown}'


def _summary(streams: list[Served]) -> str:
    """Return one line for systemd's status."""
    running = sum(stream.state == "running" for stream in streams)
    failed = [short_name(stream.name) for stream in streams if stream.is_failing]
    text = f"{running} of {len(streams)} streams run"
    return f"{text}; failed: {', '.join(failed)}" if failed else text
