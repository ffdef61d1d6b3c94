"""Compares H.264 with JPEG on the page of `iox2-video view`: latency, time to the first picture, bytes per second.

Usage: python -m benchmarks.view_h264 [--seconds 15] [--rounds 3] [--joins 10]

A publisher sends a pan over a landscape (benchmarks/scenery.py), 1280x720 at 30 frames per second. `iox2-video serve`
encodes it on demand with its defaults, and headless Chromium shows the page, as H.264 and as JPEG in turns. Latency is
the time from capture until the picture is drawn.
For the first picture, a camera sends packets with keyframes 4 s apart, and does not answer requests for keyframes. The
time begins when the WebSocket opens.
For the bytes, the demo's clip is encoded by the encoder of `serve`, and by JPEG of the quality that has the same mean
SSIM of luma (8x8 blocks, every fourth pixel, every eighth picture).
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from benchmarks.machine import load, machine
from benchmarks.report import Report
from benchmarks.rounds import Finding, Measurement, Series, interleave, size
from benchmarks.scenery import scenery
from benchmarks.view import FPS, HEIGHT, SERVICE, WIDTH
from demo.clip import clip_path
from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.stamp import monotonic_ns
from gst_iceoryx2.codec.packet_encoder import PacketEncoder
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from gst_iceoryx2.video import VideoFramePublisher
from tests.cli.chromium import Chromium

FRAMES_LIMIT, JOIN_LIMIT, BYTES_LIMIT = 1.0, 250.0, 1 / 6
KEYINT = 4
MARGIN = 256
# `serve` stops an encoder 5 s after its last reader.
SETTLE = 8.0
BUILD = Path(__file__).parents[1] / "build"

Picture: TypeAlias = npt.NDArray[np.uint8]

JOIN = """(() => {
  if (!window.joined) {
    const Plain = WebSocket, give = Decoder.prototype.give;
    window.WebSocket = class extends Plain {
      constructor(address) {
        super(address);
        this.addEventListener("open", () => { window.joined = {at: performance.now()}; });
      }
    };
    Decoder.prototype.give = function (frame) {
      const {joined} = window, now = performance.now() - joined.at;
      if (joined.at !== undefined) {
        joined.first ??= now;
        if (this.decoder.decodeQueueSize === 0) joined.newest ??= now;
      }
      return give.call(this, frame);
    };
  }
  window.joined = {};
  socket.close();
})()"""


def camera() -> None:
    """Publish packets with keyframes 4 s apart, until stdin ends."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    landscape = scenery(WIDTH + MARGIN, HEIGHT + MARGIN)
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, FPS)
    encoder.gop_size, encoder.options = KEYINT * FPS, {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0"}
    with PacketPublisher(SERVICE, "h264", WIDTH, HEIGHT) as publisher:
        due, number = time.monotonic(), 0
        while not stop.is_set():
            captured, x, y = monotonic_ns(), number * 3 % MARGIN, number * 3 % MARGIN // 2
            picture[:HEIGHT] = landscape[y : y + HEIGHT, x : x + WIDTH]
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts = number
            for packet in encoder.encode(frame):
                publisher.publish(packet, is_keyframe=packet.is_keyframe, captured_at=captured)
            number += 1
            due += 1 / FPS
            stop.wait(max(0.0, due - time.monotonic()))


class Scene:
    """Processes in a domain of their own, and a browser."""

    def __init__(self, folder: str, name: str, *commands: tuple[str, ...]) -> None:
        self._environment = os.environ | {"IOX2_VIDEO_DOMAIN": f"{folder}/{name}:bh{os.getpid()}_"}
        self._processes = [self._start(*command) for command in commands]
        view = self._start("-m", "gst_iceoryx2", "view", SERVICE, "--no-browser")
        self._processes.append(view)
        assert view.stdout is not None
        self.url = view.stdout.readline().strip()
        self.browser = Chromium(Path(tempfile.mkdtemp(dir=folder)))

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def drawn(self, way: str, seconds: float) -> Measurement:
        """Measure the time until pictures are drawn, and the bytes of a second."""
        browser = self.browser
        browser.open(self.url)
        browser.wait_for("document.querySelectorAll('.card').length")
        if way == "JPEG":
            browser.evaluate("streams[0].giveUp('this is a benchmark')")
        browser.wait_for(f"document.querySelector('canvas').dataset.way === {way!r}", 60)
        time.sleep(SETTLE)
        # Null while nothing was drawn for two seconds.
        latency = "parseFloat(document.querySelector('.latency .value').textContent) || null"
        values = []
        for _ in range(int(seconds * 2)):
            values.append(browser.evaluate(latency))
            time.sleep(0.5)
        shown = browser.evaluate("document.querySelector('.fps .hint').textContent")
        browser.open("about:blank")
        return {"drawn": statistics.median(filter(None, values)), "shown": float(shown.split()[0])}

    def joins(self, count: int) -> list[Measurement]:
        """Measure the time from the opening of a WebSocket to the first picture and the newest picture."""
        self.browser.open(self.url)
        self.browser.wait_for("document.querySelector('canvas')?.dataset.number > 30", 60)
        found = []
        for turn in range(count):
            # Another place in the group of pictures each time.
            time.sleep(1 + turn * 0.7 % KEYINT)
            self.browser.evaluate(JOIN)
            self.browser.wait_for("window.joined.newest", 60)
            first, newest = self.browser.evaluate("[window.joined.first, window.joined.newest]")
            found.append({"first": first, "newest": newest})
        return found

    def close(self) -> None:
        self.browser.close()
        for process in self._processes[::-1]:
            process.send_signal(signal.SIGINT)
            process.communicate()


def ssim(one: Picture, other: Picture) -> float:
    """Return the mean SSIM of the luma of two RGB pictures."""
    x, y = (np.asarray(picture, np.float64) @ (0.299, 0.587, 0.114) for picture in (one, other))

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        return ((sums[8:, 8:] - sums[:-8, 8:] - sums[8:, :-8] + sums[:-8, :-8]) / 64)[::4, ::4]

    a, b = mean(x), mean(y)
    variances, covariance = mean(x * x) - a * a + mean(y * y) - b * b, mean(x * y) - a * b
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * a * b + first) * (2 * covariance + second) / ((a * a + b * b + first) * (variances + second))
    return float(index.mean())


