"""Measures the cost of each further subscriber for the publisher."""

from __future__ import annotations

from functools import partial

from benchmarks.charts import Chart
from benchmarks.pipelines import HD, Bench
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, combined, interleave, ratio
from benchmarks.transports import Transport

FPS = 60
FLOOR = "floor: sendto"
LIMIT = 1.5
COUNTS = (1, 2, 4, 8)


def measure(bench: Bench, plan: Plan) -> Report:
    """Measure the publisher's processor time per frame at 60 frames per second, if all readers sleep between frames."""
    frames = plan.choose(3 * FPS, FPS)
    counts = (COUNTS[0], COUNTS[-1]) if plan.quick else COUNTS
    peer = plan.peer("shm", native=True)
    ways = [*plan.ways, *([peer] if peer else [])]

    def run(way: Transport, count: int) -> Measurement:
        stream = bench.stream(way, bench.publisher(frames, FPS, HD), [bench.receiver(HD)] * count)
        return {"cpu": stream.sent["cpu_ns"] / frames, "lost": sum(each["lost"] for each in stream.received)}

    def floor(count: int) -> Measurement:
        return {"cpu": bench.floor("send", count, frames, FPS)["cpu_ns"] / frames, "lost": 0}

    cases = {
        **{f"{FLOOR}, {count}": partial(floor, count) for count in counts},
        **{f"{way.name}, {count}": partial(run, way, count) for way in ways for count in counts},
    }
    optional = {f"{way.name}, {count}" for way in ways if way is not plan.ours for count in counts}
    runs = interleave(cases, plan.rounds, optional)
    cpu = {name: Series.of(name, "µs/frame", results, "cpu", 1e-3) for name, results in runs.items()}
    lost = [Series.of(f"{name}: lost", "", results, "lost") for name, results in runs.items()]
    first, last = counts[0], counts[-1]

    def further(name: str) -> Series:
        few, many = cpu[f"{name}, {first}"], cpu[f"{name}, {last}"]
        label = f"{name}: each further subscriber"
        return combined(label, "µs/frame", lambda a, b: (b - a) / (last - first), few, many)

    names = [
        name for name in (FLOOR, *(way.name for way in ways)) if all(f"{name}, {count}" in cpu for count in counts)
    ]
    slopes = {name: further(name) for name in names}
    findings = [
        ratio(f"{slope.name}, to a sendto", slope, slopes[FLOOR], LIMIT if name == plan.ours.name else None)
        for name, slope in slopes.items()
        if name != FLOOR
    ]
    rows = {name: {str(count): cpu[f"{name}, {count}"].median for count in counts} for name in names}
    chart = Chart(
        "fan-out", f"Processor time of the publisher a frame, by subscribers, {HD} BGR", "µs", rows, is_line=True
    )
    title = f"Fan-out, {frames} frames at {FPS} fps to {', '.join(map(str, counts))} subscribers, {plan.rounds} rounds"
    everything = [*cpu.values(), *slopes.values(), *(series for series in lost if any(series.values))]
    return Report(title, everything, findings, [chart])
