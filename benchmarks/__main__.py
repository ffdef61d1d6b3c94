"""Runs the benchmarks, prints their results, and writes all values as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import fanout, idle, latency, markdown, memory, path, startup, svg, throughput, unpaced, work
from benchmarks.machine import load, machine
from benchmarks.peers import peers
from benchmarks.pipelines import OUT, Bench, build
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.transports import AGAINST_VARIABLE, iceoryx2, named_builds, other_build

BENCHMARKS = {
    "latency": latency,
    "unpaced": unpaced,
    "work": work,
    "throughput": throughput,
    "path": path,
    "fanout": fanout,
    "startup": startup,
    "memory": memory,
    "idle": idle,
}


def main() -> int:
    """Run the benchmarks and return 1 if one could not run. A missed goal is reported, but is not a failure."""
    arguments = _arguments()
    try:
        bench, plan = Bench(arguments.program or build()), _plan(arguments)
        facts, busy = machine(), load()
    except RuntimeError as exc:
        print(f"benchmark: {exc}", file=sys.stderr)
        return 1
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    print(f"load before: {busy:.1f}")
    if busy > 0.5:
        print("Other programs use the machine: compare ratios, not times.")
    reports = _run(arguments.only, bench, plan)
    facts["load before"], facts["load after"] = busy, load()
    settings = {
        "quick": plan.quick,
        "rounds": plan.rounds,
        "ways": [way.name for way in plan.ways],
        "peers": {way.name: {"copies": way.copies} for way in plan.peers},
    }
    data = {name: report.as_data() for name, report in reports.items()}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"machine": facts, "settings": settings, "benchmarks": data}, indent=1))
    if arguments.plots:
        for file in svg.write([chart for report in reports.values() for chart in report.charts], arguments.plots):
            print(f"wrote {file}")
    if arguments.markdown:
        print("", *markdown.lines(facts, reports.values()), sep="\n")
    findings = [finding for report in reports.values() for finding in report.findings if finding.limit is not None]
    kept = sum(finding.holds for finding in findings)
    print(f"\n{kept} of {len(findings)} goals reached. All values: {arguments.json}")
    return 0 if len(reports) == len(arguments.only) else 1


def _run(names: Sequence[str], bench: Bench, plan: Plan) -> dict[str, Report]:
    """Return the reports of all benchmarks that could run, so that a late failure does not lose an hour's work."""
    reports = {}
    for name in names:
        started = time.monotonic()
        try:
            report = BENCHMARKS[name].measure(bench, plan)
        except RuntimeError as exc:
            print(f"benchmark: {name}: {exc}", file=sys.stderr)
            continue
        reports[name] = report
        print(report, f"\n  took {time.monotonic() - started:.0f} s", flush=True)
    return reports


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer frames and rounds: under two minutes")
    parser.add_argument("--rounds", type=int, help="runs of each case (default: 7, quick 1)")
    parser.add_argument("--frames", type=int, help="frames of each run (default: chosen by the benchmark)")
    parser.add_argument(
        "--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help=f"compare another plugin that has these elements (also: the variable {AGAINST_VARIABLE})",
    )
    parser.add_argument(
        "--ways",
        nargs="*",
        metavar="NAME",
        help="besides the plain transport, measure only those whose names begin with NAME (none given: none of them)",
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write each chart to this folder as SVG")
    parser.add_argument("--markdown", action="store_true", help="print the tables for the README")
    parser.add_argument(
        "--program", type=Path, metavar="FILE", help="use this compiled example instead of compiling it"
    )
    parser.add_argument("--json", type=Path, default=OUT / "benchmark.json", metavar="FILE")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 7)
    arguments.against = [folder.resolve() for folder in [*arguments.against, *named_builds()]]
    return arguments


def _plan(arguments: argparse.Namespace) -> Plan:
    found, missing = peers()
    for name, reason in missing.items():
        if arguments.ways is None:
            print(f"left out: {name}: {reason}")
    ways = [iceoryx2(), *map(other_build, arguments.against)]
    names = None if arguments.ways is None else tuple(arguments.ways)
    plan = Plan(ways, (), arguments.quick, arguments.rounds, arguments.frames, names)
    return replace(plan, peers=plan.wanted(found))


if __name__ == "__main__":
    sys.exit(main())
