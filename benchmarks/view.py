"""Measures the cost of `iox2-video view` without encoding, and the age of pictures on the page.

Usage: python -m benchmarks.view [--viewers 8] [--seconds 20] [--rounds 3] [--format BGR] [--results]

A publisher sends 1280x720 at 30 frames per second, and viewers confirm each picture as the page does.
Processor time is the time of the whole `iox2-video view` process without the encoder's time, which its metrics report.
Latency is the time from the capture of a frame until the last byte of its picture arrives.
If Chromium is installed, the time until the picture is drawn is also measured. With --results, a detector publishes 50
boxes for each frame, and pages without and with these boxes are compared.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.machine import load, machine
from benchmarks.report import Report
from benchmarks.rounds import Measurement, Series, interleave, ratio, size
from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.stamp import monotonic_ns
from gst_iceoryx2.results import Boxes, ResultsPublisher
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.chromium import Chromium, program
from tests.cli.page_client import PageClient, metrics

WIDTH, HEIGHT, FPS = 1280, 720, 30
SERVICE = "video/bench/frame/v2"
CPU_LIMIT, LATENCY_LIMIT = 15.0, 2.0
SETTLE = 2.0
BOXES = 50
# Two medians of the same pictures per second differ by this much.
PICTURES_LIMIT = 0.98
ENCODED = ("BGR", "I420", "NV12", "YUY2", "P010_10LE", "GRAY8")

Picture: TypeAlias = npt.NDArray[np.uint8]


def camera_picture(rng: np.random.Generator) -> Picture:
    """Return soft shapes under fine noise, with about the detail of a camera's picture."""
    coarse = rng.integers(30, 226, (HEIGHT // 80 + 2, WIDTH // 80 + 2)).astype(float)
    rows, columns = np.linspace(0, coarse.shape[0] - 1.01, HEIGHT), np.linspace(0, coarse.shape[1] - 1.01, WIDTH)
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None], (columns - left)[None, :]
    upper = coarse[top][:, left] * (1 - right) + coarse[top][:, left + 1] * right
    lower = coarse[top + 1][:, left] * (1 - right) + coarse[top + 1][:, left + 1] * right
    return (upper * (1 - down) + lower * down + rng.normal(0, 3, upper.shape)).clip(0, 255).astype(np.uint8)


def fill(planes: Sequence[Any], picture: Picture) -> None:
    """Return the same picture in every component."""
    for plane in planes:
        part = picture[:: HEIGHT // plane.shape[0], :: WIDTH // plane.shape[1]]
        plane[...] = part if plane.ndim == 2 else part[..., None]


def publish(format: str) -> None:
    """Publish pictures with about the detail of camera pictures, until stdin ends."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    rng = np.random.default_rng(0)
    pictures = [camera_picture(rng) for _ in range(10)]
    with VideoFramePublisher(SERVICE, framerate=FPS, max_bytes=3 * WIDTH * HEIGHT) as publisher:
        due, number = time.monotonic(), 0
        while not stop.is_set():
            with publisher.loan(WIDTH, HEIGHT, format) as loan:
                fill(loan.planes, pictures[number % len(pictures)])
                # From here on, the picture counts as just delivered by a camera.
                loan.captured_at = monotonic_ns()
            number += 1
            due += 1 / FPS
            stop.wait(max(0.0, due - time.monotonic()))


def detect() -> None:
    """Publish boxes for each frame, until stdin ends."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    places = np.arange(BOXES, dtype=np.float64)
    places = np.stack([places % 10 * 120 + 20, places // 10 * 130 + 40, places + 30, places + 20], axis=1)
    labels = [("person", "car", "dog")[number % 3] for number in range(BOXES)]
    with VideoFrameSubscriber(SERVICE) as frames, ResultsPublisher("bench", "boxes") as results:
        while not stop.is_set():
            frame = frames.receive_blocking(100)
            if frame is not None:
                with frame:
                    moved = places + (frame.sequence or 0) % 40
                    scores = np.random.default_rng(frame.sequence or 0).random(BOXES)
                    results.publish(frame, Boxes.of(xywh=moved, scores=scores, labels=labels, tracks=range(BOXES)))


def watch(url: str, viewers: int) -> None:
    """Watch with this many viewers until stdin ends; then print the latency of each picture in milliseconds."""
    stop = threading.Event()
    counting = threading.Event()
    found: list[list[float]] = [[] for _ in range(viewers)]
    sizes: list[int] = []

    def run(latencies: list[float]) -> None:
        with PageClient(url, watch=[0]) as client:
            while not stop.is_set():
                shown = client.picture()
                if counting.is_set():
                    latencies.append(time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1e6 - shown.about["captured"])
                    sizes.append(len(shown.jpeg))

    threads = [threading.Thread(target=run, args=(latencies,)) for latencies in found]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    counting.set()
    sys.stdin.readline()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"latencies": found, "bytes": statistics.mean(sizes)}), flush=True)


def processor_time(pid: int) -> float:
    """Return the seconds of processor time of a process, with all threads, also exited ones."""
    # What clock_getcpuclockid(3) makes of a process number: MAKE_PROCESS_CPUCLOCK in linux/posix-timers_types.h.
    return time.clock_gettime(~pid << 3 | 2)


class Scene:
    """A publisher and a preview in a domain of their own."""

    def __init__(self, folder: str, format: str) -> None:
        self._environment = os.environ | {"IOX2_VIDEO_DOMAIN": f"{folder}/d:bv{os.getpid()}_"}
        self._publisher = self._start("-m", "benchmarks.view", "--publish", "--format", format)
        self.view, self.url = self._serve()
        self._with_results, self._results_url = self._serve("--results", "boxes")

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _serve(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        view = self._start("-m", "gst_iceoryx2", "view", SERVICE, "--no-browser", *arguments)
        assert view.stdout is not None
        return view, view.stdout.readline().strip()

    def watched(self, viewers: int, seconds: float) -> Measurement:
        """Measure what this many viewers cost and receive."""
        child = self._start("-m", "benchmarks.view", "--watch", self.url, "--viewers", str(viewers))
        assert child.stdin is not None
        assert child.stdout is not None
        time.sleep(SETTLE)
        print("go", file=child.stdin, flush=True)
        before, began, cpu = metrics(self.url), time.monotonic(), processor_time(self.view.pid)
        time.sleep(seconds)
        took, cpu = time.monotonic() - began, processor_time(self.view.pid) - cpu
        after = metrics(self.url)
        print("stop", file=child.stdin, flush=True)
        told = json.loads(child.stdout.readline())
        child.wait(10)
        encoder = after["encode_seconds_total"] - before["encode_seconds_total"]
        pictures = after["pictures_encoded_total"] - before["pictures_encoded_total"]
        latencies = sorted(itertools.chain(*told["latencies"]))
        expected = viewers * pictures
        return {
            "beside": 100 * (cpu - encoder) / took,
            "encoder": 100 * encoder / took,
            "encode": 1000 * encoder / max(1, pictures),
            "p50": latencies[len(latencies) // 2],
            "p99": latencies[len(latencies) * 99 // 100],
            "seen": 100 * len(latencies) / max(1, expected),
            "fps": pictures / took,
            "kilobytes": told["bytes"] / 1000,
        }

    def drawn(self, folder: str, seconds: float, *, with_boxes: bool = False) -> Measurement:
        """Measure the time until pictures are drawn on the page in headless Chromium, and how many are drawn."""
        browser = Chromium(Path(folder))
        try:
            browser.open(self._results_url if with_boxes else self.url)
            browser.wait_for("document.querySelector('canvas')?.dataset.number > 30")
            browser.evaluate(
                "window.painted = 0; const paint = Stream.prototype.paint;"
                "Stream.prototype.paint = function (...all) { window.painted++; return paint.apply(this, all); }; 0"
            )
            script = "parseFloat(document.querySelector('.latency .value').textContent) || 0"
            values = []
            began, first = time.monotonic(), browser.evaluate("window.painted")
            for _ in range(int(seconds * 2)):
                values.append(float(browser.evaluate(script)))
                time.sleep(0.5)
            painted = browser.evaluate("window.painted") - first
            took = time.monotonic() - began
            boxes = browser.evaluate("streams[0].results?.counts.get('boxes')?.drawn ?? 0")
            return {"drawn": statistics.median(values), "painted": painted / took, "with boxes": boxes}
        finally:
            browser.close()

    def detected(self, folder: str, seconds: float, *, with_boxes: bool) -> Measurement:
        """Measure the same while a detector publishes boxes."""
        detector = self._start("-m", "benchmarks.view", "--detect")
        try:
            return self.drawn(folder, seconds, with_boxes=with_boxes)
        finally:
            detector.communicate()

    def close(self) -> None:
        for process in (self.view, self._with_results, self._publisher):
            process.terminate()
            process.communicate()


def measure(format: str, viewers: int, seconds: float, rounds: int) -> Report:
    """Measure one viewer, many viewers and a browser, in turns."""
    with tempfile.TemporaryDirectory(prefix="iox2-bench-") as folder:
        scene = Scene(folder, format)
        try:
            cases: dict[str, Any] = {
                "none": lambda: idle(scene, seconds),
                "one": lambda: scene.watched(1, seconds),
                "many": lambda: scene.watched(viewers, seconds),
            }
            if program() is not None:
                cases["browser"] = lambda: scene.drawn(tempfile.mkdtemp(dir=folder), seconds)
            runs = interleave(cases, rounds)
        finally:
            scene.close()
    many, one = f"{viewers} viewers", "1 viewer"
    frame = FPS / 1000
    beside = Series.of(f"{many}: process beside the encoder", "% of a core", runs["many"], "beside")
    p99 = Series.of(f"{many}: latency, p99", "frames", runs["many"], "p99", frame)
    series = [
        Series.of("nobody watches: process", "% of a core", runs["none"], "beside"),
        Series.of(f"{one}: process beside the encoder", "% of a core", runs["one"], "beside"),
        beside,
        Series.of(f"{many}: encoder", "% of a core", runs["many"], "encoder"),
        Series.of(f"{many}: encoder, a picture", "ms", runs["many"], "encode"),
        Series.of(f"{many}: a picture", "kB", runs["many"], "kilobytes"),
        Series.of(f"{many}: pictures", "per second", runs["many"], "fps"),
        Series.of(f"{many}: of them seen by each", "%", runs["many"], "seen"),
        Series.of(f"{one}: latency, p50", "ms", runs["one"], "p50"),
        Series.of(f"{many}: latency, p50", "ms", runs["many"], "p50"),
        Series.of(f"{many}: latency, p99", "ms", runs["many"], "p99"),
    ]
    findings = [size(beside.name, beside, CPU_LIMIT), size(p99.name, p99, LATENCY_LIMIT)]
    if "browser" in runs:
        drawn = Series.of("Chromium: latency until drawn, median", "frames", runs["browser"], "drawn", frame)
        series.append(Series.of(drawn.name, "ms", runs["browser"], "drawn"))
        findings.append(size(drawn.name, drawn, LATENCY_LIMIT))
    title = f"View, {format} {WIDTH}×{HEIGHT} at {FPS} frames per second, {seconds:g} s each, {rounds} rounds"
    return Report(title, series, findings)


def measure_results(format: str, seconds: float, rounds: int) -> Report:
    """Measure the page while a detector publishes boxes, without them and with them, in turns."""
    with tempfile.TemporaryDirectory(prefix="iox2-bench-") as folder:
        scene = Scene(folder, format)
        try:
            runs = interleave(
                {
                    name: partial(scene.detected, tempfile.mkdtemp(dir=folder), seconds, with_boxes=with_boxes)
                    for name, with_boxes in (("without boxes", False), (f"with {BOXES} boxes", True))
                },
                rounds,
            )
        finally:
            scene.close()
    series = [Series.of(f"{name}: pictures drawn", "per second", runs[name], "painted") for name in runs]
    findings = [ratio(f"pictures with {BOXES} boxes, to without", series[1], series[0], PICTURES_LIMIT, is_least=True)]
    series += [Series.of(f"{name}: capture to drawing, median", "ms", runs[name], "drawn") for name in runs]
    series.append(Series.of("pictures with boxes", "in all", runs[f"with {BOXES} boxes"], "with boxes"))
    title = f"Results on the page, {format} {WIDTH}×{HEIGHT} at {FPS} frames per second, {seconds:g} s, {rounds} rounds"
    return Report(title, series, findings)


def idle(scene: Scene, seconds: float) -> Measurement:
    """Measure the cost of the process without viewers."""
    began, cpu = time.monotonic(), processor_time(scene.view.pid)
    time.sleep(seconds)
    return {"beside": 100 * (processor_time(scene.view.pid) - cpu) / (time.monotonic() - began)}


def compare_encoders(rounds: int) -> None:
    """Print the processor time of a picture, from shared memory and through RGB."""
    folder = tempfile.mkdtemp(prefix="iox2-bench-")
    os.environ["IOX2_VIDEO_DOMAIN"] = f"{folder}/d:be{os.getpid()}_"
    for format in ENCODED:
        for colorimetry in ("bt601", "bt709"):
            with (
                VideoFramePublisher(SERVICE, caps=f"video/x-raw, colorimetry=(string){colorimetry}") as publisher,
                VideoFrameSubscriber(SERVICE) as subscriber,
            ):
                with publisher.loan(WIDTH, HEIGHT, format) as loan:
                    fill(loan.planes, camera_picture(np.random.default_rng(0)))
                frame = subscriber.receive_blocking(5000)
                assert frame is not None
                runs = interleave({"direct": partial(direct, frame), "rgb": partial(by_rgb, frame)}, 10 * rounds)
                frame.release()
            own, other = (statistics.median(run["ms"] for run in runs[name]) for name in ("direct", "rgb"))
            print(f"  {format:<10} {colorimetry}  {own:5.1f} ms, through RGB {other:5.1f} ms ({other / own:.1f} x)")
    shutil.rmtree(folder, ignore_errors=True)


def direct(frame: VideoFrame) -> Measurement:
    began = time.thread_time()
    jpeg.encode(frame)
    return {"ms": 1000 * (time.thread_time() - began)}


def by_rgb(frame: VideoFrame) -> Measurement:
    began = time.thread_time()
    jpeg.encode_rgb(frame.to_rgb())
    return {"ms": 1000 * (time.thread_time() - began)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.view", description=__doc__.partition("\n")[0])
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", default="BGR")
    parser.add_argument("--encoders", action="store_true", help="only compare ways to encode")
    parser.add_argument("--results", action="store_true", help="only compare pages without and with boxes")
    parser.add_argument("--detect", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watch", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.publish:
        publish(arguments.format)
    elif arguments.detect:
        detect()
    elif arguments.watch:
        watch(arguments.watch, arguments.viewers)
    else:
        # Leaving the block ends the started processes.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
        print(f"load before: {load():.1f}")
        if arguments.encoders:
            compare_encoders(arguments.rounds)
            return
        if arguments.results:
            print(measure_results(arguments.format, arguments.seconds, arguments.rounds))
            return
        print(measure(arguments.format, arguments.viewers, arguments.seconds, arguments.rounds))


if __name__ == "__main__":
    main()
