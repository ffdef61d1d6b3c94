"""Checks what crashed participants left behind in the domain, and removes it on request."""

from __future__ import annotations

from collections.abc import Iterator

from .._iox2.cleanup import run_helper
from .._iox2.domain import Domain
from .._iox2.leftovers import remove_unused_descriptions, unknown_memory, unused_descriptions
from .._iox2.liveness import dead_nodes
from .._iox2.objects import SHARED_MEMORY, has_unfinished_counter
from .finding import Finding, note, ok, problem


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Count what dead participants left behind, and remove it if `fix` is set; report memory of unknown owners."""
    before = _count(domain)
    if not any(before):
        yield ok("no dead participants, no unused files")
    elif not fix:
        text = f"{_words(*before)}; the next participant that starts removes what can be traced to a dead one"
        yield problem(text, "iox2-video doctor --fix", can_fix=True)
    else:
        run_helper(domain)
        remove_unused_descriptions(domain)
        after = _count(domain)
        if not any(after):
            yield problem(f"{_words(*before)}: removed", None, can_fix=True, was_fixed=True)
        else:
            yield problem(
                f"{_words(*before)}; after a clean-up {_words(*after)}",
                f"try again: files younger than 5 s are left alone. If they stay, stop everything that uses the "
                f"domain, then remove {domain.root} and {domain.prefix}* in {SHARED_MEMORY}",
                can_fix=True,
            )
    unknown = unknown_memory(domain)
    if unknown:
        size = sum(status.st_size for status in unknown) / 1e6
        yield note(
            f"{_files(len(unknown))} of {size:.1f} MB in {SHARED_MEMORY} have the prefix {domain.prefix!r} and belong "
            f"to no participant of {domain.root}: it is not known whether a participant of another folder, container "
            "or user uses them",
            "give each folder a prefix of its own (IOX2_VIDEO_DOMAIN=ROOT:PREFIX); remove the files by hand only if "
            "nothing on this machine uses the prefix",
        )


def _count(domain: Domain) -> tuple[int, int]:
    """Number of dead nodes, and of files that no node has a tag for."""
    return len(dead_nodes(domain)), len(unused_descriptions(domain)) + has_unfinished_counter(domain)


def _words(nodes: int, files: int) -> str:
    return f"{nodes} dead participant{'' if nodes == 1 else 's'}, {_files(files)} that no participant uses"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
