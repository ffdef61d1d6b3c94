"""Measures `to_rgb()`: `python -m benchmarks.colour [--before CHECKOUT] [--formats NV12 …] [--rounds 7]`.

A process publishes one 1080p picture to itself and converts it 20 times. The value is the process's own processor time
for one conversion. Each case is a new process, with and without PyAV, and with the package of another checkout
(`git worktree add /tmp/before COMMIT`) for `--before`. Without `--before`, ratios are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.machine import ROOT, load, machine
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, ratio
from benchmarks.scenery import scenery
from tests.conftest import Place

WIDTH, HEIGHT = 1920, 1080
SIZE = (640, 640)
CONVERSIONS, WARM_UP = 20, 5
SERVICE = "video/colour/frame/v2"
LIMITED = "NV12"
"""The format that has goals."""

# Case: name, checkout, whether PyAV can be imported, whether to scale, and the goal.
BEFORE = "to_rgb(), before"
CASES = {
    "to_rgb()": (True, False, 0.5),
    "to_rgb() without PyAV": (False, False, 0.7),
    f"to_rgb(size={SIZE})": (True, True, 0.25),
    f"to_rgb(size={SIZE}) without PyAV": (False, True, None),
}


def convert(format: str, *, with_pyav: bool, is_scaled: bool) -> None:
    """Print the milliseconds of processor time that one conversion takes."""
    if not with_pyav:
        sys.modules["av"] = None  # type: ignore[assignment]
    from gst_iceoryx2._wire.formats import get_format
    from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber

    known = get_format(format)
    layout = known.tight_layout(WIDTH, HEIGHT)
    pixels = np.zeros(layout.size, np.uint8)
    for index, view in enumerate(known.views(pixels, WIDTH, HEIGHT, layout.strides, layout.offsets)):
        rows = view.reshape(len(view), -1)
        rows[...] = scenery(rows.shape[1], len(rows), index).astype(np.int64) << (8 * (rows.itemsize - 1))
    arguments = {"size": SIZE} if is_scaled else {}
    with VideoFramePublisher(SERVICE, max_bytes=pixels.size) as publisher, VideoFrameSubscriber(SERVICE) as subscriber:
        publisher.wait_for_subscribers(1, timeout=10)
        views = known.views(pixels, WIDTH, HEIGHT, layout.strides, layout.offsets)
        publisher.publish(views, format=format)
        frame = subscriber.receive_blocking(10_000)
        times = []
        for _ in range(WARM_UP + CONVERSIONS):
            began = time.process_time()
            frame.to_rgb(**arguments)
            times.append(time.process_time() - began)
        frame.release()
    print(statistics.median(times[WARM_UP:]) * 1000)


def timed(checkout: Path, format: str, with_pyav: bool, is_scaled: bool) -> Measurement:
    place = Place()
    environment = os.environ | {"IOX2_VIDEO_DOMAIN": place.variable, "PYTHONPATH": str(checkout / "python")}
    line = [sys.executable, "-m", "benchmarks.colour", "--convert", format]
    line += ["--without-pyav"] * (not with_pyav) + ["--scaled"] * is_scaled
    try:
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    finally:
        place.remove()
    if done.returncode:
        raise RuntimeError(f"{line} ended with {done.returncode}: {done.stderr}")
    return {"ms": float(done.stdout)}


def measure(format: str, before: Path | None, rounds: int) -> Report:
    cases: dict[str, Callable[[], Measurement]] = {
        name: partial(timed, ROOT, format, with_pyav, is_scaled) for name, (with_pyav, is_scaled, _) in CASES.items()
    }
    if before is not None:
        cases[BEFORE] = partial(timed, before, format, False, False)
    series = {name: Series.of(name, "ms", runs, "ms") for name, runs in interleave(cases, rounds).items()}
    findings = []
    if before is not None:
        for name, (_, _, limit) in CASES.items():
            findings.append(ratio(name, series[name], series[BEFORE], limit if format == LIMITED else None))
    title = f"{format} {WIDTH}x{HEIGHT} to RGB: processor time of one picture, and ratio to the build before"
    return Report(title, list(series.values()), findings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.colour", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="compare with the package of this checkout")
    parser.add_argument("--formats", nargs="+", default=["NV12", "I420", "YUY2", "P010_10LE", "BGR"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--convert", metavar="FORMAT", help=argparse.SUPPRESS)
    parser.add_argument("--without-pyav", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--scaled", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.convert:
        convert(arguments.convert, with_pyav=not arguments.without_pyav, is_scaled=arguments.scaled)
        return
    before = arguments.before and arguments.before.resolve()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    for format in arguments.formats:
        print(measure(format, before, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
