"""Measures `iox2-video serve`: idle streams, the first frame, shared conversions, the extra hop, and quick cycles.

Usage: python -m benchmarks.serve [--only idle start readers hop cycles] [--rounds 7] [--quick] [--program FILE]

Every case has a private domain with a supervisor and readers, each a process of its own. `--program` is the compiled
example `bench`, which `hop` needs as its publisher. `python -m benchmarks.conversion` measures the conversions alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks import transports
from benchmarks.conversion import SIZE
from benchmarks.idle import used
from benchmarks.machine import ROOT, load, machine
from benchmarks.pipelines import SERVICE, Bench, Size, build
from benchmarks.report import Report
from benchmarks.rounds import Finding, Measurement, Series, combined, interleave, ratio, size
from tests.conftest import Place

IDLE_SHARE_LIMIT, IDLE_MEMORY_LIMIT = 0.2, 80.0
START_IMPORTS, START_EXTRA = 2, 150
FOUR_READERS_LIMIT, OWN_CONVERSIONS_LIMIT = 1.25, 0.35
HOP_LIMIT = 1.5
STREAMS, READERS = 8, 4
TIMEOUT = 60.0
# Seconds until everything that a start caused is done.
CALM = 1.5

RENDITION = f"cam0@{SIZE[0]}x{SIZE[1]}-RGB"
# One picture of 1080p NV12 needs a conversion of about a millisecond.
HD_STREAM = '[streams.cam0]\ntest = true\nsize = "1920x1080"\nformat = "NV12"\nfps = 30\nstop_after = 0\n'
SMALL_STREAM = HD_STREAM.replace("1920x1080", "320x180")
SMALL = Size(64, 48)
FPS = 60
# Installed packages have byte code, so the worktree gets it as well.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass
class Serving:
    """A running supervisor.

    Attributes:
        process: Its process.
        place: Its domain.
        environment: The environment of programs in this domain.
    """

    process: subprocess.Popen[bytes]
    place: Place
    environment: dict[str, str]
    log: Path
    _reading: ExitStack = field(default_factory=ExitStack)

    def tree(self) -> dict[int, str]:
        """Return the command lines of the supervisor and all its descendants, by process ID."""
        found: dict[int, str] = {}
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
        return found

    def descriptors(self) -> int:
        """Return the number of the supervisor's open files."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def reader(self, what: str, name: str) -> subprocess.Popen[str]:
        """Start a reader, which ends with this supervisor at the latest."""
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serve_reader", what, name],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reading.callback(_end, child)
        return child

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not happen within {TIMEOUT:g} s: {self.log.read_text()[-2000:]}")
            time.sleep(0.005)

    def close(self) -> None:
        """End the readers and the supervisor."""
        self._reading.close()
        self.process.terminate()
        self.process.wait(TIMEOUT)


@contextmanager
def serving(text: str | None) -> Iterator[Serving]:
    """Run a supervisor with the text of a file; None = without a file."""
    place = Place()
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder, "streams.toml"), Path(folder, "log")
        file.write_text(text or "")
        environment = _ENVIRONMENT | {"IOX2_VIDEO_DOMAIN": place.variable}
        with log.open("wb") as out:
            process = start_supervisor(environment, out, file if text else None)
        found = Serving(process, place, environment, log)
        try:
            found.wait(lambda: any(place.root.glob("*served_*.json")), "the start of the supervisor")
            yield found
        finally:
            found.close()
            place.remove()


