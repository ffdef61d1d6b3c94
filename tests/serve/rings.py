"""The process of a ring without a supervisor, and packets for it that were captured whenever a test says."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._wire.ring import RingRequest, RingStatus
from gst_iceoryx2.errors import ServiceNotFoundError
from gst_iceoryx2.packets import PacketPublisher, lookback
from gst_iceoryx2.packets._lookback import _Answer
from tests.packets.units import number_of, unit
from tests.waiting import wait_until

# A busy machine needs half a minute to start the processes of two streams.
WAIT = 60.0
SERVICE = "video/cam0@h264/packet/v1"


class RingProcess:
    """A process that keeps the packets of cam0.

    Attributes:
        process: The process.
        report: The newest value of everything that it has reported.
        log: Lines on its stderr.
    """

    def __init__(self, folder: Path, keep: float = 30.0, keep_bytes: int = 64_000_000, **clip: Any) -> None:
        self._command = {
            "name": "cam0@h264",
            "keep": keep,
            "keep_bytes": keep_bytes,
            "clip": {"folder": str(folder / "clips"), **clip},
            "triggered_at": 0,
        }
        self.report: dict[str, Any] = {}
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gst_iceoryx2.serve.worker", "ring"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [threading.Thread(target=read) for read in (self._read_reports, self._read_log)]
        for thread in self._threads:
            thread.start()
        self.tell()

    def tell(self, **changes: Any) -> None:
        """Send a command, as the supervisor does."""
        self._command |= changes
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self._command) + "\n")
        self.process.stdin.flush()

    def trigger(self) -> None:
        """Trigger a clip."""
        self.tell(triggered_at=time.monotonic_ns())

    def wait(self) -> RingProcess:
        """Wait until it answers."""
        wait_until(lambda: self.status is not None, WAIT)
        return self

    @property
    def status(self) -> RingStatus | None:
        """What it contains; None if it does not answer."""
        try:
            with _Answer(current_domain(), SERVICE, "h264", RingRequest()) as answer:
                return answer.status
        except ServiceNotFoundError:
            return None

    @property
    def packets(self) -> int:
        """Number of packets that it contains."""
        return 0 if self.status is None else self.status.packets

    def counted(self, name: str) -> int:
        """The newest value of one of its counters; -1 before its first report."""
        return int(self.report.get("ring", {}).get(name, -1))

    def says(self, text: str) -> None:
        """Wait until a line on stderr contains a text."""
        wait_until(lambda: any(text in line for line in self.log), WAIT)

    def end(self) -> None:
        """Let it end, as a supervisor that stops."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            if pipe is not self.process.stdin:
                self.process.wait(WAIT)
                for thread in self._threads:
                    thread.join(WAIT)
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read_reports(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.report.update(json.loads(line))

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))


class Film:
    """Packets of cam0 with a keyframe every `gop` packets, 30 per second. Their bytes tell their numbers.

    Args:
        publisher: Where to publish.
        gop: Packets from a keyframe to the next one.
    """

    def __init__(self, publisher: PacketPublisher, gop: int = 30) -> None:
        self._publisher = publisher
        self._gop = gop
        self.number = 0

    def publish(self, count: int, ago: float = 0.0, size: int = 100) -> None:
        """Publish packets, the last of which was captured some seconds ago."""
        now = time.monotonic_ns() - int(ago * 1e9)
        for index in range(count):
            at = now - (count - 1 - index) * 1_000_000_000 // 30
            data = unit(self.number, is_keyframe=self.number % self._gop == 0, size=size)
            is_keyframe = self.number % self._gop == 0
            self._publisher.publish(data, is_keyframe=is_keyframe, pts=at, captured_at=at)
            self.number += 1

    def fill(self, seconds: float, ago: float = 0.0, size: int = 100) -> None:
        """Publish the packets of some seconds up to a time, and wait until the ring has received them."""
        left = round(seconds * 30)
        while left:
            # A reader that joins gives nothing before the newest keyframe, so the first packet comes alone.
            count = min(60, left) if self.number else 1
            left -= count
            self.publish(count, ago + left / 30, size)
            wait_until(lambda: _newest() == self.number - 1, WAIT)


def _newest() -> int | None:
    """Return the number of the newest packet in the ring."""
    numbers = [number_of(packet) for packet in lookback("cam0").packets(before=0)]
    return numbers[-1] if numbers else None
