"""Measures the cost of a subscriber that receives nothing."""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

from benchmarks import transports
from benchmarks.pipelines import HD, Bench
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, size
from benchmarks.transports import Transport

WAKE_LIMIT, SHARE_LIMIT = 4, 0.1
# Seconds until all frames on their way have arrived.
CALM = 1.0


def measure(bench: Bench, plan: Plan) -> Report:
    """Measure wake-ups and processor time of a receiving process, with a stopped publisher and without a publisher."""
    seconds = 2 if plan.quick else 5

    def standing(way: Transport) -> Measurement:
        with bench.domain(way.plugins) as place, bench.publisher(1, 0, HD)(place, way) as sender:
            sender.wait_until_ready()
            with bench.receiver(HD)(place, way) as receiver:
                receiver.wait_until_ready()
                sender.signal(signal.SIGSTOP)
                return _watch(receiver.pid, seconds)

    def alone(way: Transport) -> Measurement:
        with bench.domain(way.plugins) as place, bench.receiver(HD)(place, way) as receiver:
            return _watch(receiver.pid, seconds)

    ways = [*plan.ways, *plan.wanted([transports.to_python()])]
    situations = {"publisher stands still": standing}
    if not plan.quick:
        situations["no publisher"] = alone
    cases = {f"{way.name}, {name}": partial(run, way) for way in ways for name, run in situations.items()}
    runs = interleave(cases, 1 if plan.quick else min(3, plan.rounds))
    wakes = {name: Series.of(f"{name}: wake-ups", "per second", results, "wakes") for name, results in runs.items()}
    shares = {name: Series.of(f"{name}: processor", "%", results, "share", 100) for name, results in runs.items()}
    others = tuple(f"{way.name}, " for way in plan.ways[1:])
    findings = [
        size(series.name, series, None if others and name.startswith(others) else limit)
        for group, limit in ((wakes, WAKE_LIMIT), (shares, SHARE_LIMIT))
        for name, series in group.items()
    ]
    return Report(f"Idle subscriber, {seconds} s", [], findings)


def _watch(pid: int, seconds: float) -> Measurement:
    time.sleep(CALM)
    wakes, busy, began = *used(pid), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    later, busier = used(pid)
    return {"wakes": (later - wakes) / took, "share": (busier - busy) / 1e9 / took}


def used(pid: int) -> tuple[int, int]:
    """Return how often the threads of a process went to sleep, and for how many nanoseconds they ran."""
    wakes = busy = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = (task / "status").read_text()
        wakes += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        busy += int((task / "schedstat").read_text().split()[0])
    return wakes, busy
