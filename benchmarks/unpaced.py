"""Measures throughput, and the cost of a frame at each end, if producing frames costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from benchmarks import transports
from benchmarks.charts import Chart
from benchmarks.pipelines import HD, UHD, VGA, Bench, Size, Stream
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Finding, Measurement, Series, interleave, ratio, size, worst
from benchmarks.transports import Transport

HOP = "appsrc → appsink"
HOP_LIMIT, SHM_LIMIT, UNIXFD_LIMIT, COST_LIMIT = 0.75, 2, 5, 5
# 100,000 frames per second if the hop makes 240,000.
PYTHON_LIMIT = 100 / 240
# Bytes that a copying transport may move in a run.
MUCH, LITTLE = 2_000_000_000, 500_000_000


def measure(bench: Bench, plan: Plan) -> Report:
    """Measure the frames that arrive, by the receiver's clock, and the processor time of each end per frame."""
    frames = plan.choose(50_000, 10_000)

    def run(way: Transport, size: Size) -> Measurement:
        count = frames
        if way.copies or not way.is_ours:
            # Copying transports are slower and need fewer frames; one of them keeps all waiting frames in memory.
            count = max(20, min(frames, (LITTLE if plan.quick else MUCH) // max(1, way.copies) // size.bytes))
        stream = bench.stream(way, bench.publisher(count, 0, size), [bench.receiver(size)])
        received = stream.received[0]
        arrived = max(1, received["frames"])
        return {
            "fps": arrived / received["wall_ns"] * 1e9,
            "sent": count / stream.sent["wall_ns"] * 1e9,
            "sender": stream.sent["cpu_ns"] / count,
            "receiver": received["cpu_ns"] / arrived,
            "copies": _copies(way, stream),
            **{fault: received[fault] / count for fault in ("torn", "lost", "duplicated")},
        }

    def hop(size: Size) -> Measurement:
        found = bench.hop(frames, size)
        fps = frames / found["wall_ns"] * 1e9
        return {"fps": fps, "sent": fps, "sender": found["cpu_ns"] / frames / 2, "receiver": 0.0}

    sizes = (HD,) if plan.quick else (VGA, HD, UHD)
    ours = {way.name: way for way in _our_ways(plan)}
    ways = [*ours.values(), *plan.peers]
    cases = {
        **{f"{HOP}, {size}": partial(hop, size) for size in sizes},
        **{f"{way.name}, {size}": partial(run, way, size) for way in ways for size in sizes},
    }
    optional = {f"{way.name}, {size}" for way in ways if not way.is_ours for size in sizes}
    runs = interleave(cases, plan.rounds, optional)
    rates = {name: Series.of(name, "frames/s", results, "fps") for name, results in runs.items()}
    sent = {
        f"{name}: sent": Series.of(f"{name}: sent", "frames/s", results, "sent")
        for name, results in runs.items()
        if any(result.get("lost") for result in results)
    }
    costs = {
        f"{name}: {end}": Series.of(f"{name}: {end}", "µs/frame", results, end, 1e-3)
        for name, results in runs.items()
        for end in ("sender", "receiver")
        if not name.startswith(HOP)
    }
    faults = [
        Series.of(f"{name}: {fault}", "%", results, fault, 100)
        for name, results in runs.items()
        for fault in ("torn", "lost", "duplicated")
        if any(result.get(fault) for result in results)
    ]
    findings = [*_findings(plan, sizes, rates, costs), *_losses(runs, ours)]
    title = f"Unpaced, {frames} frames, {plan.rounds} rounds"
    return Report(
        title, [*rates.values(), *sent.values(), *costs.values(), *faults], findings, _charts(ways, runs, rates, costs)
    )


def _our_ways(plan: Plan) -> list[Transport]:
    to_python = transports.to_python()
    waiting = [transports.lossless(plan.ours), transports.lossless(to_python)]
    copies = [transports.copying(plan.ours), transports.between_pythons("publish")]
    python = [to_python, transports.from_python(), transports.between_pythons()]
    return [*plan.ways, *plan.wanted([*waiting, *python, *copies])]


def _copies(way: Transport, stream: Stream) -> float:
    """Return the copies of the pixels per frame: as counted by the elements, or else as known of the transport."""
    sink, source = stream.sent.get("counters", {}), stream.received[0].get("counters", {})
    if "frames-copied" not in sink or "frames-copied" not in source:
        return way.copies
    shares = sink["frames-copied"] / sink["frames-sent"], source["frames-copied"] / source["frames-received"]
    return float(sum(shares))


def _findings(
    plan: Plan, sizes: Iterable[Size], rates: Mapping[str, Series], costs: Mapping[str, Series]
) -> Iterable[Finding]:
    # The hop and the peers wait for a slower receiver. A transport that does not wait loses frames and sends faster.
    ours, python = (transports.lossless(way).name for way in (plan.ours, transports.to_python()))

    def against(name: str, other: str, limit: float) -> Iterable[Finding]:
        pairs = [(f"{name}, {size}", f"{other}, {size}") for size in sizes]
        there = [(a, b) for a, b in pairs if {a, b} <= rates.keys()]
        each = [ratio(f"{a}: frames/s to {b}", rates[a], rates[b], limit, is_least=True) for a, b in there]
        return worst(each)

    yield from against(ours, HOP, HOP_LIMIT)
    for start, limit in (("shm", SHM_LIMIT), ("unixfd", UNIXFD_LIMIT)):
        peer = plan.peer(start, native=True)
        if peer is not None:
            yield from against(ours, peer.name, limit)
    for end in ("sender", "receiver"):
        names = [f"{name}, {place}: {end}" for name in (plan.ours.name, ours) for place in sizes]
        each = [costs[name] for name in names if name in costs]
        yield from worst([size(series.name, series, COST_LIMIT) for series in each])
    yield from against(python, HOP, PYTHON_LIMIT)


def _losses(runs: Mapping[str, list[Measurement]], ours: Mapping[str, Transport]) -> Iterable[Finding]:
    mine = {name: way for name in runs for way in ours.values() if way.is_ours and name.rpartition(", ")[0] == way.name}
    for what, fault, names in (
        ("frames lost, lossless", "lost", [name for name, way in mine.items() if way.waits]),
        ("frames torn, of all our ways", "torn", list(mine)),
        ("frames duplicated, of all our ways", "duplicated", list(mine)),
    ):
        if not names:
            continue
        rounds = zip(*(runs[name] for name in names), strict=True)
        totals = tuple(100 * sum(result[fault] for result in turn) for turn in rounds)
        yield size(what, Series(what, "%", totals), 0)


def _charts(
    ways: Iterable[Transport],
    runs: Mapping[str, Sequence[Measurement]],
    rates: Mapping[str, Series],
    costs: Mapping[str, Series],
) -> list[Chart]:
    hop = {HOP: {"frames per second": rates[f"{HOP}, {HD}"].median}}
    there = [way for way in ways if f"{way.name}, {HD}" in rates]
    speed = {way.name: {"frames per second": rates[f"{way.name}, {HD}"].median} for way in there}
    ends = ("sender", "receiver")
    work = {way.name: {end: costs[f"{way.name}, {HD}: {end}"].median for end in ends} for way in there}
    copies = {way.name: {"copies": max(run["copies"] for run in runs[f"{way.name}, {HD}"])} for way in there}
    return [
        Chart("copies", f"Copies of the pixels, {HD} BGR, unpaced", "per frame", copies),
        Chart("throughput", f"Frames per second, {HD} BGR, unpaced", "frames/s", {**hop, **speed}, is_log=True),
        Chart("work", f"Processor time per frame, {HD} BGR, unpaced", "µs", work, is_log=True),
    ]
