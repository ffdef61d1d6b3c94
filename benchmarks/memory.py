"""Measures how much shared memory a 1080p stream reserves and touches."""

from __future__ import annotations

from functools import partial

from benchmarks import transports
from benchmarks.pipelines import HD, Bench, Place, Process
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, size
from benchmarks.throughput import SOURCE
from benchmarks.transports import Transport

FPS = 30
MEGABYTE = 1_000_000
RESERVED_LIMIT, TOUCHED_LIMIT = 256, 64


def measure(bench: Bench, plan: Plan) -> Report:
    """Send drawn frames of 1080p BGR to a Python program and to a second pipeline, like the demo."""
    publisher = bench.render(SOURCE, plan.choose(5 * FPS, 2 * FPS), FPS, HD)
    receiver = bench.receiver(HD)

    def python(place: Place, _: Transport) -> Process:
        return receiver(place, transports.to_python())

    def run(way: Transport) -> Measurement:
        memory = bench.stream(way, publisher, [python, bench.drain(HD)]).memory
        return {"reserved": memory.reserved, "touched": memory.touched}

    way = plan.ours
    runs = interleave({way.name: partial(run, way)}, 1 if plan.quick else min(plan.rounds, 3))[way.name]
    reserved = Series.of("reserved", "MB", runs, "reserved", 1 / MEGABYTE)
    touched = Series.of("touched", "MB", runs, "touched", 1 / MEGABYTE)
    findings = [size("reserved", reserved, RESERVED_LIMIT), size("touched", touched, TOUCHED_LIMIT)]
    return Report(f"Shared memory, {HD} BGR at {FPS} frames per second to two consumers", [], findings)
