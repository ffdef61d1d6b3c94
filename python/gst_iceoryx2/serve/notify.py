"""Tells systemd what a service does: sd_notify(3), without a library."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

from ..errors import printable

_log: Final = logging.getLogger("gst_iceoryx2")

# Longest wait for systemd to take a message, in seconds.
_TIMEOUT: Final = 1.0


class Notifier:
    """Sends the state of this process to systemd. Without systemd, it does nothing.

    The variables that systemd has set are removed from the environment, so that child processes do not use them.

    Args:
        environ: The environment; None = that of this process.

    Attributes:
        watchdog_interval: Seconds between two calls of `watchdog`, half of the time that systemd allows; None if
            systemd does not watch this process.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        # Not a default value, which help() and the reference would show with all its values.
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", "")
        allowed = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", str(os.getpid()))
        self._address: str | None = None
        # Other addresses are those of virtual machines: vsock:….
        if address.startswith(("/", "@")):
            # "@" stands for the zero byte of a name without a file.
            self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_interval: float | None = None
        if self._address is not None and pid == str(os.getpid()) and allowed.isdecimal() and int(allowed) > 0:
            self.watchdog_interval = int(allowed) / 2e6

    def ready(self, status: str) -> None:
        """Tell that the service runs, at the start and after `reloading`."""
        self._send("READY=1", f"STATUS={printable(status)}")

    def reloading(self) -> None:
        """Tell that the service reads its configuration again. `ready` must follow."""
        # systemd compares this time with that of its request.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Tell that the service is about to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the line of text that `systemctl status` shows."""
        self._send(f"STATUS={printable(text)}")

    def watchdog(self) -> None:
        """Tell that the service still works."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        data = "\n".join(lines).encode(errors="replace")
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender:
            sender.settimeout(_TIMEOUT)
            try:
                sender.sendto(data, self._address)
            except (OSError, ValueError) as exc:
                # A service must not fail because nobody listens to it.
                _log.debug("cannot notify systemd: %s", exc)
