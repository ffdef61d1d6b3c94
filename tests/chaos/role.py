"""What the participants of a chaos run share: phases for the watchdog, frame numbers, and habits drawn from a seed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gst_iceoryx2._wire.formats import get_format
from tests.chaos.pattern import Bytes, Stamp, check

SHAPES: Final = (
    ("BGR", 320, 240),
    ("GRAY8", 640, 360),
    ("NV12", 480, 272),
    ("I420", 320, 192),
    ("BGRA", 160, 120),
)
"""Format, width and height of pictures whose rows need no padding, also not in GStreamer's layout."""

Report = Callable[[dict[str, Any]], None]


class Shape(NamedTuple):
    """Format and size of the pictures for a while."""

    format: str
    width: int
    height: int

    @property
    def size(self) -> int:
        """Return the bytes of pixels."""
        return get_format(self.format).tight_layout(self.width, self.height).size


class Held(NamedTuple):
    """Held pixels, which must not change."""

    until: float
    pixels: Bytes
    stamp: Stamp
    keep: object


class Role:
    """One publisher or subscriber in a participant's process.

    Args:
        spec: ``service``, ``seed``, ``rate`` in frames a second, ``habit``, ``lossless``, ``shapes`` of its pictures.
        report: Called with each report for the conductor.

    Attributes:
        stop: Set when the role is to end.
        counters: Its counters; part of each report.
    """

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        self.service: Final[str] = spec["service"]
        self.habit: Final[str] = spec.get("habit", "steady")
        self.rate: Final[float] = spec.get("rate", 25.0)
        self.lossless: Final[bool] = spec.get("lossless", False)
        self.shapes: Final = [Shape(*shape) for shape in spec.get("shapes", SHAPES)]
        self.rng: Final = random.Random(spec["seed"])
        self.stop: Final = threading.Event()
        self.report: Final = report
        self.counters: dict[str, int] = {"frames": 0, "checked": 0, "held": 0, "dropped": 0, "skipped": 0, "lives": 0}
        self.delays: list[int] = []
        self._phase = ("begin", time.monotonic())
        self._held: list[Held] = []

    def run(self) -> None:
        """Play until `stop`."""
        while not self.stop.is_set():
            self.counters["lives"] += 1
            self.live()
            self.rest(self.rng.uniform(0.0, 0.5))
        self.look_at_held(everything=True)

    def live(self) -> None:
        """Open, work for a while, and close."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """End a wait from another thread; `stop` is set."""

    @property
    def is_steady(self) -> bool:
        """Return whether it never closes, hoards or lags by itself."""
        return self.habit == "steady"

    def lifetime(self, mean: float = 300.0) -> int:
        """Return the number of frames until it closes and reopens."""
        return 1 << 60 if self.is_steady else 1 + int(self.rng.expovariate(1 / mean))

    def other_shape(self) -> Shape:
        """Return one of its shapes."""
        return self.rng.choice(self.shapes)

    # -- for the watchdog --------------------------------------------------------------------------------------------

    def phase(self, name: str, *, again: bool = True) -> None:
        """Report the phase; with `again=False`, a phase that lasts keeps its start."""
        if again or self._phase[0] != name:
            self._phase = (name, time.monotonic())

    def rest(self, seconds: float) -> None:
        """Pause on purpose."""
        self.phase("idle")
        self.stop.wait(seconds)

    def beat(self) -> dict[str, Any]:
        """Return a report for the conductor."""
        (name, since), delays = self._phase, self.delays
        self.delays = []
        return {"phase": name, "since": since, "counters": dict(self.counters), "delays": delays}

    def fault(self, text: str) -> None:
        """Report a broken guarantee."""
        self.report({"fault": text})

    # -- held pixels -------------------------------------------------------------------------------------------------

    def hold(self, seconds: float, pixels: Bytes, stamp: Stamp, keep: object = None) -> None:
        """Hold pixels and their owner, to check them again later."""
        self._held.append(Held(time.monotonic() + seconds, pixels, stamp, keep))

    @property
    def holding(self) -> int:
        """Return the number of held frames."""
        return len(self._held)

    def look_at_held(self, *, everything: bool = False) -> None:
        """Check and release held pixels whose time is over."""
        now = time.monotonic()
        kept = []
        for held in self._held:
            if held.until > now and not everything:
                kept.append(held)
            elif check(held.pixels) != held.stamp:
                self.fault(f"a held frame changed from {held.stamp} to {check(held.pixels)}")
            else:
                self.counters["held"] += 1
        self._held = kept


class Numbering:
    """Stamps of one publisher's frames."""

    def __init__(self, rng: random.Random) -> None:
        self.publisher: Final = rng.getrandbits(48)
        self.number = 0
        self._born = 0

    def next(self, size: int, lost: int) -> Stamp:
        """Return the next frame's stamp."""
        now = time.monotonic_ns()
        self._born = self._born or now
        stamp = Stamp(self.publisher, self.number, lost, self._born, now, size)
        self.number += 1
        return stamp


class Pace:
    """A frame rate that does not catch up after a delay."""

    def __init__(self, rate: float) -> None:
        self._step: Final = 1 / rate
        self._next = time.monotonic()

    def wait(self, stop: threading.Event) -> None:
        """Sleep until the next frame is due."""
        self._next = max(self._next + self._step, time.monotonic() - self._step)
        stop.wait(max(0.0, self._next - time.monotonic()))
