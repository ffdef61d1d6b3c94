"""Checks that all participants use the same release of iceoryx2."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from .._iox2.description import list_services
from .._iox2.domain import Domain
from .._iox2.explain import RELEASE
from ..discovery.names import short_name
from .finding import Finding, ok, problem


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Compare the release that this package needs with the installed one, and with those that created services."""
    try:
        installed = version("iceoryx2")
    except PackageNotFoundError:
        yield problem("the Python package iceoryx2 is not installed", f"pip install iceoryx2=={RELEASE}")
        return
    if installed != RELEASE:
        yield problem(
            f"the installed Python package iceoryx2 is release {installed}, but this package works only with {RELEASE}",
            f"pip install iceoryx2=={RELEASE}",
        )
    others: dict[str, set[str]] = defaultdict(set)
    count = 0
    for record in list_services(domain):
        count += 1
        if record.version != RELEASE:
            others[record.version].add(short_name(record.name))
    for release, names in sorted(others.items()):
        yield problem(
            f"created by iceoryx2 {release}, but this is {RELEASE}: {', '.join(sorted(names)[:8])}. All participants "
            "of a service must use the same release",
            f"stop or update the programs that use release {release}. If they have exited, clean up with a program of "
            f"that release, or stop all programs and remove {domain.root} and {domain.prefix}* in /dev/shm",
        )
    if installed == RELEASE and not others:
        made = f"and created all services in this domain ({count})" if count else "and this domain has no services"
        yield ok(f"iceoryx2 {RELEASE} is installed, {made}")
