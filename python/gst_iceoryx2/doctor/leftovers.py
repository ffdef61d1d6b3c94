"""What crashed participants left in the domain, and its removal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .._domain import Domain
from .._remains import Look
from .._stale import run_helper, stale_nodes
from .finding import Finding

NAME: Final = "leftovers"


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Count nodes of dead processes and files that belong to nobody; remove them if asked."""
    before = _count(domain)
    if not any(before):
        yield Finding(NAME, "ok", "no dead participants, no files that belong to nobody")
        return
    text = _words(*before)
    if not fix:
        yield Finding(
            NAME,
            "problem",
            f"{text}; the next participant that starts removes what is in its way",
            "iox2-video doctor --fix",
            can_fix=True,
        )
        return
    run_helper(domain)
    after = _count(domain)
    if not any(after):
        yield Finding(NAME, "problem", f"{text}: removed", None, can_fix=True, was_fixed=True)
        return
    yield Finding(
        NAME,
        "problem",
        f"{text}; after a clean-up {_words(*after)}",
        f"what is younger than 5 s is left alone: try again. If it stays, stop everything that uses the domain, then "
        f"remove {domain.root} and {domain.prefix}* in /dev/shm",
        can_fix=True,
    )


def _count(domain: Domain) -> tuple[int, int]:
    """Dead nodes, and files of nobody."""
    # A node is known by a folder and several files beside it.
    nodes = {name.removeprefix(domain.prefix).partition(".")[0] for name in stale_nodes(domain)}
    if _takes_part(domain):
        # A look is not for a process that has a node: see `Look`.
        return len(nodes), 0
    look = Look(domain)
    return len(nodes), len(look.litter()) if look.sees_everybody else 0


def _takes_part(domain: Domain) -> bool:
    try:
        links = list(Path("/proc/self/fd").iterdir())
    except OSError:
        return True
    for link in links:
        try:
            if os.readlink(link).startswith(f"{domain.nodes}/"):
                return True
        except OSError:
            continue
    return False


def _words(nodes: int, files: int) -> str:
    dead = f"{nodes} dead participant{'' if nodes == 1 else 's'}"
    return f"{dead}, {files} file{'' if files == 1 else 's'} that belong to nobody"
