"""Measures the cost of the transport if a source draws every frame."""

from __future__ import annotations

from functools import partial

from benchmarks.pipelines import HD, Bench
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, ratio
from benchmarks.transports import Transport, nothing

# This pattern is drawn for every frame; a still pattern is drawn once.
SOURCE = "videotestsrc pattern=ball"
LOSS = 0.05


def measure(bench: Bench, plan: Plan) -> Report:
    """Measure the publisher's time per frame with one receiving pipeline in another process, relative to a fakesink."""
    ways, rounds = plan.ways, plan.rounds
    frames = plan.choose(400, 100)
    publisher = bench.render(SOURCE, frames, 0, HD)

    def run(way: Transport) -> Measurement:
        stream = bench.stream(way, publisher, [bench.drain(HD)] if way.source else [])
        return {
            "fps": stream.sent["frames"] / stream.sent["wall_ns"] * 1e9,
            "cpu": sum(end["cpu_ns"] for end in (stream.sent, *stream.received)) / stream.sent["frames"],
        }

    base = nothing()
    runs = interleave({way.name: partial(run, way) for way in (base, *ways)}, rounds)
    fps, cpu = (
        {name: Series.of(f"{name}{what}", unit, results, key, scale) for name, results in runs.items()}
        for what, unit, key, scale in (
            ("", "frames/s", "fps", 1),
            (", processor time of all", "ms/frame", "cpu", 1e-6),
        )
    )
    findings = []
    for way in ways:
        limit = 1 - LOSS if way is plan.ours else None
        name = f"{way.name}: frames/s to {base.name}"
        findings.append(ratio(name, fps[way.name], fps[base.name], limit, is_least=True))
        findings.append(ratio(f"{way.name}: processor time to {base.name}", cpu[way.name], cpu[base.name], None))
    title = f"Throughput, {frames} frames of {HD} from {SOURCE}, {rounds} rounds"
    return Report(title, [*fps.values(), *cpu.values()], findings)
