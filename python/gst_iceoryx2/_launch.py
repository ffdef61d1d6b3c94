"""Runs GStreamer pipelines with `gst-launch-1.0`, and finds out why they failed."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from ._plugin import plugin_path
from .errors import without_passwords

_log: Final = logging.getLogger("gst_iceoryx2")

_PROGRAM: Final = "gst-launch-1.0"
# Longest wait for a pipeline to end after SIGINT, in seconds. After that, it is killed.
_PATIENCE: Final = 1.0
_LINES_MAX: Final = 100

# Runs a command that is killed when the parent's thread ends, also if it has ended before: prctl(2). The interpreter
# is needed because `preexec_fn` may deadlock in a process with threads.
GUARD: Final = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit()
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""A program in Python: process ID of the parent and a command are its arguments."""

_REFUSED: Final = "WARNING: erroneous pipeline: "
_FAILED: Final = re.compile(r"ERROR: from element (?:\S*[/:])?(\w+): (.*)")
_NO_DETAIL: Final = ("ERROR: ", "WARNING: ", "Failed to set pipeline to ", "Failed to start")
_PLACE: Final = re.compile(r"\S+\(\d+\): .*")


class LaunchFailure(NamedTuple):
    """Why a pipeline failed.

    Attributes:
        is_refused: Whether GStreamer could not create it, so that it never ran.
        text: A clause without passwords: "the pipeline failed in filesrc0: …".
    """

    is_refused: bool
    text: str


class Launcher:
    """Starts pipelines.

    Raises:
        RuntimeError: `gst-launch-1.0` or the plugin is not installed.
    """

    def __init__(self) -> None:
        if shutil.which(_PROGRAM) is None:
            raise RuntimeError(
                f"pipelines need the program {_PROGRAM}, which is not on PATH; "
                "on Debian, run `apt install gstreamer1.0-tools`"
            )
        plugins = str(plugin_path())
        before = os.environ.get("GST_PLUGIN_PATH_1_0") or os.environ.get("GST_PLUGIN_PATH")
        path = plugins if not before else f"{plugins}{os.pathsep}{before}"
        # The texts are read here, so they must be in English.
        english = {"LC_ALL": "C.UTF-8", "LANGUAGE": "", "GST_DEBUG_NO_COLOR": "1"}
        self._environment = os.environ | english | {"GST_PLUGIN_PATH": path}
        self._environment.pop("GST_PLUGIN_PATH_1_0", None)

    def start(self, words: Sequence[str], pass_fds: Sequence[int] = ()) -> Launch:
        """Start a pipeline, given as words. It is killed when this thread ends."""
        return Launch(words, self._environment, pass_fds)


class Launch:
    """A pipeline in a process of its own; made by `Launcher.start`.

    Attributes:
        pid: Its process ID.
    """

    def __init__(self, words: Sequence[str], environment: dict[str, str], pass_fds: Sequence[int]) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES_MAX)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GUARD, str(os.getpid()), _PROGRAM, "-q", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
            pass_fds=pass_fds,
            # Ctrl-C in a terminal must not reach the pipeline before its owner.
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """Stop the pipeline in order, so that it leaves its service, but without an end of the stream. Idempotent."""
        process = self._process
        if self.is_running:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        self._reader.join(_PATIENCE)

    def failure(self) -> LaunchFailure | None:
        """Return why the pipeline, which has ended, failed; None if it ended by itself without an error."""
        code = self._process.returncode
        return None if code == 0 else _failure(list(self._lines), code)

    def _read(self) -> None:
        """Read the texts of the pipeline, and keep the first ones that matter."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                _log.debug("%s: %s", _PROGRAM, without_passwords(line.rstrip()))
                if len(self._lines) < _LINES_MAX:
                    self._lines.append(line.rstrip())


def _failure(lines: list[str], code: int) -> LaunchFailure:
    refused = next((line for line in lines if line.startswith(_REFUSED)), None)
    if refused is not None:
        text = without_passwords(refused.removeprefix(_REFUSED))
        return LaunchFailure(True, f"GStreamer cannot create the pipeline: {text}")
    for number, line in enumerate(lines):
        failed = _FAILED.match(line)
        if failed is None:
            continue
        # The details are a line of source code and a path of elements, and then often one more sentence.
        detail = lines[number + 3] if len(lines) > number + 3 and _PLACE.match(lines[number + 2]) else ""
        detail = "" if detail.startswith(_NO_DETAIL) else f" ({detail})"
        return LaunchFailure(False, f"the pipeline failed in {failed[1]}: {without_passwords(failed[2] + detail)}")
    if code < 0:
        return LaunchFailure(False, f"the pipeline was killed by {signal.Signals(-code).name}")
    said = f": {without_passwords(lines[-1])}" if lines else ""
    return LaunchFailure(False, f"{_PROGRAM} ended with code {code}{said}")
