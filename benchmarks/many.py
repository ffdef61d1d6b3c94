"""Measures the cost of many ports in one process: opening them, and waiting without frames.

Usage: python -m benchmarks.many [--ports 50 100] [--elements 50 150] [--seconds 5] [--rounds 3]

Each case is a process of its own in a private domain. In Python, as many subscribers wait for a frame, each in a thread
of its own; then as many publishers are opened beside them. With GStreamer (and PyGObject), as many `iceoryx2src` start
in one pipeline, then as many `iceoryx2sink` in another. Opening a port makes four files that iceoryx2 0.10.0 writes to
the disk (`fsync`), so where the folder of the domain is tells in the times: `--folder /dev/shm` does without.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.machine import load, machine
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, size
from gst_iceoryx2._plugin import plugin_path
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place

# Goals: percentage of a core for each waiting subscriber, and seconds to open as many publishers and subscribers.
SHARE_LIMIT_EACH, OPENING_LIMITS = 0.06, {50: 3.0}
# Seconds until all work that opening started is done.
CALM = 1.5


def share(seconds: float) -> float:
    """Return the percentage of a core that this process uses while its main thread sleeps."""
    time.sleep(CALM)
    busy, began = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return 100 * (time.process_time() - busy) / (time.monotonic() - began)


def python_ports(number: int, seconds: float) -> Measurement:
    """Measure ports in this process."""
    began = time.monotonic()
    subscribers = [VideoFrameSubscriber(f"video/many{index}") for index in range(number)]
    opening = time.monotonic() - began
    threads = [threading.Thread(target=deque, args=(subscriber, 0)) for subscriber in subscribers]
    for thread in threads:
        thread.start()
    waiting = share(seconds)
    began = time.monotonic()
    publishers = [VideoFramePublisher(f"video/many{index}") for index in range(number)]
    opening += time.monotonic() - began
    connected = share(seconds)
    for port in (*publishers, *subscribers):
        port.close()
    for thread in threads:
        thread.join()
    return {"opening": opening, "waiting": waiting, "connected": connected}


def elements(number: int, seconds: float) -> Measurement:
    """Measure elements in this process."""
    import gi  # type: ignore[import-untyped]

    gi.require_version("Gst", "1.0")
    from gi.repository import Gst  # type: ignore[import-untyped]

    Gst.init(None)
    caps = "video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1"
    sources = Gst.parse_launch(" ".join(f"iceoryx2src service=video/many{index} ! fakesink" for index in range(number)))
    sinks = Gst.parse_launch(
        " ".join(
            f"appsrc name=a{index} is-live=true caps={caps} ! iceoryx2sink service=video/many{index} async=false"
            for index in range(number)
        )
    )
    began = time.monotonic()
    sources.set_state(Gst.State.PLAYING)
    opening = time.monotonic() - began
    waiting = share(seconds)
    sinks.set_state(Gst.State.PLAYING)
    for index in range(number):
        sinks.get_by_name(f"a{index}").emit("push-buffer", Gst.Buffer.new_allocate(None, 64 * 64, None))
    connected = share(seconds)
    for pipeline in (sinks, sources):
        pipeline.set_state(Gst.State.NULL)
    return {"opening": opening, "waiting": waiting, "connected": connected}


CASES = {"ports": python_ports, "elements": elements}


def in_a_process(case: str, number: int, seconds: float, folder: Path | None) -> Measurement:
    """Measure a case in a process and a domain of its own."""
    place = Place()
    root = place.root if folder is None else folder / place.root.name
    environment = os.environ | {
        "IOX2_VIDEO_DOMAIN": f"{root}:{place.prefix}",
        "GST_PLUGIN_PATH": str(plugin_path()),
        "GST_REGISTRY": f"{root}.registry",
    }
    command = [sys.executable, "-m", "benchmarks.many", "--case", case, "--seconds", str(seconds), str(number)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
        measured: Measurement = json.loads(done.stdout)
        return measured
    finally:
        Path(f"{root}.registry").unlink(missing_ok=True)
        place.root = root
        place.remove()


def measure(ports: Sequence[int], elements: Sequence[int], seconds: float, rounds: int, folder: Path | None) -> Report:
    """Measure all cases."""
    numbers = [("ports", number) for number in ports] + [("elements", number) for number in elements]
    cases = {f"{number} {case}": partial(in_a_process, case, number, seconds, folder) for case, number in numbers}
    runs = interleave(cases, rounds, {f"{number} elements" for number in elements})
    findings = []
    for case, number in numbers:
        results = runs.get(f"{number} {case}")
        if results is None:
            continue
        readers, writers = ("subscribers", "publishers") if case == "ports" else ("iceoryx2src", "iceoryx2sink")
        limit = SHARE_LIMIT_EACH * number if case == "ports" else None
        waiting = Series.of(f"{number} {readers} that wait: processor", "%", results, "waiting")
        both = Series.of(f"{number} {readers} and {writers}, no frames: processor", "%", results, "connected")
        opened = f"{number} + {number}, in Python" if case == "ports" else f"{number} {readers}"
        opening = Series.of(f"opening {opened}", "s", results, "opening")
        findings += [
            size(waiting.name, waiting, limit),
            size(both.name, both, limit),
            size(opening.name, opening, OPENING_LIMITS.get(number) if case == "ports" else None),
        ]
    return Report(f"Many ports in one process, {rounds} rounds", [], findings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.many", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ports", type=int, nargs="*", default=[50, 100])
    parser.add_argument("--elements", type=int, nargs="*", default=[50, 150])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="create the folder of the domain here (default: /tmp)")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("number", type=int, nargs="?", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(CASES[arguments.case](arguments.number, arguments.seconds)))
        return
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print(f"load before: {load():.1f}")
    print(measure(arguments.ports, arguments.elements, arguments.seconds, arguments.rounds, arguments.folder))


if __name__ == "__main__":
    main()
