"""``python -m tests.soak --seconds 1800``: a long run of processes; exits with 0 if none of their resources grows."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from pathlib import Path

from tests.chaos.place import Place
from tests.chaos.player import ROOT
from tests.chaos.verdict import Verdict
from tests.soak.gauges import Samples, table
from tests.soak.soak import Soak

# Even a short run has some samples per quarter.
_LEAST_SAMPLES = 40


def play(seed: int, seconds: float, folder: Path, patience: float = 1.0) -> tuple[Verdict, Samples]:
    """Run once in a domain of its own; logs go to `folder`."""
    folder.mkdir(parents=True)
    with Place(f"s{os.getpid()}") as place:
        soak = Soak(place, seed, folder, min(5.0, seconds / _LEAST_SAMPLES), min(10.0, seconds / 4), patience)
        return soak.play(seconds), soak.samples


def main() -> int:
    """Parse the arguments, run, and print the verdict."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: at random")
    parser.add_argument("--seconds", type=float, default=1800.0)
    arguments = parser.parse_args()
    folder = ROOT / "build" / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    print(f"soak: {arguments.seconds:g} s, seed {arguments.seed}", flush=True)
    verdict, samples = play(arguments.seed, arguments.seconds, folder)
    verdict.faults += [f"grows: {growth}" for growth in samples.growths if not growth.is_flat]
    print("\n".join(f"  {line}" for line in verdict.lines()))
    print(f"\nmedians of the second and of the last quarter of {len(samples)} samples:\n")
    print("\n".join(table(samples.growths)))
    for fault in verdict.faults:
        print(f"\nFAULT {fault}")
    for leftover in verdict.leftovers:
        print(f"left behind: {leftover}")
    print("\nflat" if verdict.is_good else f"\nFAILED; logs are in {folder}")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