def start_supervisor(environment: dict[str, str], out: object, file: Path | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gst_iceoryx2", "serve", *([] if file is None else [str(file)])]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)  # type: ignore[call-overload,no-any-return]


def idle(seconds: float) -> Measurement:
    """Measure a supervisor of cameras that nobody reads."""
    text = "".join(f'[streams.cam{number}]\ncamera = "/dev/video{number}"\n' for number in range(STREAMS))
    with serving(text) as serve:
        time.sleep(CALM)
        pids = serve.tree()
        (wakes, busy), began = _used(pids), time.monotonic()
        time.sleep(seconds)
        took, (later, busier) = time.monotonic() - began, _used(pids)
        return {
            "share": (busier - busy) / 1e9 / took,
            "wakes": (later - wakes) / took,
            "private": sum(map(_private_bytes, pids)),
            "processes": len(serve.tree()),
            "cameras": sum(map(_open_cameras, serve.tree())),
        }


def importing() -> Measurement:
    """Measure the imports that every reader with numpy and PyAV needs."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import gst_iceoryx2.video, av"], check=True, cwd=ROOT, env=_ENVIRONMENT)
    return {"ms": (time.monotonic() - began) * 1000}


class Starts:
    """Measures the time from a reader's opening to its first frame, while nothing of the stream runs."""

    def __init__(self, serve: Serving) -> None:
        self._serve = serve
        self._readers = {name: serve.reader("starts", name) for name in ("cam0", RENDITION)}

    def __call__(self, name: str) -> Measurement:
        serve = self._serve
        serve.wait(lambda: len(serve.tree()) == 1, "the stop of the stream")
        return {"ms": _ask(self._readers[name])}


def readers(what: str, name: str, count: int, seconds: float) -> Measurement:
    """Measure the processor time of all processes except the source: readers, supervisor, renditions."""
    with serving(HD_STREAM) as serve:
        running = [serve.reader(what, name) for _ in range(count)]
        for reader in running:
            _expect(reader, "ready")
        time.sleep(CALM)
        parts = {
            "readers": [reader.pid for reader in running],
            "renditions": [pid for pid, line in serve.tree().items() if line.endswith("worker renditions")],
            "supervisor": [serve.process.pid],
        }
        before, began = {part: _busy(pids) for part, pids in parts.items()}, time.monotonic()
        time.sleep(seconds)
        took, after = time.monotonic() - began, {part: _busy(pids) for part, pids in parts.items()}
        rates = [_result(reader) for reader in running]
        frames = sum(rates) / count * took
        found = {part: (after[part] - before[part]) / 1e6 / frames for part in parts}
        return found | {"ms": sum(found.values()), "fps": min(rates)}


def hop(bench: Bench, middle: Sequence[str], frames: int) -> Measurement:
    """Measure the latency to Python, directly or through a program that copies a small picture.

    Args:
        bench: Starts the publisher.
        middle: Module and arguments of the program that publishes NAME@@1000; none = without it.
        frames: Number of frames.
    """
    way = transports.to_python()
    if middle:
        way = replace(way, receiver=("python_receive", SERVICE.replace("/frame/", "@@1000/frame/")))
    with bench.domain(way.plugins) as place, ExitStack() as running:
        if middle:
            program = subprocess.Popen(
                [sys.executable, "-m", *middle], cwd=ROOT, env=place.environment, stderr=subprocess.DEVNULL
            )
            running.callback(program.wait, TIMEOUT)
            running.callback(program.terminate)
        sender = running.enter_context(bench.publisher(frames, FPS, SMALL)(place, way))
        sender.wait_until_ready()
        receiver = running.enter_context(bench.receiver(SMALL)(place, way))
        receiver.wait_until_ready()
        sender.go()
        received = receiver.result()
        sender.result()
        return {name: received[f"latency_{name}_ns"] for name in ("p50", "p95")} | {"lost": received["lost"]}


def cycles(count: int) -> Measurement:
    """Start and stop a stream as quickly as it can be; count what is left."""
    with serving(SMALL_STREAM) as serve:
        one = serve.reader("starts", "cam0@64x36-RGB")
        counts = []
        began = time.monotonic()
        # The first cycle loads modules and creates folders.
        for done in range(count + 1):
            _ask(one)
            # From a stop that has not begun to one that is complete.
            time.sleep(0.01 * (done % 10))
            if done in (0, count):
                serve.wait(lambda: len(serve.tree()) == 1, "the stop of the stream")
                counts.append((_least(lambda: len(serve.place.leftovers())), _least(serve.descriptors)))
        took = time.monotonic() - began
        (files, descriptors), (later_files, later_descriptors) = counts
        log = serve.log.read_text()
        return {
            "seconds": took / count,
            "files": later_files - files,
            "descriptors": later_descriptors - descriptors,
            "processes": len(serve.tree()) - 1,
            "refused": log.count("already"),
        }


def _least(count: Callable[[], int]) -> int:
    """Return the lowest number within a second, because files and pipes are closed one after the other."""
    end = time.monotonic() + CALM
    found = count()
    while time.monotonic() < end:
        time.sleep(0.05)
        found = min(found, count())
    return found


def _used(pids: Sequence[int] | dict[int, str]) -> tuple[int, int]:
    """Return the wake-ups of several processes, and their processor time in nanoseconds."""
    wakes, busy = zip(*map(used, pids), strict=True)
    return sum(wakes), sum(busy)


def _busy(pids: Sequence[int]) -> int:
    return sum(used(pid)[1] for pid in pids)


def _private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _open_cameras(pid: int) -> int:
    links = Path(f"/proc/{pid}/fd").iterdir()
    return sum(os.readlink(link).startswith("/dev/video") for link in links if link.is_symlink())


def _ask(reader: subprocess.Popen[str]) -> float:
    assert reader.stdin is not None
    reader.stdin.write("\n")
    reader.stdin.flush()
    return float(_line(reader))


def _result(reader: subprocess.Popen[str]) -> float:
    assert reader.stdin is not None
    reader.stdin.close()
    return float(_line(reader))


def _expect(reader: subprocess.Popen[str], text: str) -> None:
    found = _line(reader)
    if found != text:
        raise RuntimeError(f"{reader.args} said {found!r} instead of {text!r}")


def _line(reader: subprocess.Popen[str]) -> str:
    assert reader.stdout is not None
    line = reader.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"{reader.args} ended with exit code {reader.wait(TIMEOUT)}; its reasons are above")
    return line


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


