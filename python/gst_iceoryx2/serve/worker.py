"""The process of one stream, all its renditions, one encoded stream, or its ring. The supervisor starts it.

    python -m gst_iceoryx2.serve.worker source        # the first line of stdin is the stream as JSON
    python -m gst_iceoryx2.serve.worker renditions    # each line of stdin is the source and the wanted names as JSON
    python -m gst_iceoryx2.serve.worker packets       # the first line of stdin is the name and the settings as JSON
    python -m gst_iceoryx2.serve.worker ring          # each line of stdin is what to keep as JSON

At the end of stdin, the supervisor is gone, and the process ends. It prints its state to stdout: a line of JSON per
second and per change.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ..errors import Iox2VideoError
from ..work import Stop

# Time between two reports, in seconds.
_REPORT_INTERVAL: Final = 1.0
# Longest time for an orderly end, in seconds.
_LEAVES_WITHIN: Final = 1.5


class Reporter:
    """Prints the state of this process for the supervisor."""

    def __init__(self) -> None:
        self._due = 0.0
        self._pipe = sys.stdout.fileno()
        self._before = b""
        os.set_blocking(self._pipe, False)

    def say(self, **values: Any) -> None:
        """Print values as a line of JSON. They are left out if the supervisor does not read, because it is stopped."""
        line = self._before + json.dumps(values).encode() + b"\n"
        with contextlib.suppress(OSError):
            # The next line must not continue one that was cut off.
            self._before = b"" if os.write(self._pipe, line) == len(line) else b"\n"

    def is_due(self) -> bool:
        """Return whether a second has passed since the last report that was due."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + _REPORT_INTERVAL
        return True


class Commands:
    """Reads the supervisor's lines from stdin in a thread.

    Args:
        stop: Called when the supervisor is gone, or asks to stop.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._newest: str | None = None
        self._arrived = threading.Event()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def first(self) -> str | None:
        """Wait for the first line; None if the supervisor is gone."""
        self._arrived.wait()
        return self.newest()

    def newest(self) -> str | None:
        """Return the newest line that was not returned yet."""
        newest, self._newest = self._newest, None
        return newest

    def _read(self) -> None:
        for line in sys.stdin:
            self._newest = line
            self._arrived.set()
        self._stop()
        self._arrived.set()
        # A device may hang.
        time.sleep(_LEAVES_WITHIN)
        os._exit(1)


def main(kind: str) -> int:
    """Run the process; return its exit code."""
    # Ctrl-C in a terminal reaches this process, too, but the supervisor decides when it ends.
    # The same applies to SIGUSR1, which systemd may send to all processes of a unit.
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    commands, reporter = Commands(stop.set), Reporter()
    try:
        if kind == "source":
            from .sources import feed

            feed(commands, reporter, stop)
        elif kind == "packets":
            from .packets import encode

            encode(commands, reporter, stop)
        elif kind == "ring":
            from .ring_keeper import keep

            keep(commands, reporter, stop)
        else:
            from .renditions import convert

            convert(commands, reporter, stop)
    except (Iox2VideoError, OSError) as exc:
        reporter.say(error=" ".join(str(exc).split()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
