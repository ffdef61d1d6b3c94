"""Runs all checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from .._iox2.domain import Domain, current_domain
from .._iox2.folders import in_folders
from ..errors import DomainError
from . import containers, copies, encoders, leftovers, limits, plugin, releases, segments, shared_memory, users
from .finding import Finding

_Check = Callable[[Domain, bool], Iterator[Finding]]

CHECKS: Final[Mapping[str, _Check]] = {
    "shared-memory": shared_memory.check,
    "leftovers": leftovers.check,
    "users": users.check,
    "versions": releases.check,
    "plugin": plugin.check,
    "element-names": plugin.check_names,
    "copies": copies.check,
    "encoders": encoders.check,
    "file-limits": limits.check,
    "containers": containers.check,
    "sysv": segments.check,
}
"""The checks by name, in the order in which they run."""

# Checks that read the domain's folders.
_INSIDE: Final = ("leftovers", "versions", "copies", "encoders", "containers")


def examine(*, fix: bool = False) -> list[Finding]:
    """Run all checks.

    Args:
        fix: Whether to remove nodes, files and shared memory left behind by crashed participants, and SysV segments
            left behind by dead Sh4lt writers. Nothing that a running process may be using is removed.

    Returns:
        At least one finding per check, in the order of `CHECKS`. If this user may not use the domain, checks that read
        its folders are skipped. If the domain itself is invalid, only the plugin and its element names are checked.
    """
    try:
        domain = current_domain()
    except DomainError as exc:
        remedy = "correct or unset IOX2_VIDEO_DOMAIN, or correct the configuration file"
        broken = Finding("domain", "problem", str(exc), remedy)
        return [broken, *_findings("plugin", Domain(), False), *_findings("element-names", Domain(), False)]
    left_out = () if in_folders(domain) is None else _INSIDE
    return [finding for name in CHECKS if name not in left_out for finding in _findings(name, domain, fix)]


def _findings(name: str, domain: Domain, fix: bool) -> Iterator[Finding]:
    try:
        for finding in CHECKS[name](domain, fix):
            yield replace(finding, check=name)
    except (OSError, ValueError) as exc:
        yield Finding(name, "note", f"the check failed: {exc}")


def healthy(findings: Iterable[Finding]) -> bool:
    """Return whether there are no problems, apart from fixed ones."""
    return not any(finding.status == "problem" and not finding.was_fixed for finding in findings)
