"""What two bridges over Zenoh add: `python -m benchmarks.bridge [--seconds N] [--stall N]`; needs eclipse-zenoh.

A process publishes 720p at 30 frames per second (benchmarks/scenery.py); one bridge takes it to a key, another one from
there to a service. This process subscribes to both services and takes, for each frame, the time between its two
arrivals. Then the receiving bridge is stopped (SIGSTOP), and the memory of the sending one is watched.

With `--age`, the sender runs on another machine instead: with its own boot ID and a clock that is 5000 s ahead, behind
a link that delays by 20 ms ± 5 ms (tests/cli/other_machine.py). The error of `captured_at` is measured; needs root.
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
from pathlib import Path

from benchmarks.machine import load, machine
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.cli.bridges import free_port
from tests.cli.other_machine import AHEAD, Relay, camera, other_machine
from tests.conftest import Place

COMMAND = Path(sys.executable).parent / "iox2-video"
NEAR, FAR = "video/near/frame/v2", "video/far/frame/v2"
SETTLE = 60  # frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="seconds of the latency measurement")
    parser.add_argument("--stall", type=float, default=20, help="seconds for which the receiver is stopped")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--format", default="NV12")
    parser.add_argument("--codec", default="jpeg")
    parser.add_argument("--age", action="store_true", help="measure the error of the age from another machine")
    arguments = parser.parse_args()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    if arguments.age:
        _age(arguments.seconds, arguments.codec)
        return
    print(f"\n{arguments.size} {arguments.format} at 30 fps, {arguments.codec}, over a Unix socket")
    with tempfile.TemporaryDirectory(prefix="b") as folder:
        os.environ["IOX2_VIDEO_DOMAIN"] = f"{folder}/d:{Path(folder).name}_"
        key = f"zenoh:benchmark/{os.getpid()}"
        seconds = SETTLE / 30 + arguments.seconds + arguments.stall + 30
        scenery = ("--size", arguments.size, "--format", arguments.format, "--seconds", str(seconds))
        running = [
            subprocess.Popen([COMMAND, "bridge", "near", key, "--codec", arguments.codec], stderr=subprocess.DEVNULL),
            subprocess.Popen([COMMAND, "bridge", key, "far"], stderr=subprocess.DEVNULL),
            subprocess.Popen([sys.executable, "-m", "benchmarks.scenery", NEAR, *scenery]),
        ]
        sender, receiver, _ = running
        try:
            _latency(arguments.seconds, sender, receiver)
            if arguments.stall > 0:
                _stall(arguments.stall, sender, receiver)
        finally:
            for process in running:
                process.send_signal(signal.SIGCONT)
                process.terminate()
            for process in running:
                process.wait()


def _latency(seconds: float, sender: subprocess.Popen[bytes], receiver: subprocess.Popen[bytes]) -> None:
    arrivals: dict[str, dict[int, int]] = {NEAR: {}, FAR: {}}
    over = threading.Event()

    def note(service: str) -> None:
        with VideoFrameSubscriber(service) as subscriber:
            while not over.is_set():
                frame = subscriber.receive_blocking(200)
                if frame is not None and frame.pts is not None:
                    # Decoded frames have offsets of their own.
                    arrivals[service][round(frame.pts * 30 / 1e9)] = time.monotonic_ns()
                del frame

    threads = [threading.Thread(target=note, args=(service,)) for service in arrivals]
    for thread in threads:
        thread.start()
    while len(arrivals[FAR]) < SETTLE:
        time.sleep(0.1)
    before = [_processor(process) for process in (sender, receiver)]
    time.sleep(seconds)
    spent = [_processor(process) - was for process, was in zip((sender, receiver), before, strict=True)]
    over.set()
    for thread in threads:
        thread.join()
    offsets = sorted(arrivals[FAR].keys() & arrivals[NEAR].keys())[SETTLE:]
    added = sorted((arrivals[FAR][offset] - arrivals[NEAR][offset]) / 1e6 for offset in offsets)
    sent = max(offsets) - min(offsets) + 1
    print(f"added latency: p50 {statistics.median(added):.1f} ms, p90 {added[len(added) * 9 // 10]:.1f} ms, ", end="")
    print(f"p99 {added[len(added) * 99 // 100]:.1f} ms (goal: p50 at most 30 ms)")
    print(f"frames: {len(offsets)} of {sent} arrived")
    for name, time_spent in zip(("to the key", "from the key"), spent, strict=True):
        print(f"processor of the bridge {name}: {time_spent / seconds * 100:.0f} % of one", flush=True)


def _stall(seconds: float, sender: subprocess.Popen[bytes], receiver: subprocess.Popen[bytes]) -> None:
    receiver.send_signal(signal.SIGSTOP)
    # The buffers of the sockets fill first.
    time.sleep(3)
    began, sizes = time.monotonic(), []
    while time.monotonic() - began < seconds:
        sizes.append(_resident(sender))
        time.sleep(0.5)
    print(f"memory of the sender while the receiver was stopped for {seconds:g} s: ", end="")
    print(f"{sizes[0] / 1e6:.1f} MB at first, {max(sizes) / 1e6:.1f} MB at most, {sizes[-1] / 1e6:.1f} MB at last")
    with VideoFrameSubscriber(FAR) as subscriber:
        while subscriber.receive_blocking(300) is not None:
            pass
        resumed = time.monotonic()
        receiver.send_signal(signal.SIGCONT)
        while time.monotonic() - resumed < 30:
            frame = subscriber.receive_blocking(1000)
            if frame is not None and frame.age is not None and frame.age < 1:
                print(f"a new picture {time.monotonic() - resumed:.1f} s after it continued", flush=True)
                return
            del frame
        print("no new picture within 30 s after it continued", flush=True)


def _age(seconds: float, codec: str) -> None:
    """Measure the error of the capture times from another machine."""
    near, far, port = Place(), Place(), free_port()
    os.environ["IOX2_VIDEO_DOMAIN"] = near.variable
    key = f"zenoh:benchmark/{os.getpid()}"
    print(f"\n64x48 BGR at 30 fps, {codec}, clock {AHEAD} s ahead, link of 20 ms ± 5 ms")
    with tempfile.TemporaryDirectory() as folder, Relay(port) as relay, VideoFrameSubscriber(FAR) as subscriber:
        prefix = other_machine(Path(folder), far.variable)
        sending = ("bridge", "near", key, "--codec", codec, "--listen", f"tcp/127.0.0.1:{port}")
        receiving = ("bridge", key, "far", "--connect", f"tcp/127.0.0.1:{relay.port}")
        running = [
            camera(prefix),
            subprocess.Popen([*prefix, COMMAND, *sending], stderr=subprocess.DEVNULL),
            subprocess.Popen([COMMAND, *receiving], stderr=subprocess.DEVNULL),
        ]
        try:
            _print_errors(subscriber, seconds)
        finally:
            for process in running:
                process.kill()
                process.wait()
    near.remove()
    far.remove()


def _print_errors(subscriber: VideoFrameSubscriber, seconds: float) -> None:
    errors, told, unknown = [], [], 0
    end = None
    while end is None or time.monotonic() < end:
        frame = subscriber.receive_blocking(30_000)
        if frame is None:
            raise SystemExit("no frame arrived")
        if end is None:
            end = time.monotonic() + seconds
        if frame.captured_at is None or frame.captured_at_error is None or frame.origin.capture is None:
            unknown += 1
            continue
        errors.append((frame.captured_at - (frame.origin.capture - AHEAD * 1_000_000_000)) / 1e6)
        told.append(frame.captured_at_error * 1e3)
    sizes = sorted(map(abs, errors))
    print(f"error: p50 {statistics.median(sizes):.2f} ms, p99 {sizes[len(sizes) * 99 // 100]:.2f} ms, ", end="")
    print(f"at most {sizes[-1]:.2f} ms (goal: half a round trip + 1 ms = 21 ms), of {len(errors)} frames")
    print(f"captured_at_error: {min(told):.1f} to {max(told):.1f} ms, median {statistics.median(told):.1f} ms")
    print(f"frames before the first answer: {unknown}")
    wrong = sum(abs(error) > limit for error, limit in zip(errors, told, strict=True))
    print(f"frames whose error is larger than captured_at_error: {wrong}", flush=True)


def _resident(process: subprocess.Popen[bytes]) -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _processor(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
