"""Helpers for reading and removing iceoryx2's files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

Identity = tuple[int, int, int]
"""Device, inode and modification time, which distinguish a file from a later file with the same name."""


def names(folder: str | Path) -> list[str]:
    """Return the names in a folder; an empty list if it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def remove(paths: Iterable[Path]) -> None:
    """Remove files, ignoring errors."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def identity(status: os.stat_result) -> Identity:
    """Return the values that distinguish a file from a later file with the same name."""
    return status.st_dev, status.st_ino, status.st_mtime_ns
