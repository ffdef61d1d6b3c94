"""Logs pictures, packets and boxes to Rerun, at the times of their frames."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from .._extras.rerun import RerunRecording
from .._wire.clock import INT64_MAX
from .._wire.stamp import monotonic_ns
from ..video.wall_clock import WallClock
from .viewer import RerunError, RerunViewer

# Rerun keeps everything that a slow viewer has not received yet in memory. If there is more than this, it is checked
# whether the viewer keeps up. In bytes.
_MAX_UNSENT: Final = 32 << 20
# Longest wait for a slow viewer, and pause until the next one, in seconds.
_PATIENCE: Final = 0.5
_PAUSE: Final = 1.0
# Interval between two checks that a file can be written, or that a viewer is there, in seconds.
_CHECK_INTERVAL: Final = 1.0
# Longest wait for a file, in seconds.
_WRITE_TIMEOUT: Final = 10.0
_LAST_FLUSH: Final = 5.0
# Time in which a viewer exits after it has closed the connection, in seconds.
_CLOSE_TIME: Final = 0.5
# Text of the error of a flush that took too long. Other errors mean that the connection is lost.
_TIMED_OUT: Final = "timed out"


class RerunLog:
    """A recording in a new file, or in a viewer.

    Args:
        target: The file or the viewer.

    Raises:
        RerunError: The file exists already, or cannot be written.
    """

    def __init__(self, target: Path | RerunViewer) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._unsent = 0
        self._blocked_until = 0.0
        self._checked_at = time.monotonic()
        self._has_data = False
        self._clock = WallClock()
        if isinstance(target, Path):
            _check_new(target)
        self._recording = RerunRecording()
        try:
            if isinstance(target, Path):
                self._recording.save(target)
            else:
                self._recording.connect(target.port)
        except RuntimeError as exc:
            raise RerunError(f"cannot write {target}: {exc}") from exc

    # -- from any thread ---------------------------------------------------------------------------------------------

    def admits(self, size: int) -> bool:
        """Return whether a picture of this size may be logged. If not, the viewer is too slow for it."""
        with self._lock:
            self._unsent += size
            if self._unsent <= _MAX_UNSENT:
                return True
            if time.monotonic() < self._blocked_until:
                return False
            try:
                self._recording.flush(_PATIENCE)
            except RuntimeError:
                self._blocked_until = time.monotonic() + _PAUSE
                return False
            self._unsent = size
            return True

    def jpeg(self, path: Sequence[str], data: bytes, captured: int | None, frame: int | None) -> None:
        """Log a JPEG picture.

        Args:
            path: Path of the entity.
            data: The JPEG file.
            captured: Capture time in nanoseconds of CLOCK_MONOTONIC; None = now.
            frame: Number of the frame; None = unknown.
        """
        self._at(captured, frame)
        self._recording.jpeg(path, data)

    def codec(self, path: Sequence[str], codec: str) -> None:
        """Log the codec of the packets that follow."""
        self._recording.codec(path, codec)

    def packet(self, path: Sequence[str], data: bytes, captured: int | None, frame: int | None) -> None:
        """Log a packet; the arguments are those of `jpeg`."""
        self._at(captured, frame)
        self._recording.packet(path, data)

    def boxes(
        self,
        path: Sequence[str],
        xywh: npt.NDArray[np.float32],
        labels: Sequence[str],
        classes: Sequence[int],
        captured: int | None,
        frame: int | None,
    ) -> None:
        """Log boxes of a frame, which replace the earlier ones; see `RerunRecording.boxes` and `jpeg`."""
        self._at(captured, frame)
        self._recording.boxes(path, xywh, labels, classes)

    def clear(self, path: Sequence[str], captured: int | None, frame: int | None) -> None:
        """Let a picture or video end."""
        self._at(captured, frame)
        self._recording.clear(path)

    def _at(self, captured: int | None, frame: int | None) -> None:
        self._has_data = True
        moment = monotonic_ns() if captured is None else captured
        # A larger number cannot be that of a frame.
        self._recording.at(self._clock.at(moment), None if frame is None or frame > INT64_MAX else frame)

    # -- from the thread that owns it --------------------------------------------------------------------------------

    def is_open(self) -> bool:
        """Return whether to go on. Checks at most once per second that the file or the viewer is there.

        Raises:
            RerunError: The file cannot be written, or the viewer has failed.
        """
        if time.monotonic() < self._checked_at + _CHECK_INTERVAL:
            return True
        self._checked_at = time.monotonic()
        if isinstance(self._target, RerunViewer):
            return self._target.is_open() and self._reaches(self._target)
        self._flush_file(self._target, _WRITE_TIMEOUT)
        return True

    def close(self) -> None:
        """Write or send everything, and close the file or leave the viewer.

        Raises:
            RerunError: The file cannot be written.
        """
        try:
            if isinstance(self._target, Path):
                self._flush_file(self._target, _WRITE_TIMEOUT)
            else:
                with contextlib.suppress(RuntimeError):
                    self._recording.flush(_LAST_FLUSH)
        finally:
            self._recording.close()
            if isinstance(self._target, RerunViewer):
                self._target.close()
            elif not self._has_data:
                with contextlib.suppress(OSError):
                    self._target.unlink()

    def _reaches(self, viewer: RerunViewer) -> bool:
        """Return whether the viewer still receives; False if its user closes it just now."""
        try:
            self._recording.flush(_PATIENCE)
        except RuntimeError as exc:
            # A viewer that is only slow is dealt with in `admits`.
            if _TIMED_OUT in str(exc):
                return True
            time.sleep(_CLOSE_TIME)
            if not viewer.is_open():
                return False
            raise RerunError(f"the Rerun viewer cannot be reached any more: {exc}") from exc
        with self._lock:
            self._unsent = 0
        return True

    def _flush_file(self, file: Path, timeout: float) -> None:
        try:
            self._recording.flush(timeout)
        except RuntimeError as exc:
            free = shutil.disk_usage(file.parent).free
            raise RerunError(f"cannot write {file}, whose disk has {free:,} bytes left: {exc}") from exc


def _check_new(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except FileExistsError as exc:
        raise RerunError(f"{file} already exists; choose another name") from exc
    except OSError as exc:
        raise RerunError(f"cannot write {file}: {exc.strerror}") from exc
