"""Stamps and counts, as in the native programs (crates/gst/examples/bench)."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

# The phase of a run, in the first byte of the pixels. Plain numbers, because comparing an Enum would
# cost as much as what is measured.
WARM_UP, COUNTED, END = 0, 1, 2
# Frames at full speed before the counted ones.
SETTLE = 50

# As in stamp.rs: phase, time and number first, the number once more at the very end.
_HEAD, _TAIL = struct.Struct("<QQQ"), struct.Struct("<Q")
_read_head, _read_tail, _write_head, _write_tail = (
    _HEAD.unpack_from,
    _TAIL.unpack_from,
    _HEAD.pack_into,
    _TAIL.pack_into,
)


def write_stamp(pixels: Any, phase: int, number: int, sent: int) -> None:
    """Stamp a frame.

    Args:
        pixels: All of its bytes, writable, as one contiguous buffer with `nbytes`.
        phase: WARM_UP, COUNTED or END.
        number: From 0 among the counted frames; of an end, how many of them there were.
        sent: Nanoseconds of CLOCK_MONOTONIC.
    """
    _write_tail(pixels, pixels.nbytes - 8, number)
    _write_head(pixels, 0, phase, sent, number)


class Meter:
    """Measures processor time of this process and elapsed time since its creation."""

    def __init__(self) -> None:
        self._wall = time.monotonic_ns()
        self._cpu = time.process_time_ns()

    def taken(self, frames: int) -> dict[str, int]:
        """Return the time that this many frames took."""
        cpu, wall = time.process_time_ns() - self._cpu, time.monotonic_ns() - self._wall
        return {"frames": frames, "cpu_ns": cpu, "wall_ns": wall}


class Seen:
    """Counts what a receiver got of the counted frames."""

    def __init__(self) -> None:
        self._meter: Meter | None = None
        self._announced = False
        self._latencies: list[int] = []
        self._next = self._torn = self._lost = self._duplicated = 0
        self._sent = 0

    def is_last(self, pixels: Any, now: int) -> bool:
        """Record a frame that was received at `now`; return whether it ends the run."""
        phase, sent, number = _read_head(pixels)
        if number != _read_tail(pixels, pixels.nbytes - 8)[0]:
            self._torn += 1
        if phase == COUNTED:
            due = self._next
            if number >= due:
                if number != due:
                    self._lost += number - due
                if self._meter is None:
                    self._meter = Meter()
                self._next = number + 1
                self._latencies.append(now - sent)
            else:
                self._duplicated += 1
            return False
        if phase == END:
            self._sent = number
            return True
        if not self._announced:
            self._announced = True
            print("ready", flush=True)
        return False

    def line(self) -> str:
        """Return the result of a run as one line of JSON."""
        meter, ordered = self._meter or Meter(), sorted(self._latencies)
        result = meter.taken(len(ordered))
        result |= {"torn": self._torn, "duplicated": self._duplicated}
        result["lost"] = self._lost + max(0, self._sent - self._next)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
            result[f"latency_{name}_ns"] = ordered[int((len(ordered) - 1) * share)] if ordered else 0
        return json.dumps(result)
