"""Publishes the video of a GStreamer pipeline that runs in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .._launch import Launch, Launcher
from .._plugin import launch_words
from ..discovery.names import service_name
from ..errors import without_passwords
from ..work import Work
from .errors import SettingError, SourceError

_STEP: Final = 0.1


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """Progress or result of a pipeline.

    Attributes:
        service: Full name of the service.
        pid: Process ID of the pipeline; None if it does not run.
        seconds: Time since the start, in seconds.
    """

    service: str
    pid: int | None
    seconds: float


class PipelineFeeder(Work[PipelineRun]):
    """Publishes the video of a GStreamer pipeline with `gst-launch-1.0`.

    The pipeline runs in a process of its own, which is killed if the thread that called `run` ends. If the pipeline
    ends by itself, so does the stream. After `stop` or an error, subscribers wait for the next publisher.

    Args:
        name: Name of the service, short or in full.
        pipeline: A pipeline as typed behind `gst-launch-1.0`, without the last element: "videotestsrc ! videoconvert".
            Quotes have the meaning that they have in a shell. ` ! iceoryx2sink service=…` is added.

    Raises:
        SettingError: The pipeline is empty, its quotes do not match, or it ends with its own `iceoryx2sink`.
        SourceError: `gst-launch-1.0` or the plugin is not installed.
        ValueError: The name is a Sh4lt path or a Zenoh key.
    """

    def __init__(self, name: str, pipeline: str) -> None:
        super().__init__()
        self._service = service_name(name)
        try:
            words = launch_words(pipeline)
        except ValueError as exc:
            raise SettingError(f"the pipeline {without_passwords(pipeline)!r} {exc}") from None
        try:
            self._launcher = Launcher()
        except RuntimeError as exc:
            raise SourceError(str(exc)) from exc
        quoted = self._service.replace("\\", "\\\\").replace('"', '\\"')
        self._words = [*words, "!", "iceoryx2sink", f'service="{quoted}"']
        self._launch: Launch | None = None
        self._began: float | None = None
        self._ended: float | None = None

    def run(self, progress: Callable[[PipelineRun], None] | None = None) -> PipelineRun:
        """Run the pipeline until it ends or `stop` is called.

        Args:
            progress: Called with the progress ten times per second, in the thread that called `run`.

        Returns:
            The result.

        Raises:
            SettingError: GStreamer cannot create the pipeline; the message says why.
            SourceError: The pipeline failed; the message is that of the first element that failed.
        """
        self._began = time.monotonic()
        launch = self._launch = self._launcher.start(self._words)
        try:
            while launch.is_running and not self._stop.wait(_STEP):
                self._report_to(progress)
        finally:
            was_stopped = launch.is_running
            launch.end()
            self._ended = time.monotonic()
        failure = None if was_stopped else launch.failure()
        if failure is not None:
            raise (SettingError if failure.is_refused else SourceError)(failure.text)
        return self.report()

    def report(self) -> PipelineRun:
        """Return the progress; after `run`, the result."""
        launch = self._launch
        end = time.monotonic() if self._ended is None else self._ended
        seconds = 0.0 if self._began is None else end - self._began
        return PipelineRun(self._service, None if launch is None or self._ended is not None else launch.pid, seconds)
