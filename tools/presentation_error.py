"""Measures how late or early frames are shown by pipelines that join late, run on other clocks or were paused.

A publisher's pipeline shows each frame in a sink of its own, and publishes it. Consumers in other processes show the
same frames with ``sync=true``. The two times of one frame on CLOCK_MONOTONIC should differ by the latency that the
consumer's pipeline requested; any other difference is the presentation error. The publisher's frames are evenly spaced,
so the median of its times removes its own jitter. The measurement uses only the number that is in a frame.

Usage: .venv/bin/python tools/presentation_error.py [--seconds 20] [CASE ...]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Final, NamedTuple

FRAMERATE: Final = 60
FRAME_NS: Final = 1e9 / FRAMERATE
FRAME_MS: Final = FRAME_NS / 1e6
SERVICE: Final = "video/presentation/frame/v2"


class Case(NamedTuple):
    """One consumer.

    Attributes:
        delay: Seconds between the publisher's first frame and its start.
        clock: Clock of its pipeline: ``system`` or ``realtime``.
        publisher_clock: Clock of the publisher's pipeline.
        pause: Seconds of PAUSED in the middle of its run.
        deadline: ``processing-deadline`` of source and sink in nanoseconds; None leaves the defaults.
    """

    delay: float = 0.0
    clock: str = "system"
    publisher_clock: str = "system"
    pause: float = 0.0
    deadline: int | None = None


CASES: Final[Mapping[str, Case]] = {
    "at once": Case(),
    "3 s later": Case(delay=3),
    "30 s later": Case(delay=30),
    "other clock here": Case(clock="realtime"),
    "other clock there": Case(publisher_clock="realtime"),
    "other clocks": Case(clock="realtime", publisher_clock="realtime"),
    "paused 3 s": Case(pause=3),
    "no deadline": Case(deadline=0),
}


class Outcome(NamedTuple):
    """What one consumer showed.

    Attributes:
        errors: Milliseconds by which each frame came late, negative if early.
        missed: Frames that the publisher showed in between and the consumer did not.
        latency: Milliseconds that the consumer's pipeline asked for.
    """

    errors: list[float]
    missed: int
    latency: float

    def percentile(self, share: float) -> float:
        """The error that this share of the frames does not exceed."""
        distances = sorted(map(abs, self.errors))
        return distances[min(int(len(distances) * share), len(distances) - 1)]


def measure(cases: Sequence[Case], seconds: float, environment: Mapping[str, str] | None = None) -> list[Outcome]:
    """Run consumers of one publisher in parallel.

    Args:
        cases: The consumers; all with the same `publisher_clock`.
        seconds: For how long each shows frames, pauses included.
        environment: Of the processes; None for this process's.

    Returns:
        The outcomes in the same order.
    """
    (publisher_clock,) = {case.publisher_clock for case in cases}
    with tempfile.TemporaryFile("w+") as shown:
        publisher = _start(["--publish", publisher_clock], environment, shown)
        try:
            assert publisher.stdout is not None
            assert publisher.stdout.readline() == "playing\n", "the publisher did not start"
            start = time.monotonic()
            consumers = {}
            for case in sorted(set(cases), key=lambda case: case.delay):
                time.sleep(max(0.0, start + case.delay - time.monotonic()))
                consumers[case] = _start(["--show", str(seconds), *case], environment, subprocess.PIPE)
            reports = {case: json.loads(_output(consumer)) for case, consumer in consumers.items()}
        finally:
            _output(publisher)
        shown.seek(0)
        there = json.load(shown)["shown"]
    first = statistics.median(at - number * FRAME_NS for number, at in there)
    return [_judge(reports[case], first) for case in cases]


def _judge(report: dict[str, Any], first: float) -> Outcome:
    numbers = [number for number, _ in report["shown"]]
    latency = report["latency"]
    errors = [(at - first - number * FRAME_NS - latency) / 1e6 for number, at in report["shown"]]
    span = max(numbers) - min(numbers) + 1 if numbers else 0
    return Outcome(errors, span - len(numbers), latency / 1e6)


def _start(
    role: Iterable[object], environment: Mapping[str, str] | None, output: IO[str] | int
) -> subprocess.Popen[str]:
    command = [sys.executable, os.path.abspath(__file__), *map(str, role)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    if not isinstance(output, int):
        command += ["--result", str(output.fileno())]
        return subprocess.Popen(command, env=environment, pass_fds=[output.fileno()], **pipes)
    return subprocess.Popen(command, env=environment, **pipes)


def _output(process: subprocess.Popen[str]) -> str:
    """Close the input of a process, wait until it exits, and return its output."""
    output, _ = process.communicate()
    assert process.returncode == 0, f"{process.args} ended with {process.returncode}"
    return output


# In the processes ---------------------------------------------------------------------------------------------------


class Screen:
    """A pipeline with a sink called ``shown`` that records when it shows each frame."""

    def __init__(self, launch: str, clock: str) -> None:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst

        from gst_iceoryx2 import setup_gstreamer

        Gst.init(None)
        setup_gstreamer()
        self.gst = Gst
        self.shown: list[tuple[int, int]] = []
        self.pipeline = Gst.parse_launch(launch)
        if clock == "realtime":
            import gi.repository.GObject as GObject

            self.pipeline.use_clock(GObject.new(Gst.SystemClock, clock_type=Gst.ClockType.REALTIME))
        self.pipeline.get_by_name("shown").connect("handoff", self._note)

    def _note(self, _sink: Any, buffer: Any, _pad: Any) -> None:
        self.shown.append((buffer.offset, time.monotonic_ns()))

    def go(self, state: str) -> None:
        """Change the state, and handle latency messages as an application does."""
        assert self.pipeline.set_state(getattr(self.gst.State, state)) != self.gst.StateChangeReturn.FAILURE

    def run(self, seconds: float) -> None:
        """Handle messages of the bus for a time."""
        end = time.monotonic() + seconds
        kinds = self.gst.MessageType.ERROR | self.gst.MessageType.LATENCY
        while (left := end - time.monotonic()) > 0:
            message = self.pipeline.get_bus().timed_pop_filtered(int(left * self.gst.SECOND), kinds)
            if message is not None and message.type == self.gst.MessageType.ERROR:
                sys.exit(str(message.parse_error()))
            if message is not None:
                self.pipeline.recalculate_latency()

    def report(self) -> dict[str, Any]:
        """The times of the shown frames, and the latency of the pipeline, in nanoseconds."""
        query = self.gst.Query.new_latency()
        latency = query.parse_latency()[1] if self.pipeline.query(query) else 0
        return {"shown": self.shown, "latency": latency}


def publish(clock: str, result: IO[str]) -> None:
    """Show and publish a moving picture until standard input ends."""
    caps = f"video/x-raw,format=BGR,width=640,height=360,framerate={FRAMERATE}/1"
    screen = Screen(
        f"videotestsrc is-live=true pattern=ball ! {caps} ! tee name=t "
        "t. ! queue ! fakesink name=shown sync=true signal-handoffs=true "
        f"t. ! queue ! iceoryx2sink service={SERVICE} sync=true",
        clock,
    )
    screen.go("PLAYING")
    while not screen.shown:
        screen.run(0.01)
    print("playing", flush=True)
    sys.stdin.read()
    json.dump(screen.report(), result)
    screen.go("NULL")


def show(seconds: float, case: Case) -> None:
    """Show the published frames for a time."""
    deadline = "" if case.deadline is None else f"processing-deadline={case.deadline}"
    screen = Screen(
        f"iceoryx2src service={SERVICE} {deadline} ! fakesink name=shown sync=true signal-handoffs=true {deadline}",
        case.clock,
    )
    screen.go("PLAYING")
    screen.run((seconds - case.pause) / 2)
    if case.pause:
        screen.go("PAUSED")
        screen.run(case.pause)
        screen.go("PLAYING")
    screen.run((seconds - case.pause) / 2)
    json.dump(screen.report(), sys.stdout)
    screen.go("NULL")


# Output -------------------------------------------------------------------------------------------------------------


def main() -> None:
    """Run one role, or every consumer in turn and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)} (all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long each consumer shows frames")
    parser.add_argument("--publish", metavar="CLOCK", help=argparse.SUPPRESS)
    parser.add_argument("--show", nargs=6, help=argparse.SUPPRESS)
    parser.add_argument("--result", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        with os.fdopen(options.result, "w") as result:
            publish(options.publish, result)
        return
    if options.show:
        seconds, delay, clock, publisher_clock, pause, deadline = options.show
        wish = None if deadline == "None" else int(deadline)
        show(float(seconds), Case(float(delay), clock, publisher_clock, float(pause), wish))
        return
    os.environ.setdefault("IOX2_VIDEO_DOMAIN", f"/tmp/pe{os.getpid()}:pe{os.getpid()}_")
    print(f"{'consumer':<20}{'frames':>8}{'missed':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'latency ms':>12}")
    worst = 0.0
    for name in options.cases or CASES:
        (outcome,) = measure([CASES[name]], options.seconds)
        p50, p99, top = map(outcome.percentile, (0.5, 0.99, 1.0))
        print(
            f"{name:<20}{len(outcome.errors):>8}{outcome.missed:>8}{p50:>9.2f}{p99:>9.2f}{top:>9.2f}"
            f"{outcome.latency:>12.1f}",
            flush=True,
        )
        worst = max(worst, p99)
    print(f"one frame is {FRAME_MS:.2f} ms")
    sys.exit(worst > FRAME_MS)


if __name__ == "__main__":
    main()
