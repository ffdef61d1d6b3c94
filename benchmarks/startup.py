"""Measures the time from the start of a process to its first frame."""

from __future__ import annotations

import time
from functools import partial

from benchmarks import transports
from benchmarks.pipelines import HD, Bench
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave
from benchmarks.transports import Transport

# Seconds until a subscriber waits for a publisher.
WAIT = 1.0


def measure(bench: Bench, plan: Plan) -> Report:
    """Measure joining a stream of 100 frames per second, and publishing to a waiting subscriber."""

    def joining(way: Transport) -> Measurement:
        with bench.domain(way.plugins) as place, bench.publisher(1, 0, HD)(place, way) as sender:
            sender.wait_until_ready()
            before = time.monotonic()
            with bench.receiver(HD)(place, way) as receiver:
                receiver.wait_until_ready()
                return {"seconds": time.monotonic() - before}

    def waiting(way: Transport) -> Measurement:
        with bench.domain(way.plugins) as place, bench.receiver(HD)(place, way) as receiver:
            time.sleep(WAIT)
            before = time.monotonic()
            with bench.publisher(1, 0, HD)(place, way):
                receiver.wait_until_ready()
                return {"seconds": time.monotonic() - before}

    ours = [*plan.ways, *plan.wanted([transports.to_python(), transports.from_python()])]
    cases = {
        **{f"{way.name}: publisher first": partial(joining, way) for way in [*ours, *plan.peers]},
        # Receivers of the peers need a publisher to connect to.
        **{f"{way.name}: subscriber first": partial(waiting, way) for way in ours},
    }
    order = ("publisher first", "subscriber first")
    optional = {f"{way.name}: {first}" for way in [*ours, *plan.peers] if not way.is_ours for first in order}
    runs = interleave(cases, plan.rounds, optional)
    series = [Series.of(name, "ms", results, "seconds", 1000) for name, results in runs.items()]
    return Report(f"Start-up, from the process to its first frame, {plan.rounds} rounds", series, [])
