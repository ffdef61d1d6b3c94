"""Measures the share of frames by reference in ordinary pipelines, and the cost of a copy."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks import transports
from benchmarks.pipelines import HD, Bench
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, combined, interleave, ratio, size
from benchmarks.transports import Transport

FPS = 60
MEMCPY = "floor: one memcpy"
SHARE_LIMIT, COPY_LIMIT = 99, 1.15
# Typical pipelines. In the first the source draws into the sink's memory, in the others the converter does.
PIPELINES = {
    "videotestsrc ! videoconvert ! queue": "videotestsrc ! videoconvert ! queue",
    "the same, converting": "videotestsrc ! video/x-raw,format=I420 ! videoconvert ! queue",
    "the same, with a live source": "videotestsrc is-live=true ! videoconvert ! queue",
}


def measure(bench: Bench, plan: Plan) -> Report:
    """Measure the share of frames that the sink sends without a copy, and what a copy adds to its time."""
    frames, many = plan.choose(5 * FPS, FPS), plan.choose(2000, 500)

    def share(source: str, way: Transport) -> Measurement:
        assert way.sink is not None
        # With the clock, as users run it.
        paced = replace(way, sink=way.sink.replace(" sync=false", ""))
        stream = bench.stream(paced, bench.render(source, frames, 0, HD), [bench.drain(HD)])
        counters = stream.sent["counters"]
        return {"share": counters["frames-zero-copy"] / max(1, counters["frames-sent"])}

    def cost(way: Transport) -> Measurement:
        stream = bench.stream(way, bench.publisher(many, 0, HD), [bench.receiver(HD)])
        return {"cpu": stream.sent["cpu_ns"] / many}

    copied = {way.name: transports.copying(way) for way in plan.ways}
    cases = {
        **{f"{way.name}: {name}": partial(share, line, way) for way in plan.ways for name, line in PIPELINES.items()},
        **{f"{way.name}: cost": partial(cost, way) for way in plan.ways},
        **{f"{way.name}: cost": partial(cost, way) for way in copied.values()},
        MEMCPY: lambda: {"cpu": bench.floor("copy", HD.bytes, 50)["copy_ns"]},
    }
    runs = interleave(cases, plan.rounds)
    memcpy = Series.of(MEMCPY, "µs", runs[MEMCPY], "cpu", 1e-3)
    everything, findings = [memcpy], []
    for way in plan.ways:
        is_ours = way is plan.ours
        for name in PIPELINES:
            series = Series.of(f"{way.name}: {name}: by reference", "%", runs[f"{way.name}: {name}"], "share", 100)
            findings.append(size(series.name, series, SHARE_LIMIT if is_ours else None, is_least=True))
        plain, with_copy = (
            Series.of(f"{each.name}: sink", "µs/frame", runs[f"{each.name}: cost"], "cpu", 1e-3)
            for each in (way, copied[way.name])
        )
        beyond = combined(f"{way.name}: copying beyond not", "µs/frame", lambda a, b: b - a, plain, with_copy)
        everything += [plain, with_copy, beyond]
        findings.append(ratio(f"{beyond.name}, to a memcpy", beyond, memcpy, COPY_LIMIT if is_ours else None))
    return Report(f"By reference or copied, {HD} BGR, {plan.rounds} rounds", everything, findings)