# -- reports ---------------------------------------------------------------------------------------------------------


def idle_report(plan: Plan) -> Report:
    seconds = 1 if plan.quick else 20
    runs = interleave({"idle": partial(idle, seconds)}, min(3, plan.rounds))["idle"]
    findings = [
        size("processor", Series.of("processor", "%", runs, "share", 100), IDLE_SHARE_LIMIT),
        size("wake-ups", Series.of("wake-ups", "/s", runs, "wakes"), None),
        size("private memory", Series.of("private memory", "MB", runs, "private", 1e-6), IDLE_MEMORY_LIMIT),
        size("processes", Series.of("processes", "", runs, "processes"), None),
        size("open cameras", Series.of("open cameras", "", runs, "cameras"), 0),
    ]
    return Report(f"{STREAMS} declared streams without readers, {seconds} s", [], findings)


def start_report(plan: Plan) -> Report:
    rounds = plan.rounds if plan.quick else 4 * plan.rounds
    with serving(HD_STREAM) as serve:
        starts = Starts(serve)
        cases: dict[str, Callable[[], Measurement]] = {
            "import gst_iceoryx2.video, av": importing,
            "first frame of the source": partial(starts, "cam0"),
            "first frame of a rendition": partial(starts, RENDITION),
        }
        # The first run of each fills byte code and caches.
        interleave(cases, 1)
        series = [Series.of(name, "ms", runs, "ms") for name, runs in interleave(cases, rounds).items()]
    limit = START_IMPORTS * series[0].median + START_EXTRA
    findings = [Finding(f"{one.name}, p95", p95(one), p95(one), max(one.values), limit, "ms") for one in series[1:]]
    return Report(f"From opening a reader to its first frame, 1080p NV12, {rounds} rounds", series, findings)


def p95(series: Series) -> float:
    """Return the value that 95 % do not exceed."""
    return sorted(series.values)[min(len(series.values) - 1, int(0.95 * len(series.values)))]


