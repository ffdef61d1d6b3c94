"""Publishes one declared stream until it is stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from ..feed import Fed, Feeder, PipelineFeeder, Source
from ..feed.pipeline import PipelineRun
from ..work import Stop
from .stream import StreamConfig, feed_of, source_of

if TYPE_CHECKING:
    from ..feed.encoded import PacketFeeder, PacketsFed
    from .worker import Commands, Reporter

    _Work: TypeAlias = Feeder | PipelineFeeder | PacketFeeder

# A thread cannot wait for a `Stop` without a limit.
_LONG: Final = 3600.0


def feed(commands: Commands, reporter: Reporter, stop: Stop) -> None:
    """Publish the stream of the supervisor's first line. Later lines say whether its frames are wanted.

    Raises:
        Iox2VideoError: The source cannot be opened, or failed.
    """
    line = commands.first()
    if line is None:
        return
    work = _work_of(StreamConfig.from_json(json.loads(line)["stream"]), reporter)
    threading.Thread(target=_stop_when_told, args=(stop, work), daemon=True).start()
    if isinstance(work, PipelineFeeder):
        work.run(_PipelineReport(reporter))
    elif isinstance(work, Feeder):
        reporter.say(state="running", about=work.about, codec=None)
        work.run(_Report(reporter))
    else:
        reporter.say(state="running", about=work.about, codec=work.codec)
        work.run(_PacketReport(work, line, commands, reporter))
    reporter.say(state="off" if stop.is_set() else "ended")


def _work_of(stream: StreamConfig, reporter: Reporter) -> _Work:
    """Open the source of a stream."""
    if stream.kind == "pipeline":
        return feed_of(stream)
    if stream.kind == "url":
        return _network_work_of(stream, reporter)
    return _ReportingFeeder(stream.service, source_of(stream), reporter)


def _network_work_of(stream: StreamConfig, reporter: Reporter) -> _Work:
    """Open a connection: its packets are published as they come, unless they must be encoded anew."""
    from ..feed.encoded import PacketFeeder
    from ..feed.network import NetworkStream, connect
    from ..feed.network_packets import NetworkPackets, codec_of_connection

    connection = connect(stream.value)
    codec = codec_of_connection(connection)
    if codec is not None and stream.takes_as_it_comes(codec):
        return PacketFeeder(stream.name, NetworkPackets(connection), format=stream.format)
    source = NetworkStream(connection, format=stream.format, size=stream.size)
    return _ReportingFeeder(stream.service, source, reporter)


class _ReportingFeeder(Feeder):
    """Tells the supervisor that the source has ended before its readers receive the end, and new ones may come."""

    def __init__(self, service: str, source: Source, reporter: Reporter) -> None:
        super().__init__(service, source, is_resumable=True)
        self._reporter = reporter

    def _feed(self, progress: Callable[[Fed], None] | None) -> bool:
        is_complete = super()._feed(progress)
        if is_complete:
            self._reporter.say(state="ending")
        return is_complete


class _Report:
    """Reports the rate of a feed once per second."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._sent = 0
        self._seconds = 0.0

    def __call__(self, fed: Fed) -> None:
        if self._reporter.is_due():
            seconds = fed.seconds - self._seconds
            if self._seconds and seconds:
                self._reporter.say(fps=(fed.sent - self._sent) / seconds)
            self._sent, self._seconds = fed.sent, fed.seconds


class _PacketReport:
    """Reports the rates of packets and frames once per second, and tells the feed whether frames are wanted."""

    def __init__(self, work: PacketFeeder, line: str, commands: Commands, reporter: Reporter) -> None:
        self._work = work
        self._commands = commands
        self._reporter = reporter
        self._before: PacketsFed | None = None
        self._obey(line)

    def _obey(self, line: str | None) -> None:
        if line is not None:
            self._work.is_raw_wanted = json.loads(line)["frames"]

    def __call__(self, fed: PacketsFed) -> None:
        self._obey(self._commands.newest())
        if not self._reporter.is_due():
            return
        before, self._before = self._before, fed
        if before is not None and fed.seconds > before.seconds:
            seconds = fed.seconds - before.seconds
            frames, packets = (fed.frames - before.frames) / seconds, (fed.sent - before.sent) / seconds
            self._reporter.say(fps=frames or None, packets=packets, codec=self._work.codec)


class _PipelineReport:
    """Reports the process of a pipeline when it has started."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._is_told = False

    def __call__(self, run: PipelineRun) -> None:
        if not self._is_told and run.pid is not None:
            self._is_told = True
            self._reporter.say(state="running", pid=run.pid)


def _stop_when_told(stop: Stop, work: _Work) -> None:
    while not stop.wait(_LONG):
        pass
    work.stop()