def clip_sizes(folder: str) -> Measurement:
    """Return the kilobytes per second of the demo's clip: as H.264, and as JPEG of the same SSIM and of the default."""
    os.environ["IOX2_VIDEO_DOMAIN"] = f"{folder}/clip:bc{os.getpid()}_"
    with av.open(str(clip_path(BUILD / "demo"))) as container:
        rate = float(container.streams.video[0].average_rate or 25)
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    packets = encoded(pictures, rate)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoded = [frame for data in [*packets, None] for frame in decoder.decode(av.Packet(data) if data else None)]
    some = range(0, len(pictures), 8)
    quality = statistics.mean(ssim(pictures[at], decoded[at].to_ndarray(format="rgb24")) for at in some)

    def as_jpeg(number: int) -> tuple[float, float]:
        coded = [jpeg.encode_rgb(pictures[at], number) for at in some]
        alike = statistics.mean(ssim(pictures[at], jpeg.decode(data)) for at, data in zip(some, coded, strict=True))
        return alike, statistics.mean(map(len, coded)) * rate

    low, high = 1, 100
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if as_jpeg(middle)[0] >= quality else (middle + 1, high)
    default = as_jpeg(80)
    return {
        "h264": sum(map(len, packets)) / len(packets) * rate / 1000,
        "ssim": quality,
        "quality": low,
        "jpeg": as_jpeg(low)[1] / 1000,
        "default": default[1] / 1000,
        "default_ssim": default[0],
    }


def encoded(pictures: list[Picture], rate: float) -> list[bytes]:
    """Return the packets of the encoder of `serve` with its defaults."""
    packets: list[bytes] = []
    encoder = PacketEncoder("clip@h264", {})
    with VideoFramePublisher("video/clip/frame/v2") as publisher, PacketSubscriber("clip") as subscriber:
        begin = monotonic_ns()
        for number, picture in enumerate(pictures):
            publisher.publish(picture, format="RGB", captured_at=begin + int(number * 1e9 / rate))
            while len(packets) <= number:
                encoder.step()
                while (packet := subscriber.receive()) is not None:
                    packets.append(bytes(packet.data))
    encoder.close()
    return packets


def measure(seconds: float, rounds: int, joins: int) -> Report:
    """Measure latency in turns, then first pictures and bytes."""
    with tempfile.TemporaryDirectory(prefix="iox2-bench-") as folder:
        publisher = "-m", "benchmarks.scenery", SERVICE, "--size", f"{WIDTH}x{HEIGHT}", "--seconds", "3600"
        scene = Scene(folder, "live", publisher, ("-m", "gst_iceoryx2", "serve"))
        try:
            cases: dict[str, Callable[[], Measurement]] = {
                way: lambda way=way: scene.drawn(way, seconds)  # type: ignore[misc]
                for way in ("H.264", "JPEG")
            }
            runs = interleave(cases, rounds)
        finally:
            scene.close()
        scene = Scene(folder, "join", ("-m", "benchmarks.view_h264", "--camera"))
        try:
            joined = scene.joins(joins)
        finally:
            scene.close()
        clip = clip_sizes(folder)
    frame = FPS / 1000
    series = [Series.of(f"{way}: capture to drawing", "ms", runs[way], "drawn") for way in runs]
    series += [Series.of(f"{way}: pictures drawn", "per second", runs[way], "shown") for way in runs]
    more = tuple((a["drawn"] - b["drawn"]) * frame for a, b in zip(runs["H.264"], runs["JPEG"], strict=True))
    first = Series.of("WebSocket open to the first picture", "ms", joined, "first")
    series += [
        Series("H.264 after JPEG", "frames", more),
        first,
        Series.of("WebSocket open to the newest picture", "ms", joined, "newest"),
        Series.of("clip: H.264", "kB/s", [clip], "h264"),
        Series.of("clip: SSIM of H.264", "", [clip], "ssim"),
        Series.of("clip: JPEG of this SSIM", "kB/s", [clip], "jpeg"),
        Series.of("clip: its quality", "", [clip], "quality"),
        Series.of("clip: JPEG of the default quality", "kB/s", [clip], "default"),
        Series.of("clip: its SSIM", "", [clip], "default_ssim"),
    ]
    share = clip["h264"] / clip["jpeg"]
    findings = [
        size("H.264 after JPEG, capture to drawing", series[4], FRAMES_LIMIT),
        size(first.name, first, JOIN_LIMIT),
        Finding("clip: bytes of H.264 per byte of JPEG, equal SSIM", share, share, share, BYTES_LIMIT),
    ]
    return Report(f"H.264 on the page, {WIDTH}×{HEIGHT} at {FPS} frames per second, {rounds} rounds", series, findings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.view_h264", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--joins", type=int, default=10)
    parser.add_argument("--camera", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.camera:
        camera()
        return
    # Leaving the block ends the started processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print(f"load before: {load():.1f}")
    print(measure(arguments.seconds, arguments.rounds, arguments.joins))


if __name__ == "__main__":
    main()
