"""Measures how much of /dev/shm the demo's processes reserve and touch."""

from __future__ import annotations

import shutil
from pathlib import Path

_SHM = Path("/dev/shm")


class SharedMemoryUse:
    """Records the highest use, in bytes, of shared memory objects whose names begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.reserved = 0
        self.touched = 0

    def sample(self) -> None:
        """Measure once. The files are sparse: their size counts as reserved, and their blocks as touched."""
        reserved = touched = 0
        for entry in _SHM.glob(f"{self._prefix}*"):
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue
            reserved += found.st_size
            touched += found.st_blocks * 512
        self.reserved = max(self.reserved, reserved)
        self.touched = max(self.touched, touched)

    def remove_leftovers(self) -> None:
        """Remove files of exited processes: iceoryx2 leaves 16 bytes per domain, and a killed process leaves more."""
        for entry in _SHM.glob(f"{self._prefix}*"):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
