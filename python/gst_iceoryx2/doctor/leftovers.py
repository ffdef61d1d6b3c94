"""Checks for files and memory that crashed participants left behind in the domain, and removes them on request."""

from __future__ import annotations

from collections.abc import Iterator

from .._iox2.cleanup import run_helper
from .._iox2.domain import Domain
from .._iox2.leftovers import remove_unused_descriptions, unknown_memory, unused_descriptions
from .._iox2.liveness import dead_nodes
from .._iox2.objects import SHARED_MEMORY, has_unfinished_counter
from .._iox2.ring_files import dead_rings, remove_dead_rings
from .finding import Finding, note, ok, problem


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Count the files left behind by dead participants, and remove them if `fix` is set. Report unknown memory."""
    before = _count(domain)
    if not any(before):
        yield ok("no dead participants, no unused files")
    elif not fix:
        text = f"{_words(*before)}; the next participant that starts removes files that it can trace to a dead one"
        yield problem(text, "iox2-video doctor --fix", can_fix=True)
    else:
        run_helper(domain)
        remove_unused_descriptions(domain)
        remove_dead_rings(domain)
        after = _count(domain)
        if not any(after):
            yield problem(f"{_words(*before)}: removed", None, can_fix=True, was_fixed=True)
        else:
            yield problem(
                f"{_words(*before)}; after the clean-up, still {_words(*after)}",
                f"try again, because files younger than 5 s are left alone. If they remain, stop all programs that use "
                f"the domain, then remove {domain.root} and {domain.prefix}* in {SHARED_MEMORY}",
                can_fix=True,
            )
    unknown = unknown_memory(domain)
    if unknown:
        size = sum(status.st_size for status in unknown) / 1e6
        yield note(
            f"{SHARED_MEMORY} contains {_files(len(unknown))} ({size:.1f} MB) with the prefix {domain.prefix!r} that "
            f"cannot be traced to a participant in {domain.root}; participants that use another folder, or belong to "
            "another container or user, may be using them",
            "give each folder its own prefix (IOX2_VIDEO_DOMAIN=ROOT:PREFIX); remove the files manually only if no "
            "program on this machine uses the prefix",
        )


def _count(domain: Domain) -> tuple[int, int]:
    """Return the number of dead nodes, and the number of files for which no node has a tag."""
    files = len(unused_descriptions(domain)) + has_unfinished_counter(domain) + len(dead_rings(domain))
    return len(dead_nodes(domain)), files


def _words(nodes: int, files: int) -> str:
    return f"{nodes} dead participant{'' if nodes == 1 else 's'}, {_files(files)} that no participant uses"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
