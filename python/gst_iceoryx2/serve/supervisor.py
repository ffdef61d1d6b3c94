"""Starts each stream when somebody looks at it, in the shape that they want, and stops it after the last reader."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from .._iox2.domain import current_domain
from .._wire.rendition import RenditionName, codec_of
from ..discovery.changes import FolderChanges
from ..discovery.demand import Demand, DemandFinder, Member
from ..discovery.names import full_name, short_name
from ..discovery.served import Served, ServedFile, State, served, supervisors
from ..errors import FormatError, Iox2VideoError
from ..work import Work
from .config import Config, ConfigError, StreamConfig, load
from .job import Job
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
_DEFAULT_STOP_AFTER: Final = 5.0
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


class _Entry(NamedTuple):
    """The state of one stream; see `Served` and `StreamStatus`."""

    name: str
    state: State
    about: str
    readers: int = 0
    error: str | None = None
    retry_at: float | None = None
    fps: float | None = None
    ms: float | None = None


class _Source:
    """A stream and its renditions.

    Attributes:
        name: Full name of the stream.
        config: How it is made; None if somebody else publishes it.
    """

    def __init__(self, name: str, config: StreamConfig | None) -> None:
        self.name = name
        self.config = config
        self.job = Job("source")
        self.converter = Job("renditions")
        # By short name of the encoded stream.
        self.encoders: dict[str, Job] = {}
        self.readers = 0
        # Number of readers of each rendition and encoded stream that is wanted, by short name.
        self.renditions: dict[str, int] = {}
        # Number of readers of each rendition that cannot be, and the reason, by short name.
        self.impossible: dict[str, tuple[int, str]] = {}
        self.other: int | None = None
        # Readers that receive the end of the stream, if it ends.
        self._finished: frozenset[Member] = frozenset()
        self._wanted_until = -math.inf
        self._renditions_until: dict[str, float] = {}

    @property
    def stop_after(self) -> float:
        return _DEFAULT_STOP_AFTER if self.config is None else self.config.stop_after

    @property
    def jobs(self) -> tuple[Job, ...]:
        return self.job, self.converter, *self.encoders.values()

    @property
    def pids(self) -> set[int]:
        return set().union(*(job.pids for job in self.jobs))

    def _others(self, members: Iterable[Member]) -> frozenset[Member]:
        """Return the members that are not processes of this stream."""
        return frozenset(one for one in members if not (one.is_here and one.pid in self.pids))

    def is_made_like(self, stream: StreamConfig) -> bool:
        """Return whether a stream is made in the same way, so that its process can go on."""
        config = self.config
        return config is not None and replace(config, stop_after=stream.stop_after, always=stream.always) == stream

    def decide(self, demand: dict[str, Demand], renditions: dict[str, frozenset[Member]], now: float) -> None:
        """Start and stop the processes for what is read at present.

        Args:
            demand: Readers and publishers of all streams.
            renditions: Readers of each of its renditions, by short name.
            now: The time.
        """
        own = demand.get(self.name, _NOBODY)
        readers = self._others(own.readers)
        self.readers = _processes(readers)
        for name in renditions:
            self._renditions_until[name] = math.inf
        for name, until in list(self._renditions_until.items()):
            if name not in renditions and until == math.inf:
                self._renditions_until[name] = now + self.stop_after
            elif until <= now:
                del self._renditions_until[name]
        self.renditions = {name: _processes(renditions.get(name, ())) for name in self._renditions_until}
        if self.readers or renditions or (self.config is not None and self.config.always):
            self._wanted_until = math.inf
        elif self._wanted_until == math.inf:
            self._wanted_until = now + self.stop_after
        others = self._others(own.publishers)
        self.other = min(one.pid for one in others) if others and not self.job.is_alive else None
        self._start_again(readers.union(*renditions.values()), now, is_published=len(others) < len(own.publishers))
        self._decide_source(now)
        self._decide_renditions(own, now)

    def _start_again(self, readers: frozenset[Member], now: float, *, is_published: bool) -> None:
        """Let a stream that has ended start again if somebody has begun to read it since."""
        job = self.job
        if job.state == "ended":
            if readers - self._finished:
                job.release(now)
        elif job.report.get("state") not in ("ending", "ended") and (is_published or job.state == "starting"):
            self._finished = readers

    def _decide_source(self, now: float) -> None:
        if self.config is None:
            return
        if self._wanted_until <= now:
            self.job.release(now)
        elif self.other is None:
            self.job.want(self.config.to_json(), now)

    def _decide_renditions(self, own: Demand, now: float) -> None:
        # Without a publisher, a stream of somebody else has nothing to convert.
        has_source = self.config is not None or bool(own.publishers) or self.converter.is_alive
        names = sorted(name for name in self.renditions if codec_of(name) is None)
        if not names:
            self.converter.release(now)
        elif has_source:
            self.converter.want(json.dumps({"source": self.name, "names": names}), now)
        settings = {} if self.config is None else dict(self.config.h264)
        for name in self.renditions.keys() - names:
            encoder = self.encoders.setdefault(name, Job("packets"))
            if has_source or encoder.is_alive:
                encoder.want(json.dumps({"name": name, "settings": settings}), now)
        for name in self.encoders.keys() - self.renditions.keys():
            self.encoders[name].release(now)

    def entries(self) -> list[_Entry]:
        """Return the state of the stream, if it is declared, and of its renditions."""
        own = [] if self.config is None else [self._own_entry(self.config)]
        about = f"from {short_name(self.name)}"
        impossible = [
            _Entry(full_name(name), "waiting", about, readers, error)
            for name, (readers, error) in self.impossible.items()
        ]
        return [*own, *impossible, *(self._rendition_entry(name, about) for name in self.renditions)]

    def _own_entry(self, config: StreamConfig) -> _Entry:
        job = self.job
        about = str(job.report.get("about") or config.source)
        if self.other is not None and not job.is_alive:
            return _Entry(self.name, "waiting", about, self.readers, f"process {self.other} already publishes it")
        fps = job.report.get("fps") if job.state == "running" else None
        return _Entry(self.name, job.state, about, self.readers, job.error, job.retry_at, fps)

    def _rendition_entry(self, name: str, about: str) -> _Entry:
        job, readers, full = self.encoders.get(name, self.converter), self.renditions[name], full_name(name)
        if self.config is None and job.state == "off":
            return _Entry(full, "waiting", about, readers, f"nobody publishes {short_name(self.name)}")
        told = job.report if job.is_alive else {}
        own = told if name in self.encoders else told.get("renditions", {}).get(name, {})
        if own.get("error"):
            return _Entry(full, "waiting", about, readers, own["error"])
        source = self.job
        if self.config is not None and self.other is None and source.state in ("starting", "waiting"):
            return _Entry(full, source.state, about, readers, source.error, source.retry_at)
        fps, ms = (own.get("fps"), job.report.get("ms")) if job.state == "running" else (None, None)
        return _Entry(full, job.state, about, readers, job.error, job.retry_at, fps, ms)

    @property
    def deadlines(self) -> list[float]:
        """Times at which something is due; some may be over."""
        times = [self._wanted_until, *self._renditions_until.values()]
        times += [moment for job in self.jobs if (moment := job.next_moment) is not None]
        return [moment for moment in times if math.isfinite(moment)]

    @property
    def is_used(self) -> bool:
        """Whether a process runs, or somebody wants one."""
        return any(job.is_alive for job in self.jobs) or bool(self.readers or self.renditions)


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
        self._state: ServedFile | None = None
        self._sources: dict[str, _Source] = {}
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
            file = self._state = ServedFile(self._domain, self._file)
        except OSError as exc:
            self._close()
            raise ServeError(
                f"cannot write to the iceoryx2 domain {self._domain.root}: {exc.strerror or exc}; "
                "IOX2_VIDEO_DOMAIN selects another domain"
            ) from exc
        changes = FolderChanges([self._domain.root, self._domain.services])
        shown: object = None
        try:
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
        finally:
            notifier.stopping()
            self._end(job for source in self._sources.values() for job in source.jobs)
            file.remove()
            changes.close()
            self._close()
        return self.report()

    def report(self) -> ServeStatus:
        """Return the state of all streams."""
        found = [_Entry(name, "waiting", "", error=error) for name, error in self._refused.items()]
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
        kept: dict[str, _Source] = {}
        ending: list[Job] = []
        for stream in config.streams:
            name = stream.service
            before = self._sources.pop(name, None)
            if name in self._refused:
                ending += () if before is None else before.jobs
            elif before is not None and before.is_made_like(stream):
                kept[name] = before
                before.config = stream
            else:
                source = kept[name] = _Source(name, stream)
                if before is not None:
                    # Its renditions go on, and wait for the new source.
                    source.converter = before.converter
                    ending += before.job, *before.encoders.values()
        for source in self._sources.values():
            ending += source.jobs
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

    def _look(self) -> None:
        """Find out what is read, and start and stop processes."""
        # Before the reports: a reader in this list that is new at the end of a stream has come after that report.
        demand = self._finder.find()
        now = time.monotonic()
        for source in self._sources.values():
            for job in source.jobs:
                self._log += [f"{short_name(source.name)}: {line}" for line in job.tend(now)]
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
            wanted = renditions.setdefault(parent, {})
            if error is None:
                wanted[short_name(name)] = one.readers
            else:
                impossible.setdefault(parent, {})[short_name(name)] = _processes(one.readers), error
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
                self._end(self._sources.pop(name).jobs)
        for name in renditions.keys() - self._sources.keys():
            self._sources[name] = _Source(name, None)
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

    def _end(self, jobs: Iterable[Job]) -> None:
        """Let processes end in order."""
        deadline = time.monotonic() + _ENDS_WITHIN
        jobs = list(jobs)
        for job in jobs:
            job.release(time.monotonic())
        while any(job.is_alive for job in jobs) and time.monotonic() < deadline:
            time.sleep(_END_LOOK)
            for job in jobs:
                job.tend(time.monotonic())
        for job in jobs:
            job.kill()


@lru_cache(maxsize=1 << 10)
def _parent_of(name: str) -> tuple[str | None, str | None]:
    """Return the full name of the stream that a rendition or an encoded stream is made of, and why it cannot be.

    Both are None for other streams.
    """
    short, error = short_name(name), None
    codec = codec_of(short)
    if codec is not None:
        # An encoded rendition belongs to the stream, too. Its encoder is a reader of the rendition.
        short = short.removesuffix(f"@{codec}")
        if codec != "h264":
            error = f"{codec} cannot be encoded on demand; read {short}@h264"
    try:
        parsed = RenditionName.parse(short)
    except FormatError as exc:
        return full_name(short[: short.find("@", 1)]), str(exc)
    if parsed is not None:
        return full_name(parsed.source), error
    return (None, None) if codec is None else (full_name(short), error)


def _refuse_nested(name: str, parent: str) -> tuple[str, str]:
    """Return the stream that a rendition of a rendition is made of, and why this rendition cannot be."""
    root = parent
    while (above := _parent_of(root)[0]) is not None:
        root = above
    shown = short_name(root)
    return root, f'cannot make "{name}": {short_name(parent)} is a rendition itself; ask for one shape of {shown}'


def _processes(members: Iterable[Member]) -> int:
    """Return the number of processes."""
    return len({(one.pid, one.is_here) for one in members})


def _summary(streams: list[Served]) -> str:
    """Return one line for systemd's status."""
    running = sum(stream.state == "running" for stream in streams)
    failed = [short_name(stream.name) for stream in streams if stream.is_failing]
    text = f"{running} of {len(streams)} streams run"
    return f"{text}; failed: {', '.join(failed)}" if failed else text
