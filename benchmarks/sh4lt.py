"""Compares Sh4lt writers and readers with bare ones in C, in the same run: `python -m benchmarks.sh4lt`.

The bare ones (lockstep.c) do what the protocol asks for and nothing else: the semaphores, one message and one memcpy a
frame. So do those in Python (python_lockstep.py): the least that the interpreter can do. Cost is the processor time of
both ends together; as fast as the frames go it is the time on the wall as well.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.machine import load, machine
from benchmarks.pipelines import HD, OUT, VGA, Bench, BenchmarkError, Place, Process, Size, build
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, ratio, size
from benchmarks.transports import Transport, nothing
from gst_iceoryx2 import plugin_path

FPS = 60
LIMIT = 1.25
LATENCY_LIMIT = 300  # µs, at 640×480
BARE, ELEMENTS, PYTHON = "bare C", "sh4ltsink → sh4ltsrc", "Writer → Follower"
BARE_PYTHON = "bare Python"
FEEDING = "the elements' feed alone"
PATH = '"{folder}/s"'
# sync=false, because the publisher sets the pace.
WAY = Transport("sh4lt", f"sh4ltsink socket-path={PATH} sync=false", f"sh4ltsrc socket-path={PATH}", plugin_path())


def compile_lockstep(folder: Path) -> Path:
    """Compile the bare writer and reader."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("the bare ends need a C compiler, and there is no cc")
    program = folder / "lockstep"
    subprocess.run([compiler, "-O2", "-o", program, Path(__file__).with_name("lockstep.c")], check=True)
    return program


def measure(bench: Bench, lockstep: Path, *, quick: bool, rounds: int) -> Report:
    """Measure each pair of writer and reader, at 60 frames per second and without a limit."""

    def command(*parts: object) -> Callable[[Place, Transport], Process]:
        return lambda place, _: place.start(*(f"{place.folder}/s" if part == PATH else part for part in parts))

    def drawn(feed: Callable[[Place, Transport], Process]) -> Callable[[Place, Transport], Process]:
        # The feed writes a stamp only. Memory that was never written to is one page of zeros, which costs next to
        # nothing to read: here the C library writes to all that it hands out.
        environment = {"MALLOC_PERTURB_": "85"}
        return lambda place, way: feed(replace(place, environment=place.environment | environment), way)

    def run(pair: str, fps: int, frames: int, of: Size) -> Measurement:
        module = (sys.executable, "-m", f"benchmarks.python_{'lockstep' if pair == BARE_PYTHON else 'sh4lt'}")
        numbers = (PATH, frames, fps, of.bytes)
        writer, reader = {
            BARE: (command(lockstep, "write", *numbers), command(lockstep, "read", PATH)),
            ELEMENTS: (drawn(bench.feed(frames, fps, of)), bench.drain(of)),
        }.get(pair, (command(*module, "write", *numbers), command(*module, "read", PATH)))
        stream = bench.stream(WAY, writer, [reader])
        sent, received = stream.sent, stream.received[0]
        if received["frames"] != frames:
            raise BenchmarkError(f"{pair}: {received['frames']} of {frames} frames arrived")
        return {
            "processor": (sent["cpu_ns"] + received["cpu_ns"]) / frames,
            "wall": sent["wall_ns"] / frames,
            "latency": received["latency_p50_ns"],
        }

    def feed_alone(fps: int, frames: int, of: Size) -> Measurement:
        return {"processor": bench.stream(nothing(), drawn(bench.feed(frames, fps, of))).sent["cpu_ns"] / frames}

    frames = {(FPS, VGA): 240, (FPS, HD): 240, (0, VGA): 4000, (0, HD): 1500}
    pairs = (BARE, ELEMENTS, PYTHON, BARE_PYTHON)
    cases = {
        (pair, fps, of): partial(run, pair, fps, count // (2 if quick else 1), of)
        for (fps, of), count in frames.items()
        for pair in pairs
    }
    # GStreamer's cost of one side, for every transport.
    cases |= {
        (FEEDING, fps, VGA): partial(feed_alone, fps, frames[fps, VGA] // (2 if quick else 1), VGA) for fps in (0, FPS)
    }
    names = {f"{pair}, {of}, {f'{fps} fps' if fps else 'unpaced'}": (pair, fps, of) for pair, fps, of in cases}
    runs = interleave({name: cases[case] for name, case in names.items()}, rounds)

    def series(case: tuple[str, int, Size], what: str) -> Series:
        name = next(name for name, known in names.items() if known == case)
        unit = "µs" if what == "latency" else "µs/frame"
        return Series.of(f"{name}: {what}", unit, runs[name], what, 1e-3)

    told, findings = [], []
    for fps, of in frames:
        for what in ("processor", "latency") if fps else ("processor", "wall"):
            values = {pair: series((pair, fps, of), what) for pair in pairs}
            told += values.values()
            if what == "processor" and of == VGA:
                told.append(series((FEEDING, fps, of), what))
            for pair in (ELEMENTS, PYTHON):
                if what == "latency":
                    findings.append(size(values[pair].name, values[pair], LATENCY_LIMIT if of == VGA else None))
                else:
                    findings.append(ratio(f"{values[pair].name}, to {BARE}", values[pair], values[BARE], LIMIT))
            bare = values[BARE_PYTHON]
            findings.append(ratio(f"{values[PYTHON].name}, to {BARE_PYTHON}", values[PYTHON], bare, None))
            if what != "latency":
                findings.append(ratio(f"{bare.name}, to {BARE}", bare, values[BARE], None))
    return Report(f"Sh4lt, {rounds} rounds", told, findings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half the frames, fewer rounds")
    parser.add_argument("--rounds", type=int, help="runs of each case (default: 7, quick 3)")
    parser.add_argument("--json", type=Path, default=OUT / "sh4lt.json", metavar="FILE")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="lockstep") as folder:
            bench, lockstep = Bench(build()), compile_lockstep(Path(folder))
            facts = machine() | {"load before": load()}
            print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n", flush=True)
            report = measure(bench, lockstep, quick=arguments.quick, rounds=arguments.rounds or 7 - 4 * arguments.quick)
    except (BenchmarkError, RuntimeError) as exc:
        print(f"benchmark: {exc}", file=sys.stderr)
        return 1
    print(report)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"machine": facts, "sh4lt": report.as_data()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
