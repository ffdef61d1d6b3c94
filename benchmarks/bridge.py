"""What two bridges over Zenoh add: `python -m benchmarks.bridge [--seconds N] [--stall N]`; needs eclipse-zenoh.

A process publishes 720p at 30 frames per second (benchmarks/scenery.py); one bridge takes it to a key, another one from
there to a service. This process subscribes to both services and takes, for each frame, the time between its two
arrivals. Then the receiving bridge is stopped (SIGSTOP), and the memory of the sending one is watched.
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
    arguments = parser.parse_args()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
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
                if frame is not None and frame.offset is not None:
                    arrivals[service][frame.offset] = time.monotonic_ns()
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


def _resident(process: subprocess.Popen[bytes]) -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _processor(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
