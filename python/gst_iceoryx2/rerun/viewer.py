"""Starts Rerun's viewer, or finds one that runs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final

from ..errors import Iox2VideoError, printable

VIEWER_PORT: Final = 9876
"""Port on which viewers listen by default."""

# Longest time until a viewer listens, in seconds.
_START_TIMEOUT: Final = 30.0
_POLL: Final = 0.05


class RerunError(Iox2VideoError, OSError):
    """Rerun's viewer cannot be started or reached, or a Rerun file cannot be written."""


class RerunViewer:
    """A viewer on this machine: one that already listens on the port, or a new one.

    A new viewer listens only on the loopback interface, and stays open after this process.

    Args:
        port: Port on which viewers listen.
        command: The viewer's executable; None = the one beside this Python, or the first one in PATH.

    Raises:
        RerunError: No viewer listens, and none can be started.
    """

    def __init__(self, port: int = VIEWER_PORT, command: str | None = None) -> None:
        self.port: Final = port
        self._errors: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if not self._listens():
            self._start(command or _executable())

    @property
    def is_ours(self) -> bool:
        """Whether this object started the viewer."""
        return self._process is not None

    def is_open(self) -> bool:
        """Return whether the viewer is there. A viewer of ours may be closed by its user.

        Raises:
            RerunError: The viewer has failed, or cannot be reached any more.
        """
        if self._process is None:
            if not self._listens():
                raise RerunError(f"the Rerun viewer on port {self.port} cannot be reached any more")
            return True
        code = self._process.poll()
        if code:
            raise RerunError(f"the Rerun viewer failed with exit code {code}: {self._reason()}")
        return code is None

    def close(self) -> None:
        """Leave the viewer alone. Idempotent."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            # Otherwise, Popen would warn that the process still runs.
            process.returncode = 0
        if self._errors is not None:
            self._errors.close()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _start(self, command: str) -> None:
        _check_display()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._run(command)
        except BaseException:
            if self._process is not None and self._process.poll() is None:
                # The command may be a script that runs the viewer.
                os.killpg(self._process.pid, signal.SIGTERM)
                self._process.wait()
            self.close()
            raise

    def _run(self, command: str) -> None:
        arguments = [command, "--port", str(self.port), "--bind", "127.0.0.1", "--hide-welcome-screen"]
        nowhere = subprocess.DEVNULL
        try:
            # In a session of its own, it does not end on Ctrl-C.
            self._process = subprocess.Popen(
                arguments, stdin=nowhere, stdout=nowhere, stderr=self._errors, start_new_session=True
            )
        except OSError as exc:
            raise RerunError(f"cannot start the Rerun viewer {command}: {exc.strerror or exc}") from exc
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._listens():
            if not self.is_open():
                raise RerunError(f"the Rerun viewer {command} exited before it listened on port {self.port}")
            if time.monotonic() > deadline:
                raise RerunError(f"the Rerun viewer {command} does not listen on port {self.port}")
            time.sleep(_POLL)

    def _reason(self) -> str:
        """Return the last line that the viewer printed."""
        assert self._errors is not None
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return printable(lines[-1].strip()) if lines else "it did not say why"


def _executable() -> str:
    beside = Path(sys.executable).with_name("rerun")
    found = str(beside) if beside.exists() else shutil.which("rerun")
    if found is None:
        raise RerunError(
            "cannot start a Rerun viewer: there is no command `rerun`, although Rerun's SDK is installed; "
            "add its folder to PATH, or use --rerun-file"
        )
    return found


def _check_display() -> None:
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        raise RerunError(
            "cannot open a Rerun viewer, because there is no display; run `rerun` on a machine with a display, and "
            f"connect it with `ssh -R {VIEWER_PORT}:127.0.0.1:{VIEWER_PORT}`, or use --rerun-file"
        )
