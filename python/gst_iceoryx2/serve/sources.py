"""Publishes one declared stream until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..feed import Fed, Feeder, PipelineFeeder
from ..feed.pipeline import PipelineRun
from ..work import Stop
from .stream import StreamConfig, feed_of, source_of

if TYPE_CHECKING:
    from .worker import Commands, Reporter

# A thread cannot wait for a `Stop` without a limit.
_LONG: Final = 3600.0


def feed(commands: Commands, reporter: Reporter, stop: Stop) -> None:
    """Publish the stream of the supervisor's first line.

    Raises:
        Iox2VideoError: The source cannot be opened, or failed.
    """
    line = commands.first()
    if line is None:
        return
    stream = StreamConfig.from_json(line)
    work = feed_of(stream) if stream.kind == "pipeline" else _ReportingFeeder(stream, reporter)
    threading.Thread(target=_stop_when_told, args=(stop, work), daemon=True).start()
    if isinstance(work, Feeder):
        reporter.say(state="running", about=work.about)
        work.run(_Report(reporter))
    else:
        work.run(_PipelineReport(reporter))
    reporter.say(state="off" if stop.is_set() else "ended")


class _ReportingFeeder(Feeder):
    """Tells the supervisor that the source has ended before its readers receive the end, and new ones may come."""

    def __init__(self, stream: StreamConfig, reporter: Reporter) -> None:
        super().__init__(stream.service, source_of(stream), is_resumable=True)
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


class _PipelineReport:
    """Reports the process of a pipeline when it has started."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._is_told = False

    def __call__(self, run: PipelineRun) -> None:
        if not self._is_told and run.pid is not None:
            self._is_told = True
            self._reporter.say(state="running", pid=run.pid)


def _stop_when_told(stop: Stop, work: Feeder | PipelineFeeder) -> None:
    while not stop.wait(_LONG):
        pass
    work.stop()
