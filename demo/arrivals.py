"""The statistics that a consumer records, and the line that it prints for the main process."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

WIDTH, HEIGHT = 1920, 1080


@dataclass(frozen=True)
class Consumed:
    """The results of one consumer; latencies are the seconds from sending a frame until the consumer's code has it."""

    frames: int
    fps: float
    latency_p50: float | None
    latency_p99: float | None
    by_reference: float | None
    motion: list[float]

    def to_line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Consumed:
        return cls(**json.loads(line))


class Arrivals:
    """Collects arrival times, on CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._latencies: list[int] = []

    def note(self, captured_at: int | None) -> None:
        """Record the arrival of a frame that was captured (or published) at `captured_at`, in CLOCK_MONOTONIC ns."""
        now = time.monotonic_ns()
        self._times.append(now)
        if captured_at is not None:
            self._latencies.append(now - captured_at)

    def summary(self, by_reference: int, motion: list[float] | None = None) -> Consumed:
        """Return the results; `by_reference` is the number of frames read directly from the publisher's memory."""
        span = (self._times[-1] - self._times[0]) / 1e9 if self._times else 0
        return Consumed(
            frames=len(self._times),
            fps=(len(self._times) - 1) / span if span else 0,
            latency_p50=self._percentile(50),
            latency_p99=self._percentile(99),
            by_reference=by_reference / len(self._times) if self._times else None,
            motion=motion or [],
        )

    def _percentile(self, percent: int) -> float | None:
        """Return the nearest-rank percentile: the smallest latency that `percent` of the frames did not exceed."""
        ranked = sorted(self._latencies)
        return ranked[max(0, -(-percent * len(ranked) // 100) - 1)] / 1e9 if ranked else None


class SharedMemory:
    """Checks whether an array is in shared memory, by looking up its address in the kernel's list of mappings."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def holds(self, address: int) -> bool:
        if not self._found(address):
            lines = Path("/proc/self/maps").read_text().splitlines()
            spans = [line.split()[0].split("-") for line in lines if " /dev/shm/" in line]
            self._ranges = [(int(start, 16), int(end, 16)) for start, end in spans]
        return self._found(address)

    def _found(self, address: int) -> bool:
        return any(start <= address < end for start, end in self._ranges)
