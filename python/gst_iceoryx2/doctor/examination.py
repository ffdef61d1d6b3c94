"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from .._iox2.domain import Domain, current_domain
from .._iox2.folders import in_folders
from ..errors import DomainError
from . import containers, copies, leftovers, limits, plugin, releases, segments, shared_memory, users
from .finding import Finding

_Check = Callable[[Domain, bool], Iterator[Finding]]

CHECKS: Final[Mapping[str, _Check]] = {
    shared_memory.NAME: shared_memory.check,
    leftovers.NAME: leftovers.check,
    users.NAME: users.check,
    releases.NAME: releases.check,
    plugin.NAME: plugin.check,
    plugin.NAMES_NAME: plugin.check_names,
    copies.NAME: copies.check,
    limits.NAME: limits.check,
    containers.NAME: containers.check,
    segments.NAME: segments.check,
}
"""Name of each check, in the order in which they are done."""


# Checks that look into the domain.
_INSIDE: Final = (leftovers.NAME, releases.NAME, copies.NAME, containers.NAME)


def examine(*, fix: bool = False) -> list[Finding]:
    """Do all checks.

    Args:
        fix: Also remove what crashed participants left: nodes, files, shared memory, SysV segments of dead Sh4lt
            writers. What a living process may use is left alone.

    Returns:
        At least one finding of each check, in the order of `CHECKS`; of a domain that this user must not use, what can
        be said.
    """
    try:
        domain = current_domain()
    except DomainError as exc:
        broken = Finding("domain", "problem", str(exc), "correct or unset IOX2_VIDEO_DOMAIN, or correct that file")
        # Whatever does not depend on it.
        return [broken, *plugin.check(Domain(), False), *plugin.check_names(Domain(), False)]
    # Where its files and processes are not to be seen, it still is whose it is.
    left_out = () if in_folders(domain) is None else _INSIDE
    found: list[Finding] = []
    for name, check in CHECKS.items():
        if name in left_out:
            continue
        try:
            found += check(domain, fix)
        except (OSError, ValueError) as exc:
            found.append(Finding(name, "note", f"could not be checked: {exc}"))
    return found


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing is left to be done."""
    return not any(finding.status == "problem" and not finding.was_fixed for finding in findings)
