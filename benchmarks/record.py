"""Measures whether `iox2-video record` keeps up: `python -m benchmarks.record [--seconds N]`; needs PyAV.

A process publishes 1080p at 30 frames per second (benchmarks/scenery.py), and another process records it.
The benchmark counts recorded and dropped frames, and measures the recorder's processor time per frame.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import load, machine

COMMAND = Path(sys.executable).parent / "iox2-video"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--formats", nargs="+", default=["NV12", "I420", "BGR"])
    parser.add_argument("--presets", nargs="+", default=["ultrafast", "veryfast"])
    arguments = parser.parse_args()
    print(*(f"{name}: {value}" for name, value in machine().items()), f"load before: {load():.1f}", sep="\n")
    print(f"\n{arguments.size} at 30 fps, {arguments.seconds:g} s\n")
    print(
        f"{'format':<8}{'preset':<12}{'frames':>8}{'dropped':>9}{'ms of processor a frame':>26}{'MB':>8}{'peak MB':>9}"
    )
    with tempfile.TemporaryDirectory(prefix="b") as folder:
        os.environ["IOX2_VIDEO_DOMAIN"] = f"{folder}/d:{Path(folder).name}_"
        for format in arguments.formats:
            for preset in arguments.presets:
                _measure(Path(folder), arguments, format, preset)


def _measure(folder: Path, arguments: argparse.Namespace, format: str, preset: str) -> None:
    name = f"bench{format}{preset}"
    recorder = subprocess.Popen(
        [COMMAND, "record", name, f"{name}.mkv", "--preset", preset, "--timeout", "30"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    scenery = ("--size", arguments.size, "--format", format, "--seconds", str(arguments.seconds))
    subprocess.run([sys.executable, "-m", "benchmarks.scenery", f"video/{name}/frame/v2", *scenery], check=True)
    assert recorder.stderr is not None
    said = recorder.stderr.read()
    _, status, usage = os.wait4(recorder.pid, 0)
    recorder.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(r"(\d+) frames, [\d.]+ s, (\d+) dropped", said)
    if recorder.returncode or found is None:
        raise SystemExit(f"the recorder failed: {said}")
    frames, dropped = int(found[1]), int(found[2])
    processor = (usage.ru_utime + usage.ru_stime) / frames * 1000
    file = folder / f"{name}.mkv"
    print(
        f"{format:<8}{preset:<12}{frames:>8}{dropped:>9}{processor:>26.1f}{file.stat().st_size / 1e6:>8.1f}"
        f"{usage.ru_maxrss / 1e3:>9.0f}",
        flush=True,
    )
    file.unlink()


if __name__ == "__main__":
    main()
