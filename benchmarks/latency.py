"""Measures the latency of a frame by transport and size."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from benchmarks import rounds, transports
from benchmarks.charts import Chart
from benchmarks.pipelines import HD, HD720, UHD, VGA, Bench, Size
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Finding, Measurement, Series, combined, interleave, ratio, worst
from benchmarks.transports import Transport

FPS = 60
# For readers that do not sleep: at this rate, other work does not evict their data from the caches between two frames.
FAST_FPS = 1000
FLOOR = "floor: stamp + eventfd"
_BUSY = (transports.busy(), transports.busy_at_both_ends())
FLOORS = (transports.bare(), transports.bare_to_python())
SIZES = (VGA, HD720, HD, UHD)
FORMATS = tuple(Size(size.width, size.height, "NV12") for size in SIZES)
SHM_LIMIT, UNIXFD_LIMIT, FLOOR_LIMIT, SIZE_LIMIT = 0.8, 0.45, 3, 1.1
TO_PYTHON_LIMIT, UNIXFD_TO_PYTHON_LIMIT, FILLED_LIMIT, BUSY_LIMIT = 1.3, 0.5, 1.5, 10
QUEUED = 1_000_000_000  # bytes
_TIMES = ("p50", "p95", "p99")


def measure(bench: Bench, plan: Plan) -> Report:
    """Measure the time of a frame from one process to another, at 60 frames per second."""
    frames = plan.choose(2 * FPS, FPS // 2)

    def run(way: Transport, size: Size, fps: int = FPS) -> Measurement:
        # A transport that neither keeps up nor waits has all frames in memory at the end.
        count = frames if way.waits or way.is_ours else min(frames, QUEUED // size.bytes)
        stream = bench.stream(way, bench.publisher(count, fps, size), [bench.receiver(size)])
        received = stream.received[0]
        return {
            **{time: received[f"latency_{time}_ns"] for time in _TIMES},
            "sender": stream.sent["cpu_ns"] / stream.sent["frames"],
            "receiver": received["cpu_ns"] / max(1, received["frames"]),
            **{fault: received[fault] for fault in ("torn", "lost", "duplicated")},
        }

    def floor() -> Measurement:
        found = bench.floor("wake", frames, FPS)
        reader = found["reader"]
        ends = {"sender": found["cpu_ns"] / found["frames"], "receiver": reader["cpu_ns"] / reader["frames"]}
        return {**{time: reader[f"latency_{time}_ns"] for time in _TIMES}, **ends}

    ours = {way.name: way for way in _our_ways(plan)}
    measured = {(way.name, size): way for way in [*ours.values(), *FLOORS, *plan.peers] for size in _sizes(way, plan)}
    cases = {_case(name, size): partial(run, way, size) for (name, size), way in measured.items()}
    fast = [way for way in _BUSY if way.name in ours]
    cases |= {f"{_case(way.name, HD)}, {FAST_FPS} fps": partial(run, way, HD, FAST_FPS) for way in fast}
    optional = {_case(name, size) for (name, size), way in measured.items() if not way.is_ours}
    runs = interleave({FLOOR: floor, **cases}, plan.rounds, optional)

    def series(what: str, key: str, unit: str = "µs") -> dict[str, Series]:
        return {name: Series.of(f"{name}{what}", unit, results, key, 1e-3) for name, results in runs.items()}

    times = {time: series(f", {time}", time) for time in _TIMES}
    ends = {end: series(f": {end}", end, "µs/frame") for end in ("sender", "receiver")}
    faults = [
        Series.of(f"{name}: {fault}", "", results, fault)
        for name, results in runs.items()
        for fault in ("torn", "lost", "duplicated")
        if name != FLOOR and any(result[fault] for result in results)
    ]
    everything = [line for group in (*times.values(), *ends.values()) for line in group.values()]
    findings = [*_findings(plan, times["p50"]), *_faults(ours.values(), runs)]
    title = f"Latency, {frames} frames at {FPS} per second, {plan.rounds} rounds"
    return Report(title, [*everything, *faults], findings, _charts(measured, times, ends))


def _our_ways(plan: Plan) -> list[Transport]:
    from_python = [transports.from_python(), transports.between_pythons("fill"), transports.between_pythons("publish")]
    busy = [*_BUSY, transports.to_busy_python()]
    special = [transports.copying(plan.ours), transports.filled(), *busy, transports.to_python()]
    return [*plan.ways, *plan.wanted([*special, *from_python])]


def _sizes(way: Transport, plan: Plan) -> tuple[Size, ...]:
    if way in FLOORS:
        return (HD,)
    if plan.quick:
        return (VGA, HD, UHD) if way is plan.ours else (HD,)
    # For a Python program, only the number of bytes matters.
    return (*SIZES, *FORMATS) if way.is_native else SIZES


def _case(name: str, size: Size) -> str:
    return f"{name}, {size}"


def _findings(plan: Plan, medians: dict[str, Series]) -> Iterable[Finding]:
    ours, python, filled = plan.ours.name, transports.to_python().name, transports.between_pythons("fill").name
    of_all = [size for size in (*SIZES, *FORMATS) if _case(ours, size) in medians]

    def against(name: str, other: str | None, limit: float | None) -> Iterable[Finding]:
        pairs = ((_case(name, size), _case(other, size) if other != FLOOR else FLOOR) for size in of_all if other)
        each = [ratio(f"{a} to {b}", medians[a], medians[b], limit) for a, b in pairs if {a, b} <= medians.keys()]
        return worst(each)

    def named(start: str, *, native: bool) -> str | None:
        way = plan.peer(start, native=native)
        return way and way.name

    yield from against(ours, named("shm", native=True), SHM_LIMIT)
    yield from against(ours, named("unixfd", native=True), UNIXFD_LIMIT)
    yield from against(ours, FLOOR, FLOOR_LIMIT)
    for way in plan.ways:
        small, large = (medians.get(_case(way.name, size)) for size in (VGA, UHD))
        if small and large:
            yield ratio(f"{way.name}: {UHD} to {VGA}", large, small, SIZE_LIMIT if way is plan.ours else None)
    bare, bare_python = (_case(way.name, HD) for way in FLOORS)
    for way, to in ((_case(ours, HD), bare), (bare, FLOOR), (bare_python, bare), (_case(python, HD), bare_python)):
        if {way, to} <= medians.keys():
            yield ratio(f"{way} to {to}", medians[way], medians[to], None)
    yield from against(python, ours, TO_PYTHON_LIMIT)
    yield from against(python, named("unixfd", native=False), UNIXFD_TO_PYTHON_LIMIT)
    yield from against(filled, ours, FILLED_LIMIT)
    yield from against(filled, transports.filled().name, None)
    for way in _BUSY:
        for name in (_case(way.name, HD), f"{_case(way.name, HD)}, {FAST_FPS} fps"):
            if name in medians:
                yield rounds.size(f"{name}, p50", medians[name], BUSY_LIMIT)


def _faults(ways: Iterable[Transport], runs: dict[str, list[Measurement]]) -> Iterable[Finding]:
    ours = tuple(f"{way.name}, " for way in ways if way.is_ours)
    for fault in ("torn", "lost", "duplicated"):
        mine = [results for name, results in runs.items() if name.startswith(ours)]
        totals = [sum(results[turn][fault] for results in mine) for turn in range(len(mine[0]))]
        yield rounds.size(f"frames {fault}, of all our ways", Series(fault, "", tuple(map(float, totals))), 0)


def _charts(
    measured: Iterable[tuple[str, Size]], times: dict[str, dict[str, Series]], ends: dict[str, dict[str, Series]]
) -> list[Chart]:
    medians, rows, costs = times["p50"], {}, {}
    there = [(name, size) for name, size in measured if _case(name, size) in medians]
    for name, size in there:
        case = _case(name, size)
        if size.format == "BGR":
            rows.setdefault(name, {})[str(size)] = medians[case].median
        if size == HD:
            both = combined(case, "µs", lambda a, b: a + b, ends["sender"][case], ends["receiver"][case])
            costs[name] = {"both ends": both.median}
    rows[FLOOR] = {str(size): medians[FLOOR].median for size in SIZES if any(str(size) in row for row in rows.values())}
    by_size = {name: row for name, row in rows.items() if len(row) > 1}
    at_hd = {name: {"median": row[str(HD)]} for name, row in rows.items() if str(HD) in row}
    title = f"Latency at {FPS} frames per second"
    return [
        Chart("latency", f"{title}, {HD} BGR, median", "µs", at_hd, is_log=True),
        Chart("latency-by-size", f"{title}, BGR, median", "µs", by_size, is_log=True, is_line=True),
        Chart("cpu", f"Processor time per frame at {FPS} frames per second, {HD} BGR", "µs", costs, is_log=True),
    ]
