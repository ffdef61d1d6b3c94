"""Functions for clocks that run in a stage, called with `Stage.run`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst

if TYPE_CHECKING:
    from tests.gst.stage import Stage


class LateClock(Gst.SystemClock):  # type: ignore[misc]
    """A clock of an application, five seconds behind CLOCK_MONOTONIC."""

    def do_get_internal_time(self) -> int:
        return time.monotonic_ns() - 5 * Gst.SECOND


def replace_default_clock(stage: Stage) -> None:
    """Make another clock the default clock of the process."""
    stage.kept["clock"] = LateClock()
    Gst.SystemClock.set_default(stage.kept["clock"])


def use_clock(stage: Stage, kind: str, pipeline: str = "p") -> None:
    """Set the clock of a pipeline: ``realtime``, ``none``, or ``system``, which is the default."""
    clock = {
        "system": Gst.SystemClock.obtain,
        "realtime": lambda: GObject.new(Gst.SystemClock, clock_type=Gst.ClockType.REALTIME),
        "none": lambda: None,
    }[kind]()
    stage.pipelines[pipeline].use_clock(clock)


def base_time(stage: Stage, element: str, pipeline: str = "p") -> int:
    """Return the base time of an element, in nanoseconds of its pipeline's clock."""
    return int(stage.element(element, pipeline).get_base_time())


def note_arrivals(stage: Stage, element: str, pipeline: str = "p") -> None:
    """Note when each buffer reaches an element. `arrivals` returns the times."""
    noted: list[list[int]] = []
    stage.kept[f"arrivals of {element}"] = noted

    def note(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        noted.append([info.get_buffer().offset, time.monotonic_ns()])
        return Gst.PadProbeReturn.OK

    stage.element(element, pipeline).get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, note)


def arrivals(stage: Stage, element: str) -> list[list[int]]:
    """Return the offset of each buffer and its arrival in nanoseconds of CLOCK_MONOTONIC."""
    return stage.kept[f"arrivals of {element}"]


def start_at_zero(stage: Stage, pipeline: str = "p") -> None:
    """Keep a pipeline's base time at 0, so that running time is clock time."""
    stage.pipelines[pipeline].set_start_time(Gst.CLOCK_TIME_NONE)
    stage.pipelines[pipeline].set_base_time(0)
