"""Checks for processes that have loaded iceoryx2 more than once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .._iox2.domain import Domain
from .._plugin import plugin_library
from ..discovery.participants import node_processes
from .finding import Finding, note, ok, problem

_IS_COPY: Final = re.compile(r"/(?:_iceoryx2[^/]*\.so|lib(?:gst)?iceoryx2[^/]*\.(?:so|dylib)[^/]*)$")


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Find participants in the domain that have loaded several copies of iceoryx2."""
    processes = node_processes(domain)
    examined = {pid: copies for pid in sorted(processes) if (copies := _copies(pid)) is not None}
    several = {pid: copies for pid, copies in examined.items() if len(copies) > 1}
    for pid, copies in several.items():
        name, listed = processes[pid], ", ".join(sorted(copies))
        if copies == _own(copies):
            yield note(
                f"process {pid} ({name}) uses the Python SDK and the GStreamer plugin, each with its own copy of "
                f"iceoryx2 ({listed}). They are designed for this. No other code in this process may list nodes or "
                "clean up with iceoryx2, because that would drop their locks",
            )
        else:
            yield problem(
                f"process {pid} ({name}) has loaded several copies of iceoryx2: {listed}. If one copy cleans up or "
                "lists nodes, the other copies count as dead afterwards, and their frames may be lost",
                "use one build of the plugin and one Python environment per process, and run other iceoryx2 programs "
                "in separate processes",
            )
    if not processes:
        yield ok("no visible process takes part in this domain")
    elif not several:
        unseen = len(processes) - len(examined)
        rest = f"; {unseen} more belong to another user or container and cannot be examined" if unseen else ""
        yield ok(f"none of the {len(examined)} participating processes has two copies of iceoryx2{rest}")


def _copies(pid: int) -> set[str] | None:
    """Return the iceoryx2 libraries that a process has loaded; None if the process cannot be examined."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    paths = {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6}
    return {path for path in paths if _IS_COPY.search(path)}


def _own(copies: set[str]) -> set[str]:
    """Return the copies that belong to this package: its plugin, and the Python binding if there is only one."""
    try:
        plugin = str(plugin_library().resolve())
    except RuntimeError:
        plugin = ""
    bindings = [path for path in copies if "/_iceoryx2" in path]
    return {path for path in copies if str(Path(path).resolve()) == plugin or [path] == bindings}
