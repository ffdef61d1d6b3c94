"""Measures the ring of a stream and clips of it: `python -m benchmarks.lookback [--seconds N]`; needs PyAV.

A process publishes packets that were encoded before, 1080p at 30 frames per second, and a ring keeps the last 30 s.
The benchmark samples the ring's own memory once per second. At the end, it saves clips, in a process that has loaded
PyAV already and with the command, and checks their frames.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import load, machine

COMMAND = Path(sys.executable).parent / "iox2-video"
KEEP = 30.0
KEEP_BYTES = 64_000_000
CLIP = 25.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--bitrate", type=float, default=8.0, help="megabits per second")
    parser.add_argument("--clips", type=int, default=5)
    arguments = parser.parse_args()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    with tempfile.TemporaryDirectory(prefix="b") as folder:
        os.environ["IOX2_VIDEO_DOMAIN"] = f"{folder}/d:{Path(folder).name}_"
        _measure(Path(folder), arguments)
    print(f"load after: {load():.1f}")


def _measure(folder: Path, arguments: argparse.Namespace) -> None:
    width, height = map(int, arguments.size.split("x"))
    packets = _encoded(width, height, arguments.bitrate)
    rate = sum(len(data) for data, _ in packets) / len(packets) * 30 * 8 / 1e6
    print(f"\n{arguments.size} at 30 fps, {rate:.1f} Mbit/s, keep {KEEP:g} s and at most {KEEP_BYTES / 1e6:g} MB")
    ring = subprocess.Popen(
        [sys.executable, "-m", "gst_iceoryx2.serve.worker", "ring"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert ring.stdin is not None
    clip = {"folder": str(folder)}
    command = {"name": "cam0@h264", "keep": KEEP, "keep_bytes": KEEP_BYTES, "clip": clip, "triggered_at": 0}
    ring.stdin.write(json.dumps(command).encode() + b"\n")
    ring.stdin.flush()
    stop = threading.Event()
    publishing = threading.Thread(target=_publish, args=(packets, width, height, stop))
    publishing.start()
    try:
        _sample(ring.pid, arguments.seconds)
        _clip(folder, arguments.clips)
    finally:
        stop.set()
        publishing.join()
        ring.stdin.close()
        ring.wait()


def _encoded(width: int, height: int, megabits: float) -> list[tuple[bytes, bool]]:
    """Return two seconds of packets that begin with a keyframe."""
    from gst_iceoryx2._extras.av import av

    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = Fraction(1, 30), Fraction(30), 1 << 20
    encoder.bit_rate = int(megabits * 1e6)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 60, (height + 64, width + 64), np.uint8)
    ramp = np.add.outer(np.arange(height) % 128, np.arange(width) % 64).astype(np.uint8)
    packets = []
    for number in range(60):
        picture = av.VideoFrame(width, height, "yuv420p")
        for plane in picture.planes:
            view = np.ndarray((plane.height, plane.width), np.uint8, memoryview(plane), 0, (plane.line_size, 1))
            moved = noise[number : number + plane.height, : plane.width]
            np.add(ramp[: plane.height, : plane.width], moved, out=view)
        picture.pts = number
        packets += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    return packets


def _publish(packets: list[tuple[bytes, bool]], width: int, height: int, stop: threading.Event) -> None:
    from gst_iceoryx2.packets import PacketPublisher

    begin = time.monotonic_ns()
    with PacketPublisher("cam0", "h264", width, height) as publisher:
        number = 0
        while not stop.is_set():
            at = begin + number * 1_000_000_000 // 30
            stop.wait(max(0.0, (at - time.monotonic_ns()) / 1e9))
            data, is_keyframe = packets[number % len(packets)]
            publisher.publish(data, is_keyframe=is_keyframe, pts=at, captured_at=at)
            number += 1


def _sample(pid: int, seconds: float) -> None:
    """Print the memory of the ring, as the seconds pass."""
    from gst_iceoryx2.errors import ServiceNotFoundError
    from gst_iceoryx2.packets import LookbackError, lookback

    past, empty, begin = None, 0.0, time.monotonic()
    while past is None:
        try:
            past = lookback("cam0")
            empty = _own_memory(pid)
        except (ServiceNotFoundError, LookbackError):
            time.sleep(0.05)
    full: list[float] = []
    processor = _processor_time(pid)
    while (passed := time.monotonic() - begin) < seconds:
        time.sleep(1)
        if passed > KEEP + 15:
            full.append(_own_memory(pid))
    processor = (_processor_time(pid) - processor) / (time.monotonic() - begin)
    if full:
        half = len(full) // 2 or 1
        print(f"kept: {past.seconds:.1f} s, {past.bytes / 1e6:.1f} MB after {seconds:g} s")
        print(f"own memory of the process: {empty:.1f} MB without packets")
        print(f"  from {KEEP + 15:g} s on: {min(full):.1f} to {max(full):.1f} MB", end="")
        print(f" (first half at most {max(full[:half]):.1f} MB, second half {max(full[-half:]):.1f} MB)")
        print(f"  more than without packets: at most {max(full) - empty:.1f} MB of {KEEP_BYTES / 1e6:g} MB")
        print(f"processor time: {processor:.1%} of one processor")


def _own_memory(pid: int) -> float:
    """Return the memory that is not shared with others, in MB."""
    found = re.search(r"RssAnon:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _clip(folder: Path, count: int) -> None:
    from gst_iceoryx2._extras.av import av
    from gst_iceoryx2.packets import lookback

    past, walls, processors = lookback("cam0"), [], []
    for number in range(count):
        began, spent = time.monotonic(), time.process_time()
        clip = past.save(folder / f"{number}.mp4", before=CLIP)
        walls.append(time.monotonic() - began)
        processors.append(time.process_time() - spent)
        with av.open(str(clip.files[0])) as container:
            assert sum(1 for _ in container.decode(video=0)) == clip.frames
        print(clip if number == 0 else "", end="\n" if number == 0 else "")
    print(f"save: {_spread(walls)}; {np.median(processors):.2f} s of processor time, in which nothing is encoded")
    walls = []
    for number in range(count):
        began = time.monotonic()
        file = folder / f"c{number}.mp4"
        subprocess.run([COMMAND, "clip", "cam0", file, "--before", f"{CLIP:g}s"], check=True, capture_output=True)
        walls.append(time.monotonic() - began)
    print(f"iox2-video clip: {_spread(walls)}")


def _spread(seconds: list[float]) -> str:
    return f"{np.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
