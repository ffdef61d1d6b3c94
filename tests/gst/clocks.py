"""What tests do with clocks inside a stage; called with `Stage.run`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst

if TYPE_CHECKING:
    from tests.gst.stage import Stage


def use_clock(stage: Stage, kind: str, pipeline: str = "p") -> None:
    """Give a pipeline a clock of its own: ``realtime``, ``none``, or ``system`` as it would have anyway."""
    clock = {
        "system": Gst.SystemClock.obtain,
        "realtime": lambda: GObject.new(Gst.SystemClock, clock_type=Gst.ClockType.REALTIME),
        "none": lambda: None,
    }[kind]()
    stage.pipelines[pipeline].use_clock(clock)


def base_time(stage: Stage, element: str, pipeline: str = "p") -> int:
    """Base time of an element, nanoseconds of its pipeline's clock."""
    return int(stage.element(element, pipeline).get_base_time())


def latency(stage: Stage, pipeline: str = "p") -> list[Any]:
    """Whether a pipeline is live, and its minimum and maximum latency in nanoseconds."""
    query = Gst.Query.new_latency()
    assert stage.pipelines[pipeline].query(query)
    return list(query.parse_latency())


def note_arrivals(stage: Stage, element: str, pipeline: str = "p") -> None:
    """Note when each buffer reaches an element: `arrivals` answers it."""
    noted: list[list[int]] = []
    stage.kept[f"arrivals of {element}"] = noted

    def note(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        noted.append([info.get_buffer().offset, time.monotonic_ns()])
        return Gst.PadProbeReturn.OK

    stage.element(element, pipeline).get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, note)


def arrivals(stage: Stage, element: str) -> list[list[int]]:
    """Offset of each buffer, and when it came in nanoseconds of CLOCK_MONOTONIC."""
    return stage.kept[f"arrivals of {element}"]


def start_at_zero(stage: Stage, pipeline: str = "p") -> None:
    """Keep a pipeline's base time at 0, so that running time is clock time."""
    stage.pipelines[pipeline].set_start_time(Gst.CLOCK_TIME_NONE)
    stage.pipelines[pipeline].set_base_time(0)
