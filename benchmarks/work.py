"""Measures the processor time of a frame by reference, of the whole process, without a limit of the rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks import transports
from benchmarks.pipelines import HD, Bench, Stream
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, ratio
from benchmarks.transports import Transport, nothing

HOP, FEEDING = "appsrc → appsink", "the feed alone"
RECEIVE, SEND, WAKE = "Python: receive + array view", "Python: loan + send", "Python: loan + send + wake-up"
ELEMENT_LIMIT, PYTHON_LIMIT = 1.5, 3


def measure(bench: Bench, plan: Plan) -> Report:
    """Compare each side of a transport with a side of the hop from an appsrc to an appsink in one process."""
    ways, rounds = plan.ways, plan.rounds
    frames = plan.choose(50_000, 10_000)
    feed, drain = bench.feed(frames, 0, HD), bench.drain(HD)

    def both_ends(way: Transport) -> Measurement:
        stream = bench.stream(way, feed, [drain])
        return {"sink": _cost(stream.sent), "source": _cost(stream.received[0]), **_delivered(stream)}

    def receive() -> Measurement:
        stream = bench.stream(transports.to_python(), feed, [bench.receiver(HD)])
        return {"cpu": _cost(stream.received[0]), **_delivered(stream)}

    def send(behind: bool) -> Measurement:
        way = transports.from_python()
        stream = bench.stream(way, bench.publisher(frames, 0, HD), [bench.drain(HD, behind)])
        return {"cpu": _cost(stream.sent), **_delivered(stream)}

    cases: dict[str, Callable[[], Measurement]] = {
        HOP: lambda: {"cpu": _cost(bench.hop(frames, HD)) / 2},
        FEEDING: lambda: {"cpu": _cost(bench.stream(nothing(), feed).sent)},
        **{way.name: partial(both_ends, way) for way in ways},
        RECEIVE: receive,
        # A faster reader must be woken for each frame, and the kernel charges that work to the sender.
        SEND: partial(send, True),
        WAKE: partial(send, False),
    }
    runs = interleave(cases, rounds)
    unit = "µs/frame"
    side = Series.of(f"{HOP}, a side", unit, runs[HOP], "cpu")
    feeding = Series.of(FEEDING, unit, runs[FEEDING], "cpu")
    ends = [Series.of(f"{way.name}: {end}", unit, runs[way.name], end) for way in ways for end in ("sink", "source")]
    python = [Series.of(name, unit, runs[name], "cpu") for name in (RECEIVE, SEND, WAKE)]
    shares = [
        Series.of(f"{name}: frames that arrived", "%", runs[name], "delivered", 100)
        for name in (*(way.name for way in ways), RECEIVE, WAKE)
    ]
    findings = [
        *(
            ratio(f"{end.name}, to a side", end, side, ELEMENT_LIMIT if place < 2 else None)
            for place, end in enumerate(ends)
        ),
        *(ratio(f"{end.name}, to a side", end, side, PYTHON_LIMIT) for end in python[:2]),
        ratio(f"{WAKE}, to a side", python[2], side, None),
    ]
    title = f"Work a frame, {frames} frames of {HD}, {rounds} rounds"
    return Report(title, [side, feeding, *ends, *python, *shares], findings)


def _cost(result: Mapping[str, float]) -> float:
    return result["cpu_ns"] / result["frames"] / 1000


def _delivered(stream: Stream) -> Measurement:
    return {"delivered": stream.received[0]["frames"] / stream.sent["frames"]}