def readers_report(plan: Plan) -> Report:
    seconds = 1.0 if plan.quick else 8.0
    one, four, own = "1 reader of the rendition", "4 readers of the rendition", "4 readers that use to_rgb(size=…)"
    cases: dict[str, Callable[[], Measurement]] = {
        one: partial(readers, "frames", RENDITION, 1, seconds),
        four: partial(readers, "frames", RENDITION, READERS, seconds),
        own: partial(readers, "scaled", "cam0", READERS, seconds),
    }
    runs = interleave(cases, plan.rounds)
    series = {name: Series.of(name, "ms/frame", results, "ms") for name, results in runs.items()}
    parts = [
        Series.of(f"{name}: {part}", "ms/frame", runs[name], part)
        for name in (one, four)
        for part in ("renditions", "readers", "supervisor")
    ]
    rates = [Series.of(f"{name}: slowest", "fps", results, "fps") for name, results in runs.items()]
    findings = [
        ratio(f"{four}, relative to 1", series[four], series[one], FOUR_READERS_LIMIT),
        ratio(f"{four}, relative to {own}", series[four], series[own], OWN_CONVERSIONS_LIMIT),
    ]
    title = f"Processor time of all processes except the source, {RENDITION} of 1080p30 NV12"
    return Report(title, [*series.values(), *parts, *rates], findings)


def hop_report(plan: Plan) -> Report:
    bench = Bench(plan.program or build())
    frames = 30 if plan.quick else 3 * FPS
    cases: dict[str, Callable[[], Measurement]] = {
        "sink → Python": partial(hop, bench, (), frames),
        "sink → rendition → Python": partial(hop, bench, ("gst_iceoryx2", "serve"), frames),
        # The least that a Python program between both does.
        "sink → bare relay → Python": partial(hop, bench, ("benchmarks.serve_reader", "relay", SERVICE), frames),
    }
    runs = interleave(cases, plan.rounds)
    series = [Series.of(f"{name}, p50", "µs", results, "p50", 1e-3) for name, results in runs.items()]
    late = [Series.of(f"{name}, p95", "µs", results, "p95", 1e-3) for name, results in runs.items()]
    direct, through, bare = series
    ours, least = (combined("", "µs", lambda a, b: b - a, direct, one) for one in (through, bare))
    findings = [
        ratio("the rendition's hop, relative to sink → Python", ours, direct, HOP_LIMIT),
        ratio("the bare relay's hop, relative to sink → Python", least, direct, None),
    ]
    return Report(f"Latency of a copied rendition, {SMALL} at {FPS} fps", [*series, *late], findings)


def cycles_report(plan: Plan) -> Report:
    count = 3 if plan.quick else 200
    runs = [cycles(count)]
    names = {
        "files": "more files in the domain",
        "descriptors": "more descriptors of the supervisor",
        "processes": "more processes",
        "refused": "refused because of another publisher",
    }
    findings = [size(text, Series.of(text, "", runs, name), 0) for name, text in names.items()]
    return Report(f"{count} cycles of a rendition", [Series.of("cycle", "ms", runs, "seconds", 1000)], findings)


REPORTS = {
    "idle": idle_report,
    "start": start_report,
    "readers": readers_report,
    "hop": hop_report,
    "cycles": cycles_report,
}


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        rounds: Runs of each case.
        quick: Whether short runs are enough.
        program: The compiled example; None = compile it.
    """

    rounds: int
    quick: bool
    program: Path | None


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.serve", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=REPORTS, default=list(REPORTS))
    parser.add_argument("--rounds", type=int, help="runs of each case (default: 7, quick 1)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, frames and cycles")
    parser.add_argument("--program", type=Path, metavar="FILE", help="use this compiled example instead of compiling")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value to this file")
    arguments = parser.parse_args()
    plan = Plan(arguments.rounds or (1 if arguments.quick else 7), arguments.quick, arguments.program)
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    reports = {}
    for name in arguments.only:
        reports[name] = REPORTS[name](plan)
        print(reports[name], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({name: report.as_data() for name, report in reports.items()}, indent=1))


if __name__ == "__main__":
    main()
