"""A private iceoryx2 domain, what lies in it, and the environment of processes that live there."""

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


class Litter(NamedTuple):
    """What lies in a domain.

    Attributes:
        files: Files and sockets below its root, and shared memory objects.
        bytes: Size of the shared memory that is in use.
    """

    files: int
    bytes: int


class Place:
    """A domain of a run's own; leaving its `with` block removes every trace of it.

    Args:
        name: Short and unique.
    """

    def __init__(self, name: str) -> None:
        self.root: Final = Path(f"/tmp/{name}")
        self.prefix: Final = f"{name}_"

    @property
    def variable(self) -> str:
        """Value of IOX2_VIDEO_DOMAIN."""
        return f"{self.root}:{self.prefix}"

    def environment(self, registry: Path) -> dict[str, str]:
        """Environment of a participant: this domain, the built plugin, and nothing else that steers."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
        return clean | {
            "IOX2_VIDEO_DOMAIN": self.variable,
            "GST_PLUGIN_PATH": str(plugin_library().parent),
            "GST_REGISTRY": str(registry),
            "G_DEBUG": "fatal-criticals",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT)]),
        }

    def leftovers(self) -> list[str]:
        """Every file of participants; without iceoryx2's 16 bytes for all nodes, which stay for ever."""
        shared = [path.name for path in self._shared_memory() if not path.name.endswith(".global_mgmt")]
        # os.walk, because folders vanish while one looks.
        return shared + [f"{folder}/{name}" for folder, _, names in os.walk(self.root) for name in names]

    def litter(self) -> Litter:
        """How much lies there now."""
        size = 0
        for path in self._shared_memory():
            try:
                size += path.stat().st_blocks * 512
            except FileNotFoundError:
                continue
        return Litter(len(self.leftovers()), size)

    def clean_up(self) -> str:
        """Run the helper program as a user would; its answer."""
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
