"""Decides which processes of a stream run: for its source, its renditions, and its encoded streams."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from .._wire.rendition import codec_of
from ..discovery.demand import Demand, Member
from ..discovery.names import full_name, short_name
from ..discovery.served import State
from .job import Job
from .stream import StreamConfig

_DEFAULT_STOP_AFTER: Final = 5.0
_NOBODY: Final = Demand()


class StreamEntry(NamedTuple):
    """The state of one stream; see `Served` and `StreamStatus`."""

    name: str
    state: State
    about: str
    readers: int = 0
    error: str | None = None
    retry_at: float | None = None
    fps: float | None = None
    ms: float | None = None


class StreamJobs:
    """The processes of a stream, of its renditions, of its encoded streams, and of its ring.

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
        self.ring = Job("ring")
        # Short name of the encoded stream that it keeps.
        self._ring_name = ""
        # Time of the last trigger of a clip, in nanoseconds of CLOCK_MONOTONIC.
        self._triggered_at = 0
        self.readers = 0
        # Number of readers of each rendition and encoded stream that is wanted, by short name.
        self.renditions: dict[str, int] = {}
        # Number of readers of each rendition that cannot be, and the reason, by short name.
        self.impossible: dict[str, tuple[int, str]] = {}
        self.other: int | None = None
        # The newest answer of the source.
        self._codec: str | None = ""
        # Readers that receive the end of the stream, if it ends.
        self._finished: frozenset[Member] = frozenset()
        self._wanted_until = self._frames_wanted_until = -math.inf
        self._renditions_until: dict[str, float] = {}

    @property
    def stop_after(self) -> float:
        """Seconds from the end of the last reader to the stop."""
        return _DEFAULT_STOP_AFTER if self.config is None else self.config.stop_after

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All of them."""
        return self.job, self.converter, self.ring, *self.encoders.values()

    @property
    def pids(self) -> set[int]:
        """Their process IDs."""
        return set().union(*(job.pids for job in self.jobs))

    def _others(self, members: Iterable[Member]) -> frozenset[Member]:
        """Return the members that are not processes of this stream."""
        return frozenset(one for one in members if not (one.is_here and one.pid in self.pids))

    def is_made_like(self, stream: StreamConfig) -> bool:
        """Return whether a stream is made in the same way, so that its process can go on."""
        config = self.config
        if config is None:
            return False
        same = {name: getattr(stream, name) for name in ("stop_after", "always", "keep", "keep_bytes", "clip")}
        return replace(config, **same) == stream

    def decide(self, demand: dict[str, Demand], renditions: dict[str, frozenset[Member]], now: float) -> None:
        """Start and stop the processes for what is read at present.

        Args:
            demand: Readers and publishers of all streams.
            renditions: Readers of each of its renditions, by short name.
            now: The time.
        """
        own = demand.get(self.name, _NOBODY)
        readers = self._others(own.readers)
        self.readers = processes_of(readers)
        for name in renditions:
            self._renditions_until[name] = math.inf
        for name, until in list(self._renditions_until.items()):
            if name not in renditions and until == math.inf:
                self._renditions_until[name] = now + self.stop_after
            elif until <= now:
                del self._renditions_until[name]
        self.renditions = {name: processes_of(renditions.get(name, ())) for name in self._renditions_until}
        self._codec = self.job.report.get("codec", self._codec)
        is_wanted = bool(self.readers or renditions or (self.config is not None and self.config.always))
        self._wanted_until = self._until(self._wanted_until, now, is_wanted=is_wanted)
        self._frames_wanted_until = self._until(self._frames_wanted_until, now, is_wanted=bool(self.readers))
        others = self._others(own.publishers)
        self.other = min(one.pid for one in others) if others and not self.job.is_alive else None
        self._start_again(readers.union(*renditions.values()), now, is_published=len(others) < len(own.publishers))
        self._decide_source(now)
        self._decide_renditions(own, now)
        self._decide_ring(now)

    def _until(self, before: float, now: float, *, is_wanted: bool) -> float:
        """Return the time until which something is kept that is wanted, or was."""
        return math.inf if is_wanted else min(before, now + self.stop_after)

    @property
    def codec(self) -> str | None:
        """Codec of the packets that the source sends; None if it sends none, and "" if this is not known yet."""
        return self._codec if self.config is not None and self.config.may_send_packets else None

    def _comes_from_the_source(self, name: str) -> bool:
        """Return whether the source publishes an encoded stream, or may do so when it runs."""
        config, codec = self.config, codec_of(name)
        # Renditions are encoded anew.
        if config is None or codec is None or name.removesuffix(f"@{codec}") != config.name:
            return False
        return self.codec in ("", codec) and config.takes_as_it_comes(codec)

    def refusal(self, name: str) -> str | None:
        """Return why a rendition or an encoded stream cannot be, in a sentence; None if it can."""
        return None if self._comes_from_the_source(name) else refusal(name)

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
            is_encoded_only = all(map(self._comes_from_the_source, self.renditions))
            frames = self._frames_wanted_until > now or not is_encoded_only
            self.job.want(json.dumps({"stream": self.config.to_json(), "frames": frames}), now)

    def _decide_renditions(self, own: Demand, now: float) -> None:
        # Without a publisher, a stream of somebody else has nothing to convert.
        has_source = self.config is not None or bool(own.publishers) or self.converter.is_alive
        names = sorted(name for name in self.renditions if codec_of(name) is None)
        if not names:
            self.converter.release(now)
        elif has_source:
            self.converter.want(json.dumps({"source": self.name, "names": names}), now)
        settings = {} if self.config is None else dict(self.config.h264)
        wanted = {name for name in self.renditions.keys() - names if not self._comes_from_the_source(name)}
        for name in wanted:
            encoder = self.encoders.setdefault(name, Job("packets"))
            if has_source or encoder.is_alive:
                encoder.want(json.dumps({"name": name, "settings": settings}), now)
        for name in self.encoders.keys() - wanted:
            self.encoders[name].release(now)

    @property
    def _kept_name(self) -> str:
        """Short name of the encoded stream that is kept: the source's own packets if it sends some, or else H.264."""
        assert self.config is not None
        codec = self.codec or "h264"
        return f"{self.config.name}@{codec if self.config.takes_as_it_comes(codec) else 'h264'}"

    def take_ring(self, former: StreamJobs) -> None:
        """Go on with the ring of a stream that this one replaces."""
        self.ring, self._ring_name = former.ring, former._ring_name

    def _decide_ring(self, now: float) -> None:
        config, ring = self.config, self.ring
        if config is None or config.keep is None:
            ring.release(now)
            return
        name, former = self._kept_name, self._ring_name
        if ring.is_alive and name != former:
            # The source has turned out to send another codec.
            ring.release(now)
            return
        self._ring_name = name
        # The ring is a reader of the encoded stream, which starts the encoder and the source.
        command = {
            "name": name,
            "keep": config.keep,
            "keep_bytes": config.keep_bytes,
            "clip": dict(config.clip),
            "triggered_at": self._triggered_at,
        }
        ring.want(json.dumps(command), now)

    @property
    def is_keeping(self) -> bool:
        """Whether packets of the stream are kept."""
        return self.config is not None and self.config.keep is not None

    def trigger(self, at: int, now: float) -> str | None:
        """Let the ring write a clip.

        Args:
            at: Time of the event in nanoseconds of CLOCK_MONOTONIC.
            now: The time.

        Returns:
            Why no clip is written; None if one is, or if the stream keeps nothing.
        """
        if not self.is_keeping:
            return None
        if self.ring.state != "running":
            return "no clip: its ring does not run"
        self._triggered_at = at
        self._decide_ring(now)
        return None

    def entries(self) -> list[StreamEntry]:
        """Return the state of the stream, if it is declared, and of its renditions."""
        own = [] if self.config is None else [self._own_entry(self.config)]
        about = f"from {short_name(self.name)}"
        impossible = [
            StreamEntry(full_name(name), "waiting", about, readers, error)
            for name, (readers, error) in self.impossible.items()
        ]
        return [*own, *impossible, *(self._entry_of(name, about) for name in self.renditions)]

    def _entry_of(self, name: str, about: str) -> StreamEntry:
        entry, config = self._made_entry(name, about), self.config
        if config is None or config.keep is None or name != self._kept_name:
            return entry
        entry = entry._replace(about=f"{entry.about}, {config.kept}")
        error = self.ring.error or self.ring.report.get("error")
        return entry if error is None else entry._replace(state="waiting", error=error, retry_at=self.ring.retry_at)

    def _made_entry(self, name: str, about: str) -> StreamEntry:
        if self.config is None or not self._comes_from_the_source(name):
            return self._rendition_entry(name, about)
        job = self.job
        if self.codec:
            about = f"as it comes from {self.config.source}"
        fps = job.report.get("packets") if job.state == "running" else None
        return StreamEntry(full_name(name), job.state, about, self.renditions[name], job.error, job.retry_at, fps)

    def _own_entry(self, config: StreamConfig) -> StreamEntry:
        job = self.job
        about = str(job.report.get("about") or config.source)
        if self.other is not None and not job.is_alive:
            return StreamEntry(self.name, "waiting", about, self.readers, f"process {self.other} already publishes it")
        fps = job.report.get("fps") if job.state == "running" else None
        return StreamEntry(self.name, job.state, about, self.readers, job.error, job.retry_at, fps)

    def _rendition_entry(self, name: str, about: str) -> StreamEntry:
        job, readers, full = self.encoders.get(name, self.converter), self.renditions[name], full_name(name)
        if self.config is None and job.state == "off":
            return StreamEntry(full, "waiting", about, readers, f"nobody publishes {short_name(self.name)}")
        told = job.report if job.is_alive else {}
        own = told if name in self.encoders else told.get("renditions", {}).get(name, {})
        if own.get("error"):
            return StreamEntry(full, "waiting", about, readers, own["error"])
        source = self.job
        if self.config is not None and self.other is None and source.state in ("starting", "waiting"):
            return StreamEntry(full, source.state, about, readers, source.error, source.retry_at)
        fps, ms = (own.get("fps"), job.report.get("ms")) if job.state == "running" else (None, None)
        return StreamEntry(full, job.state, about, readers, job.error, job.retry_at, fps, ms)

    @property
    def deadlines(self) -> list[float]:
        """Times at which something is due; some may be over."""
        times = [self._wanted_until, self._frames_wanted_until, *self._renditions_until.values()]
        times += [moment for job in self.jobs if (moment := job.next_moment) is not None]
        return [moment for moment in times if math.isfinite(moment)]

    @property
    def is_used(self) -> bool:
        """Whether a process runs, or somebody wants one."""
        return any(job.is_alive for job in self.jobs) or bool(self.readers or self.renditions)


def refusal(name: str) -> str | None:
    """Return why a stream cannot be encoded by this machine, in a sentence; None if it can, or is not encoded."""
    source, _, codec = name.rpartition("@")
    return None if codec_of(name) in (None, "h264") else f"{codec} cannot be encoded on demand; read {source}@h264"


def processes_of(members: Iterable[Member]) -> int:
    """Return the number of processes."""
    return len({(one.pid, one.is_here) for one in members})
