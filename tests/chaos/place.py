"""A private iceoryx2 domain, its files, and the environment of its processes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from gst_iceoryx2._plugin import plugin_library
from tests.chaos.player import ROOT

SHARED_MEMORY: Final = Path("/dev/shm")
_STEERING: Final = ("GST_", "G_", "IOX2_", "PYTHON")


class DomainUse(NamedTuple):
    """The files and the memory of a domain.

    Attributes:
        files: Files and sockets below its root, and shared memory objects.
        bytes: Size of the shared memory that is in use.
    """

    files: int
    bytes: int


class Place:
    """A private domain; the end of the `with` block removes all its files.

    Args:
        name: A short, unique name.
    """

    def __init__(self, name: str) -> None:
        self.root: Final = Path(f"/tmp/{name}")
        self.prefix: Final = f"{name}_"

    @property
    def variable(self) -> str:
        """Return the value of IOX2_VIDEO_DOMAIN."""
        return f"{self.root}:{self.prefix}"

    def environment(self, registry: Path) -> dict[str, str]:
        """Return the environment of a participant: this domain and the built plugin, and no other settings."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
        return clean | {
            "IOX2_VIDEO_DOMAIN": self.variable,
            "GST_PLUGIN_PATH": str(plugin_library().parent),
            "GST_REGISTRY": str(registry),
            "G_DEBUG": "fatal-criticals",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT)]),
        }

    def leftovers(self) -> list[str]:
        """Return every file of participants except the node counter, which iceoryx2 never removes."""
        shared = [path.name for path in self._shared_memory() if not path.name.endswith(".global_mgmt")]
        # os.walk, because folders vanish meanwhile.
        return shared + [f"{folder}/{name}" for folder, _, names in os.walk(self.root) for name in names]

    def use(self) -> DomainUse:
        """Return the files and the memory now."""
        size = 0
        for path in self._shared_memory():
            try:
                size += path.stat().st_blocks * 512
            except FileNotFoundError:
                continue
        return DomainUse(len(self.leftovers()), size)

    def clean_up(self) -> str:
        """Run the helper program as a user would; return its output."""
        helper = plugin_library().parent / "iceoryx2-cleanup"
        done = subprocess.run(
            [helper, str(self.root), self.prefix], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def _shared_memory(self) -> list[Path]:
        return list(SHARED_MEMORY.glob(f"{self.prefix}*"))

    def __enter__(self) -> Place:
        self._remove()
        return self

    def __exit__(self, *_: object) -> None:
        if os.environ.get("CHAOS_KEEP") and self.leftovers():
            print("KEPT", self.variable)
            return
        self._remove()

    def _remove(self) -> None:
        for path in self._shared_memory():
            path.unlink(missing_ok=True)
        shutil.rmtree(self.root, ignore_errors=True)
