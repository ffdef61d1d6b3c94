"""Facts about the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from gst_iceoryx2._plugin import gstreamer_version

ROOT = Path(__file__).parents[1]


def machine() -> dict[str, object]:
    """Return processor, memory, system and versions."""
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "processors": os.cpu_count(),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "virtual": "hypervisor" in (_first("/proc/cpuinfo", "flags") or "").split(),
        "python": platform.python_version(),
        "gstreamer": gstreamer_version(),
        "iceoryx2": version("iceoryx2"),
        "commit": _commit(),
    }


def load() -> float:
    """Return the average number of running processes in the last minute."""
    return os.getloadavg()[0]


def _commit() -> str:
    """Return the measured commit; empty outside of a repository, and without git."""
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def _first(file: str, key: str) -> str | None:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), None)
