"""Files of iceoryx2, as far as this package looks at them itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

Identity = tuple[int, int, int]
"""Device, inode and time: they tell a file from the next one of its name."""


def names(folder: str | Path) -> list[str]:
    """Return the names in a folder; none if it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def remove(paths: Iterable[Path]) -> None:
    """Remove files as far as possible."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def identity(status: os.stat_result) -> Identity:
    """Return what tells a file from the next one of its name."""
    return status.st_dev, status.st_ino, status.st_mtime_ns
