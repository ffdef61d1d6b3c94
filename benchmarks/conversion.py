"""Measures conversions to renditions: `python -m benchmarks.conversion [--rounds 7]`.

A process publishes one picture to itself and converts it into a loan 20 times. The value is the process's own processor
time for one conversion. Each case is a new process. The ratios compare it with `to_rgb(size=(640, 640))`, with which a
program would convert for itself.
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

from benchmarks.machine import ROOT, load, machine
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, ratio
from benchmarks.scenery import scenery
from gst_iceoryx2._wire.rendition import RenditionName
from gst_iceoryx2.serve.converter import Converter, SourceShape
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place

CONVERSIONS, WARM_UP = 20, 5
SIZE = (640, 640)
HD, UHD = (1920, 1080), (3840, 2160)

# The source's format and size, the rendition, and the goal: a ratio to `to_rgb(size=SIZE)`.
CASES: tuple[tuple[str, tuple[int, int], str, float | None], ...] = (
    ("NV12", HD, "cam0@640x640-RGB", 0.75),
    ("NV12", HD, "cam0@640x640-RGB+crop", None),
    ("NV12", HD, "cam0@1280x720-I420", None),
    ("BGR", HD, "cam0@640x640-RGB", None),
    ("NV12", UHD, "cam0@1920x1080", None),
    ("NV12", HD, "cam0@-RGB", None),
    ("NV12", HD, "cam0@@15", None),
)


def convert(format: str, size: tuple[int, int], name: str | None) -> None:
    """Print the milliseconds of processor time that one conversion takes.

    Args:
        format: Format of the source.
        size: Width and height of the source.
        name: Name of the rendition; None = `to_rgb(size=SIZE)`.
    """
    with (
        VideoFramePublisher("video/cam0/frame/v2") as source,
        VideoFrameSubscriber("video/cam0/frame/v2") as subscriber,
        VideoFramePublisher("video/rendition/frame/v2") as target,
    ):
        source.wait_for_subscribers(1, timeout=10)
        with source.loan(*size, format) as loan:
            for index, view in enumerate(loan.planes):
                rows = view.reshape(len(view), -1)
                rows[...] = scenery(rows.shape[1], len(rows), index)
        frame = subscriber.receive_blocking(10_000)
        if frame is None:
            raise SystemExit("no frame arrived within ten seconds")
        with frame:
            step = partial(frame.to_rgb, SIZE) if name is None else converting(frame, name, target)
            times = []
            for _ in range(WARM_UP + CONVERSIONS):
                began = time.process_time()
                step()
                times.append(time.process_time() - began)
    print(statistics.median(times[WARM_UP:]) * 1000)


def converting(frame: VideoFrame, name: str, publisher: VideoFramePublisher) -> Callable[[], object]:
    """Return a function that converts the frame to a rendition and sends it."""
    parsed = RenditionName.parse(name)
    if parsed is None:
        raise SystemExit(f"{name} is not the name of a rendition")
    shape = parsed.shape(frame.width, frame.height, frame.format)
    converter = Converter(shape, SourceShape.of(frame))

    def step() -> None:
        with publisher.loan(shape.width, shape.height, shape.format) as loan:
            converter.fill(frame, loan)

    return step


def timed(format: str, size: tuple[int, int], name: str | None) -> Measurement:
    place = Place()
    environment = os.environ | {"IOX2_VIDEO_DOMAIN": place.variable}
    line = [
        sys.executable,
        "-m",
        "benchmarks.conversion",
        "--convert",
        format,
        *map(str, size),
        *([name] if name else []),
    ]
    try:
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    finally:
        place.remove()
    if done.returncode:
        raise RuntimeError(f"{line} ended with {done.returncode}: {done.stderr}")
    return {"ms": float(done.stdout)}


def measure(rounds: int) -> Report:
    cases: dict[str, Callable[[], Measurement]] = {}
    findings, own = [], {}
    for format, size, name, limit in CASES:
        source = f"{format} {size[0]}x{size[1]}"
        own[f"{source} to {name}"] = f"{source} to_rgb(size={SIZE})", limit
        cases[f"{source} to {name}"] = partial(timed, format, size, name)
        cases[f"{source} to_rgb(size={SIZE})"] = partial(timed, format, size, None)
    series = {name: Series.of(name, "ms", runs, "ms") for name, runs in interleave(cases, rounds).items()}
    for name, (itself, limit) in own.items():
        findings.append(ratio(f"{name}, relative to to_rgb(size={SIZE})", series[name], series[itself], limit))
    return Report("Processor time of one conversion to a rendition", list(series.values()), findings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.conversion", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--convert", nargs="+", metavar="…", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.convert:
        format, width, height, *name = arguments.convert
        convert(format, (int(width), int(height)), *name or [None])
        return
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    print(measure(arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
