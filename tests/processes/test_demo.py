"""The demo with one run of the clip: the processes and pictures of `make demo`, with and without GStreamer."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from demo.__main__ import BUILD
from demo.clip import DownloadError, clip_path
from gst_iceoryx2 import setup_gstreamer
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CLIP_FRAMES = 132


@pytest.fixture(params=["gstreamer", "sdk"])
def variant(request: pytest.FixtureRequest) -> str:
    if request.param == "gstreamer":
        try:
            setup_gstreamer()
        except RuntimeError as exc:
            if os.environ.get("IOX2_VIDEO_NATIVE") == "require":
                raise
            pytest.skip(str(exc).partition(". ")[0])
    return str(request.param)


@pytest.fixture(autouse=True)
def clip() -> None:
    """Download the clip, if that has not been done; skip where it cannot be reached."""
    try:
        clip_path(BUILD)
    except DownloadError as exc:
        pytest.skip(str(exc))


def read_png(path: Path) -> np.ndarray:
    """Read an RGB picture whose rows all have the filter "up", as the demo writes them; check every CRC."""
    data, place, chunks = path.read_bytes(), 8, []
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        (crc,) = struct.unpack(">I", data[place + 8 + length : place + 12 + length])
        assert crc == zlib.crc32(kind + body)
        chunks.append((kind, body))
        place += 12 + length
    assert [kind for kind, _ in chunks if kind != b"tEXt"] == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", chunks[0][1][:8])
    rows = np.frombuffer(zlib.decompress(dict(chunks)[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


def play(variant: str, sheet: Path) -> list[int]:
    """Play the clip once, check what the demo prints, and return how many frames each consumer missed."""
    command = [sys.executable, "-m", "demo", "--times", "1", "--sheet", str(sheet)]
    command += ["--sdk"] if variant == "sdk" else []
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\([ab]\) .*?  +(\d+) +([\d.]+) +([\d.]+) ms +([\d.]+) ms +(-?\d+) +(\S+)$", done.stdout, re.M)
    told = [(int(frames) + int(missed), share) for frames, _, _, _, missed, share in rows]
    assert told == [(CLIP_FRAMES, "100%")] * 2, done.stdout
    assert f"{CLIP_FRAMES} frames sent, {'0%' if variant == 'sdk' else '100%'} rendered directly" in done.stdout
    return [int(row[4]) for row in rows]


def test_both_consumers_see_every_frame_by_reference(variant: str, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    # A consumer that does not run for a third of a second misses frames.
    wait_until(lambda: play(variant, sheet) == [0, 0])
    picture = read_png(sheet)
    # Twelve frames with their motion below, at a quarter of 1080p.
    assert picture.shape == (6 + 3 * (2 * 270 + 6) + 24, 6 + 4 * (480 + 6), 3)
    meadow, sky = picture[200:260, 60:200].mean((0, 1)), picture[30:80, 420:480].mean((0, 1))
    assert meadow[1] > meadow[2] + 40, "the meadow is green: red and blue are not swapped, rows are where they belong"
    assert sky[2] > 180, "the sky is bright and blueish"
