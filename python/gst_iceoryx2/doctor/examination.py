"""Runs all checks."""

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
"""The checks by name, in the order in which they run."""

# Checks that read the domain's folders.
_INSIDE: Final = (leftovers.NAME, releases.NAME, copies.NAME, containers.NAME)


def examine(*, fix: bool = False) -> list[Finding]:
    """Run all checks.

    Args:
        fix: Also remove what crashed participants left behind: nodes, files, shared memory, and SysV segments of dead
            Sh4lt writers. Nothing that a living process may use is removed.

    Returns:
        At least one finding per check, in the order of `CHECKS`. If this user must not use the domain, the checks that
        read its folders are left out; if the domain itself is invalid, only the plugin is checked.
    """
    try:
        domain = current_domain()
    except DomainError as exc:
        broken = Finding(
            "domain", "problem", str(exc), "correct or unset IOX2_VIDEO_DOMAIN, or correct the configuration file"
        )
        return [broken, *plugin.check(Domain(), False), *plugin.check_names(Domain(), False)]
    left_out = () if in_folders(domain) is None else _INSIDE
    found: list[Finding] = []
    for name, check in CHECKS.items():
        if name in left_out:
            continue
        try:
            found += check(domain, fix)
        except (OSError, ValueError) as exc:
            found.append(Finding(name, "note", f"the check failed: {exc}"))
    return found


def healthy(findings: Iterable[Finding]) -> bool:
    """Return whether no problem is left; a problem that was fixed does not count."""
    return not any(finding.status == "problem" and not finding.was_fixed for finding in findings)
