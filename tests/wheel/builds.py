"""Builds the package with pip, as users do, and reads the wheels."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT = 600


def run_build(native: str, out: Path, source: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `pip wheel` in a source tree with IOX2_VIDEO_NATIVE and other variables set."""
    command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps", "--no-build-isolation"]
    return subprocess.run(
        [*command, "--wheel-dir", str(out), str(source)],
        env=os.environ | {"IOX2_VIDEO_NATIVE": native} | environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
    )


def built_wheel(native: str, out: Path, source: Path = ROOT, **environment: str) -> Path:
    done = run_build(native, out, source, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def text_in(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()
