"""Measures what readers of an encoded stream cost together: `python -m benchmarks.packets [--rounds N]`; needs PyAV.

A process publishes 720p at 30 frames per second (benchmarks/scenery.py). In one case, `iox2-video record` encodes it
with x264. In the other case, `iox2-video serve` encodes it once with the same preset, and `READERS` read the packets.
The processor time of all processes except the publisher is added, from their start to their end, and compared. The
cases alternate, so that a disturbance of the machine affects both.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import load, machine
from benchmarks.record import COMMAND
from benchmarks.rounds import Measurement, Series, interleave, ratio, size

LIMIT = 1.2
_READ = """
from gst_iceoryx2.packets import PacketSubscriber
for packet in PacketSubscriber({name!r}):
    bytes(packet.data)
"""
# What reads the packets besides the recorder; a program for each.
READERS = {"view": _READ, "bridge": _READ, "ring": _READ.replace("bytes(packet.data)", "packet.copy()")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="1280x720")
    arguments = parser.parse_args()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    with tempfile.TemporaryDirectory(prefix="b") as folder:
        os.environ["IOX2_VIDEO_DOMAIN"] = f"{folder}/d:{Path(folder).name}_"
        os.chdir(folder)
        cases = {"x264": lambda: one_x264(arguments), "packets": lambda: packets(arguments)}
        runs = interleave(cases, arguments.rounds)
    alone, shared = (Series.of(name, "s", runs[name], "processor") for name in cases)
    findings = [size("record with x264", alone, None), size("serve, record --copy, 3 readers", shared, None)]
    for found in [*findings, ratio("ratio", shared, alone, LIMIT)]:
        print(f"{found.name:<34}{found.value:8.2f} {found.unit}  ({found.low:.2f} to {found.high:.2f}) {found.wanted}")


def one_x264(arguments: argparse.Namespace) -> Measurement:
    """Record with an encoder of its own."""
    recorder = start(COMMAND, "record", "bench", "x264.mkv", "--overwrite", "--codec", "x264", "--timeout", "30")
    publish(arguments)
    return {"processor": ended(recorder)}


def packets(arguments: argparse.Namespace) -> Measurement:
    """Encode once, and let all of the readers read packets."""
    server = start(COMMAND, "serve")
    readers = [start(sys.executable, "-c", program.format(name="bench")) for program in READERS.values()]
    readers.append(start(COMMAND, "record", "bench@h264", "copy.mkv", "--overwrite", "--timeout", "30"))
    publish(arguments)
    spent = sum(map(ended, readers))
    server.send_signal(signal.SIGTERM)
    # This includes its encoder, which it has waited for.
    return {"processor": spent + ended(server)}


def publish(arguments: argparse.Namespace) -> None:
    """Publish the stream to its end."""
    scenery = ("--size", arguments.size, "--format", "NV12", "--seconds", str(arguments.seconds))
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-m", "benchmarks.scenery", "video/bench/frame/v2", *scenery], check=True, cwd=root)


def start(*command: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ended(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a process; return its processor time and that of its children, in seconds."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
