"""Publishes the video of a GStreamer pipeline that runs in a process of its own."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .._plugin import launch_words, plugin_path
from ..discovery.names import service_name
from ..errors import without_passwords
from ..work import Work
from .errors import SettingError, SourceError

_log: Final = logging.getLogger("gst_iceoryx2")

_STEP: Final = 0.1
# Longest wait for a pipeline to end after SIGINT, in seconds. After that, it is killed.
_PATIENCE: Final = 1.0
_LINES_MAX: Final = 100

# Runs a command that is killed when the parent's thread ends, also if it has ended before: prctl(2). The interpreter
# is needed because `preexec_fn` may deadlock in a process with threads.
_GUARD: Final = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit()
os.execvp(sys.argv[2], sys.argv[2:])
"""

_REFUSED: Final = "WARNING: erroneous pipeline: "
_FAILED: Final = re.compile(r"ERROR: from element (?:\S*[/:])?(\w+): (.*)")
_NO_DETAIL: Final = ("ERROR: ", "WARNING: ", "Failed to set pipeline to ", "Failed to start")
_PLACE: Final = re.compile(r"\S+\(\d+\): .*")


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
        if shutil.which("gst-launch-1.0") is None:
            raise SourceError(
                "pipelines need the program gst-launch-1.0, which is not on PATH; "
                "on Debian, run `apt install gstreamer1.0-tools`"
            )
        try:
            plugins = str(plugin_path())
        except RuntimeError as exc:
            raise SourceError(str(exc)) from exc
        quoted = self._service.replace("\\", "\\\\").replace('"', '\\"')
        self._command = ["gst-launch-1.0", "-q", *words, "!", "iceoryx2sink", f'service="{quoted}"']
        before = os.environ.get("GST_PLUGIN_PATH_1_0") or os.environ.get("GST_PLUGIN_PATH")
        path = plugins if not before else f"{plugins}{os.pathsep}{before}"
        # The texts are read here, so they must be in English.
        english = {"LC_ALL": "C.UTF-8", "LANGUAGE": "", "GST_DEBUG_NO_COLOR": "1"}
        self._environment = os.environ | english | {"GST_PLUGIN_PATH": path}
        self._environment.pop("GST_PLUGIN_PATH_1_0", None)
        self._process: subprocess.Popen[str] | None = None
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
        lines: deque[str] = deque(maxlen=_LINES_MAX)
        self._began = time.monotonic()
        process = self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self._environment,
            text=True,
            errors="replace",
            # Ctrl-C in a terminal must not reach the pipeline before it reaches `stop`.
            start_new_session=True,
        )
        reader = threading.Thread(target=self._read, args=(process, lines), daemon=True)
        reader.start()
        try:
            while process.poll() is None and not self._stop.wait(_STEP):
                self._report_to(progress)
        finally:
            was_stopped = process.poll() is None
            self._end(process)
            reader.join(_PATIENCE)
            self._ended = time.monotonic()
        if not was_stopped and process.returncode != 0:
            raise _error(list(lines), process.returncode)
        return self.report()

    def report(self) -> PipelineRun:
        """Return the progress; after `run`, the result."""
        process = self._process
        is_running = process is not None and self._ended is None
        end = time.monotonic() if self._ended is None else self._ended
        seconds = 0.0 if self._began is None else end - self._began
        return PipelineRun(self._service, process.pid if process is not None and is_running else None, seconds)

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        """Stop the pipeline in order, so that it leaves its service, but without an end of the stream."""
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: deque[str]) -> None:
        """Read the texts of the pipeline, and keep the first ones that matter."""
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                _log.debug("gst-launch-1.0: %s", without_passwords(line.rstrip()))
                if len(lines) < _LINES_MAX:
                    lines.append(line.rstrip())


def _error(lines: list[str], code: int) -> SettingError | SourceError:
    refused = next((line for line in lines if line.startswith(_REFUSED)), None)
    if refused is not None:
        text = without_passwords(refused.removeprefix(_REFUSED))
        return SettingError(f"GStreamer cannot create the pipeline: {text}")
    for number, line in enumerate(lines):
        failed = _FAILED.match(line)
        if failed is None:
            continue
        # The details are a line of source code and a path of elements, and then often one more sentence.
        detail = lines[number + 3] if len(lines) > number + 3 and _PLACE.match(lines[number + 2]) else ""
        detail = "" if detail.startswith(_NO_DETAIL) else f" ({detail})"
        return SourceError(f"the pipeline failed in {failed[1]}: {without_passwords(failed[2] + detail)}")
    if code < 0:
        return SourceError(f"the pipeline was killed by {signal.Signals(-code).name}")
    said = f": {without_passwords(lines[-1])}" if lines else ""
    return SourceError(f"gst-launch-1.0 ended with code {code}{said}")
