"""How the snippets of the documentation run: a module for each document."""

from __future__ import annotations

from tests.processes.plans import commands, gstreamer, packets, promised, python, readme, results, serve
from tests.processes.plans.plan import CAMERA, PLANS, Plan

__all__ = [
    "CAMERA",
    "PLANS",
    "Plan",
    "commands",
    "gstreamer",
    "packets",
    "promised",
    "python",
    "readme",
    "results",
    "serve",
]
