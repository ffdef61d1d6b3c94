"""Thirty seconds of `make chaos`: processes are killed, stopped and stalled at random, and every frame is checked."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import gstreamer_version
from tests.chaos.__main__ import play

SEED = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**6)))


@pytest.mark.timeout(600)
@pytest.mark.skipif(gstreamer_version() is None, reason="GStreamer is not there")
@pytest.mark.proves("M6", "L8", "D3", "D5", "D7", "K1", "K2", "K4", "K6", "R1", "R4")
def test_chaos_breaks_no_guarantee(tmp_path: Path) -> None:
    print(f"CHAOS_SEED={SEED}")
    # Other tests run beside this one, so participants may be slow, but they must not hang.
    verdict = play(SEED, 30.0, tmp_path / "logs", patience=6.0)
    print("\n".join(verdict.lines()))
    assert not verdict.faults, "\n\n".join(verdict.faults)
    assert not verdict.leftovers
    # Enough happened.
    assert verdict.frames > 500
    assert verdict.joined > 5
    assert verdict.performed["kill"] > 5
    assert verdict.recovered
