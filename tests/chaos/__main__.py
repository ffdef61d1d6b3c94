"""``python -m tests.chaos --seed 7 --seconds 300``: one run, its numbers, and 0 if every guarantee held."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.conductor import Conductor
from tests.chaos.place import Place
from tests.chaos.player import ROOT
from tests.chaos.script import STAGE, Slot, actions
from tests.chaos.verdict import Verdict


def play(
    seed: int, seconds: float, folder: Path, every: float = 0.4, stage: Sequence[Slot] = STAGE, patience: float = 1.0
) -> Verdict:
    """Run once in a domain of its own; logs go to `folder`."""
    folder.mkdir(parents=True)
    with Place(f"c{os.getpid()}") as place:
        return Conductor(place, seed, folder, stage, patience).run(actions(seed, seconds, every, stage), seconds)


def main() -> int:
    """Parse the arguments, run, and print the verdict."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: at random")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--every", type=float, default=0.4, help="seconds between two actions, on average")
    parser.add_argument("--only", default="", help="play with the places alone whose names have this in them")
    arguments = parser.parse_args()
    folder = ROOT / "build" / "chaos" / f"seed-{arguments.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    print(f"chaos: seed {arguments.seed}, {arguments.seconds:g} s", flush=True)
    stage = [slot for slot in STAGE if arguments.only in slot.name]
    verdict = play(arguments.seed, arguments.seconds, folder, arguments.every, stage)
    print("\n".join(f"  {line}" for line in verdict.lines()))
    for fault in verdict.faults:
        print(f"\nFAULT {fault}")
    for leftover in verdict.leftovers:
        print(f"left behind: {leftover}")
    print("passed" if verdict.is_good else f"FAILED: make chaos SEED={arguments.seed}; logs are in {folder}")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
