"""Writes clips of a ring to a folder when they are triggered, and removes the oldest ones."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from .._wire.ring import RingRequest
from ..errors import Iox2VideoError, printable
from ..packets import lookback
from .clip_settings import ClipSettings

# Clips that are written at once. The ring has readers besides.
_MAX_AT_ONCE: Final = 4


class Clips:
    """The clips of one stream.

    Args:
        name: Short name of the encoded stream: "cam0@h264".
        settings: How clips are made; see `ClipSettings`.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self._name = name
        self._lock = threading.Lock()
        # The clips that are being written, and their threads.
        self._writing: dict[Path, threading.Thread] = {}
        self.set(settings)

    @property
    def settings(self) -> ClipSettings:
        """How clips are made."""
        return self._settings

    def set(self, settings: Mapping[str, Any]) -> None:
        """Change how clips are made. Clips that are being written go on as they began."""
        self._settings = ClipSettings(**settings)

    def trigger(self, at: int) -> None:
        """Begin to write a clip, in a thread of its own. Failures are told on stderr, and never raised.

        Clips that overlap are all written, each in full.

        Args:
            at: Time of the event in nanoseconds of CLOCK_MONOTONIC, which the clip's times refer to.
        """
        settings = self._settings
        with self._lock:
            if len(self._writing) >= _MAX_AT_ONCE:
                _tell(f"no clip: {_MAX_AT_ONCE} clips are being written already")
                return
            happened = datetime.now().astimezone() - _ago(at)
            path = _free_path(Path(settings.folder), settings.file_name(self._name, happened), self._writing)
            thread = threading.Thread(target=self._write, args=(path, at, settings), name="clip", daemon=True)
            self._writing[path] = thread
        thread.start()

    def wait(self, timeout: float) -> None:
        """Wait until all clips are complete, for some seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = list(self._writing.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _write(self, path: Path, at: int, settings: ClipSettings) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not seconds before and after now, because this thread may be late.
            span = RingRequest(max(0, at - int(settings.before * 1e9)), at + int(settings.after * 1e9))
            clip = lookback(self._name)._save(path, span)
            _tell(f"{clip}; {clip.note}" if clip.note else str(clip))
        except (Iox2VideoError, OSError) as exc:
            reason = exc.strerror or exc if isinstance(exc, OSError) else exc
            _tell(f"cannot write the clip {path}: {reason}")
        finally:
            with self._lock:
                del self._writing[path]
                kept = set(self._writing)
        for removed in settings.remove_oldest(self._name, kept | {path}):
            _tell(f"{removed} was removed, because the clips in its folder have more than max_bytes")


def _ago(at: int) -> Any:
    from datetime import timedelta

    return timedelta(microseconds=(time.monotonic_ns() - at) / 1000)


def _free_path(folder: Path, name: str, taken: Mapping[Path, Any]) -> Path:
    """Return the path of a new file; "cam0-2.mp4" if "cam0.mp4" exists."""
    path, number = folder / name, 2
    while path in taken or os.path.lexists(path):
        path, number = folder / f"{Path(name).stem}-{number}{Path(name).suffix}", number + 1
    return path


def _tell(text: str) -> None:
    """Print a line for the supervisor's log."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()
