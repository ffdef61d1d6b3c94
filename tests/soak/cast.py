"""Participants of a soak run: those of the chaos suite, with pictures that grow and shrink."""

from __future__ import annotations

import random
from typing import Any, Final

from tests.chaos.script import Slot

SHAPES: Final = (
    ("BGR", 160, 120),
    ("I420", 320, 192),
    ("GRAY8", 640, 360),
    ("NV12", 1280, 720),
    ("BGR", 1280, 720),
)
"""From 58 kB to 2.8 MB, so that the first memory of a publisher is too small for some."""


class SoakSlot(Slot):
    """A slot whose participants all have the same roles; a role is kind and habit, and a service."""

    def cast(self, rng: random.Random) -> list[dict[str, Any]]:
        """Return the roles of the next participant."""
        return [self._spec(rng, *role.split("/"), service) for role, service in self.roles]

    def _spec(self, rng: random.Random, kind: str, habit: str, service: str) -> dict[str, Any]:
        return {"kind": kind, "habit": habit, "service": service, "seed": rng.getrandbits(32), "shapes": SHAPES}


STAGE: Final = (
    # From a pipeline to a pipeline and to Python, and from Python to both, for the whole run.
    SoakSlot("sink", (("sink/steady", "cam0"),), survives=True),
    SoakSlot("sink-to-source", (("source/steady", "cam0"),), survives=True),
    SoakSlot("sink-to-python", (("subscriber/steady", "cam0"),), survives=True),
    SoakSlot("python", (("publisher/steady", "cam1"),), survives=True),
    SoakSlot("python-to-source", (("source/steady", "cam1"),), survives=True),
    SoakSlot("python-to-python", (("subscriber/steady", "cam1"),), survives=True),
    # Ports that are closed and reopened within one process.
    SoakSlot("reopening-a", (("sink/restless", "cam2"), ("subscriber/restless", "cam2")), survives=True),
    SoakSlot("reopening-b", (("publisher/restless", "cam3"), ("source/restless", "cam3")), survives=True),
    # A stream on demand, whose source and conversion are processes of their own.
    SoakSlot("supervisor", (("server/steady", "serve"),), survives=True),
    SoakSlot("rendition", (("reader/steady", "serve0@96x96-RGB"),), survives=True),
    # Processes that come and go.
    SoakSlot("passing-source", (("source/steady", "cam0"),)),
    SoakSlot("passing-python", (("subscriber/steady", "cam1"),)),
)
